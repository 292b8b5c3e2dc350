"""Atomic writes to local files and cloud storage."""
