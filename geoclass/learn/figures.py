"""Pictures of tiles."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from geoclass.errors import OutputError
from geoclass.learn.vision import import_torchvision
from geoclass.products.writing import check_folder, write_whole

TILES_A_ROW = 10


def check_sheet(path: Path) -> None:
    """Refuse a name or folder that `save_contact_sheet` could not write to; OutputError."""
    if Image.registered_extensions().get(path.suffix.lower()) not in Image.SAVE:
        raise OutputError(
            f"cannot write the picture {path}: {path.suffix or 'a name without suffix'} is no "
            "picture's suffix, give one such as .png or .jpg"
        )
    check_folder(path)


def save_contact_sheet(images: np.ndarray, path: Path | str) -> None:
    """Write uint8 tiles (n, 3, s, s) as one picture, ten a row, whole or not at all."""
    import_torchvision()
    from torchvision.utils import make_grid

    grid = make_grid(torch.from_numpy(images), nrow=TILES_A_ROW, pad_value=255)
    path = Path(path)
    content = io.BytesIO()
    try:
        file_format = Image.registered_extensions().get(path.suffix.lower(), path.suffix)
        Image.fromarray(grid.permute(1, 2, 0).numpy()).save(content, file_format)
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"cannot write the picture {path}: {error}") from error
    write_whole(path, content.getvalue())
