"""What pickled PyTorch files begin with: they are refused unread, for reading may run code."""

ZIP_HEAD = b"PK\x03\x04"
PICKLE_HEADS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""`torch.save` writes a pickle, or since torch 1.6 a zip around one."""
