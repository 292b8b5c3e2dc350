"""Maps to pictures."""
