"""From stored numbers to the 8-bit values that the networks were trained on."""
