"""Reading pixels: windows, samples, masks and strips."""
