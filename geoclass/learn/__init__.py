"""Labelled tiles to a model, and how good it is."""
