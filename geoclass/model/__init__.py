"""Networks and the file they travel in."""
