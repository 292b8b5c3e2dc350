"""Files that appear whole, here or in storage, and never under another program's hands."""
