"""Mapping many scenes: selection, execution and summary."""
