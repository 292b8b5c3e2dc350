"""What commands that draw pictures share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from geoclass.errors import OutputError


def check_pictures(pictures: Sequence[Path | None], *inputs: Path | None) -> None:
    """Refuse pictures that could not be drawn in the end, or would replace what is read."""
    from geoclass.learn.samples import check_outside
    from geoclass.products.formats import check_not_input
    from geoclass.products.writing import check_folder
    from geoclass.report.charts import check_picture

    given = [picture for picture in pictures if picture is not None]
    for picture in given:
        check_picture(picture)
        check_folder(picture)
        check_not_input(picture, *inputs)
        for path in inputs:
            if path is not None:
                check_outside(picture, path)
    if len({picture.resolve() for picture in given}) < len(given):
        raise OutputError(f"two pictures are to be written to {given[0]}: give each its own name")
