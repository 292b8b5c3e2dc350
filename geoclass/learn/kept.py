"""Decoded tiles, kept beside their data set: decoding 27,000 JPEGs once is enough."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from geoclass.learn.samples import find_place
from geoclass.products.writing import draft_folder, move_into_place, sweep_drafts

VERSION = 2
"""Raised when tiles are decoded differently."""

logger = logging.getLogger(__name__)


class KeptTiles:
    """A hidden file beside a data set, named after it and its fingerprint.

    It is mapped into memory, so that what is not used is not read. What has changed has another
    name, and is decoded anew.
    """

    def __init__(
        self, path: Path, names: Sequence[str], identity: Sequence[str], tile_size: int
    ) -> None:
        """`identity` changes with the content of the image of each of `names`."""
        self._shape = (len(names), 3, tile_size, tile_size)
        lines = [f"{VERSION} {tile_size}"]
        lines += [f"{name} {content}" for name, content in zip(names, identity, strict=True)]
        text = "\n".join(lines).encode(errors="surrogatepass")  # file names may not be UTF-8
        digest = hashlib.sha256(text).hexdigest()[:16]
        place = find_place(path)
        self._prefix = f".{place.name}."
        self.file = place.parent / f"{self._prefix}{digest}.npy"

    def read(self) -> np.ndarray | None:
        """The tiles, uint8 (n, 3, tile, tile); None where they were not kept."""
        if not self.file.exists():
            return None
        try:
            # Copy on write: torch wants memory that it could write to.
            images: np.ndarray = np.load(self.file, mmap_mode="c", allow_pickle=False)
        except (OSError, ValueError):
            return None
        return images if images.shape == self._shape and images.dtype == np.uint8 else None

    def write(self, images: np.ndarray) -> None:
        """Keep the tiles and drop those kept before; where that fails they are not kept."""
        try:
            sweep_drafts([self.file])
            # A draft of our own: another run may decode the same tiles at this moment.
            with draft_folder(self.file) as folder:
                draft = Path(folder) / self.file.name
                np.save(draft, images)
                # Just these: what `pair.zip` keeps begins as what `pair` does.
                kept = re.compile(re.escape(self._prefix) + r"[0-9a-f]{16}\.npy")
                for old in list(self.file.parent.iterdir()):
                    if kept.fullmatch(old.name):
                        old.unlink(missing_ok=True)
                move_into_place(draft, self.file)
        except OSError as error:
            logger.info("decoded tiles are not kept: %s", error)
