"""geoclass: land-cover maps from satellite scenes."""

__version__ = "0.1.0"
