"""Scene × model to a land-cover map."""
