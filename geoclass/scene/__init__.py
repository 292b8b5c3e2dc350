"""From a path to 8-bit pixels and a mask, in four steps: open, georeference, radiometry, read."""
