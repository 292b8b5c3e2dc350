"""Maps, changes and series as one page that opens anywhere."""
