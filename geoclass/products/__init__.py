"""Maps to the files that people open, and back."""
