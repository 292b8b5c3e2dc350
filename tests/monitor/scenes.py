"""Dated maps made of drawings, for the tests of this room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import rasterio
from affine import Affine

from geoclass.grid import Grid
from geoclass.legend import EUROSAT, MASKED, NODATA
from geoclass.monitor.align import DatedMap
from tests.conftest import TRANSFORM, UTM, make_contract, make_landcover

FOREST, CROP, WATER = 1, 0, 9
CLOUD = MASKED

REALISTIC = tuple(tuple(92 if i == j else 1 for j in range(10)) for i in range(10))
"""A confusion matrix with some errors of each kind."""


def make_map(
    codes: Sequence[Sequence[int]] | np.ndarray,
    day: str = "2020-06-01",
    *,
    sure: float = 0.95,
    transform: Affine = TRANSFORM,
    trim: tuple[int, int] = (0, 0),
    scene: str | None = None,
    provenance: dict[str, Any] | None = None,
    **changes: Any,
) -> DatedMap:
    """A map of class codes; every label has the same confidence."""
    codes = np.array(codes, dtype=np.uint8)
    rows, cols = codes.shape
    labelled = codes < len(EUROSAT)
    rest = round(250 * (1 - sure) / 9)
    probabilities = np.full((rows, cols, 10), rest, dtype=np.uint8)
    np.put_along_axis(
        probabilities, np.where(labelled, codes, 0)[:, :, None].astype(int), 250 - 9 * rest, axis=2
    )
    probabilities[~labelled] = 0
    base = make_landcover()
    grid = Grid(
        height=64 * rows - trim[0],
        width=64 * cols - trim[1],
        transform=transform,
        crs=rasterio.CRS.from_string(UTM).to_wkt(),
    )
    told = {
        "date": day,
        "scene": scene or f"scene_{day.replace('-', '')}.tif",
        "fingerprint": f"{day} {scene}",
        **(provenance or {}),
    }
    landcover = replace(
        base,
        grid=grid,
        contract=make_contract(confusion=REALISTIC),
        class_id=codes,
        best_class=np.where(labelled, codes, NODATA).astype(np.uint8),
        probabilities=probabilities,
        valid_share=np.full(codes.shape, 250, dtype=np.uint8),
        mask_reason=(codes == MASKED).astype(np.uint8),
        provenance=replace(base.provenance, **told),
    )
    return DatedMap(day=date.fromisoformat(day), landcover=replace(landcover, **changes))


def yearly(*drawings: Sequence[Sequence[int]]) -> list[DatedMap]:
    """One map a year from 2015 on."""
    return [make_map(codes, f"{2015 + i}-06-01") for i, codes in enumerate(drawings)]
