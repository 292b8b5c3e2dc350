"""Where a scene lies on Earth, which part is mapped, and on which pixels."""
