"""Stratified random sample of a map's cells, for visual interpretation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geoclass.errors import SettingsError
from geoclass.grid import Grid
from geoclass.landcover import LandCoverMap
from geoclass.legend import MASKED, NODATA, UNKNOWN
from geoclass.monitor.align import DatedMap
from geoclass.monitor.area import LEFT_OUT
from geoclass.monitor.change import CHANGED, Change, change_maps
from geoclass.monitor.layers import build_layer
from geoclass.monitor.settings import MIN_PER_STRATUM, SampleSettings
from geoclass.monitor.tables import as_texts
from geoclass.products.layers import Layer, write_layers
from geoclass.products.styles import Category, VectorStyle

LEFT_OUT_CODES = {UNKNOWN: "unknown", MASKED: "masked", NODATA: "no data"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Strata:
    """The stratum of each cell."""

    grid: Grid
    names: tuple[str, ...]
    titles: tuple[str, ...]
    """For users."""
    stratum: np.ndarray
    """int64 (rows, cols): number of the stratum, -1 for cells without a class."""
    accuracy: np.ndarray
    """float64 (strata,): expected accuracy of the map in each stratum."""
    left_out_ha: Mapping[str, float]
    """Area of the map outside all strata, by status."""
    attribution: str
    """Credit that the licence of the images requires; may be empty."""

    @property
    def cells(self) -> np.ndarray:
        """int64 (strata,): number of cells."""
        return np.bincount(self.stratum[self.stratum >= 0], minlength=len(self.names))

    @property
    def area_ha(self) -> np.ndarray:
        """float64 (strata,)."""
        inside = self.stratum >= 0
        area = self.grid.areas_ha()[inside]
        return np.bincount(self.stratum[inside], weights=area, minlength=len(self.names))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """Cells drawn from each stratum."""

    strata: Strata
    rows: np.ndarray
    """int64 (n,), in random order, so that the order does not show the stratum."""
    cols: np.ndarray
    """int64 (n,)."""


def sample_map(
    landcover: LandCoverMap | DatedMap,
    *,
    since: LandCoverMap | DatedMap | None = None,
    watch: str = "forest",
    settings: SampleSettings | None = None,
) -> Sample:
    """Draw a stratified random sample of a map's cells, for visual interpretation.

    The strata are the map's classes; with an older map, `since`, they are loss, gain and stable
    area of the group `watch`, and the rest. Raises SettingsError if no cell has a class.
    """
    if since is not None:
        return draw_sample(stratify_change(change_maps(since, landcover), watch), settings=settings)
    newest = landcover.landcover if isinstance(landcover, DatedMap) else landcover
    return draw_sample(stratify_map(newest), settings=settings)


def stratify_map(landcover: LandCoverMap) -> Strata:
    """The classes of the map's finest cells as strata; without classes that do not occur."""
    landcover = landcover.finest
    codes = landcover.class_id
    return _build_strata(
        landcover.grid,
        [(c.name, c.title, codes == c.class_id) for c in landcover.legend.classes],
        landcover.confidence,
        {name: codes == code for code, name in LEFT_OUT_CODES.items()},
        landcover.provenance.attribution,
    )


def stratify_change(change: Change, group: str = "forest") -> Strata:
    """Loss, gain, stable area of one group, and the rest as strata."""
    members = [c.class_id for c in change.stack.contract.legend.classes if c.group == group]
    if not members:
        raise SettingsError(f"{group} is not a group of the maps")
    old, new = np.isin(change.stack.class_id, members)
    both, probability = change.compared, change.probability.astype(float)
    changed = np.nan_to_num(probability) > CHANGED
    loss, gain = both & changed & old & ~new, both & changed & ~old & new
    kinds = {
        f"{group} loss": loss,
        f"{group} gain": gain,
        f"stable {group}": both & old & ~loss,
        f"stable non-{group}": both & ~old & ~gain,
    }
    return _build_strata(
        change.stack.grid,
        [(name, name, mask) for name, mask in kinds.items()],
        np.where(loss | gain, probability, 1 - probability),
        {"not compared": ~both},
        change.stack.attribution,
    )


def _build_strata(
    grid: Grid,
    kinds: Sequence[tuple[str, str, np.ndarray]],
    confidence: np.ndarray,
    left_out: Mapping[str, np.ndarray],
    attribution: str,
) -> Strata:
    """Strata from (name, title, mask); masks and confidence are (rows, cols)."""
    present = [kind for kind in kinds if kind[2].any()]
    stratum = np.full(confidence.shape, -1, dtype=np.int64)
    for number, (_, _, mask) in enumerate(present):
        stratum[mask] = number
    area = grid.areas_ha()
    return Strata(
        grid=grid,
        names=tuple(name for name, _, _ in present),
        titles=tuple(title for _, title, _ in present),
        stratum=stratum,
        accuracy=np.array([confidence[mask].mean() for _, _, mask in present]),
        left_out_ha={
            name: float(area[mask].sum()) for name, mask in left_out.items() if mask.any()
        },
        attribution=attribution,
    )


def allocate(strata: Strata, settings: SampleSettings) -> np.ndarray:
    """int64 (strata,): number of cells to draw from each; at least two, at most all.

    Proportional: by area. Neyman: by area times √(a (1 − a)), with the accuracy a that the map's
    probabilities predict (Cochran 1977, eq. 5.26).
    """
    n = len(strata.names)
    weights = np.ones(n)
    if settings.allocation != "equal":
        weights = strata.area_ha / strata.area_ha.sum()
    if settings.allocation == "neyman":
        a = np.clip(strata.accuracy, 0.5, 0.99)
        weights = weights * np.sqrt(a * (1 - a))
    wanted = np.rint(settings.per_class * n * weights / weights.sum()).astype(np.int64)
    return np.minimum(np.maximum(wanted, MIN_PER_STRATUM), strata.cells)


def draw_sample(strata: Strata, *, settings: SampleSettings | None = None) -> Sample:
    """Draw cells at random without replacement; the same seed draws the same cells."""
    settings = settings or SampleSettings()
    if not len(strata.names):
        raise SettingsError("no cell has a class: there is nothing to sample")
    rng = np.random.default_rng(settings.seed)
    drawn = [
        rng.choice(np.flatnonzero(strata.stratum.ravel() == number), size=count, replace=False)
        for number, count in enumerate(allocate(strata, settings))
    ]
    rows, cols = np.divmod(rng.permutation(np.concatenate(drawn)), strata.grid.cols)
    return Sample(strata=strata, rows=rows, cols=cols)


def write_sample(
    sample: Sample, path: Path | str, *, chips: Mapping[int, str] | None = None
) -> None:
    """Write layer `sample` to be labelled, and tables `design`, `strata`, `left_out`; OutputError.

    The layer does not contain the map's class, which would influence the interpreter. `chips` is
    the path of an image by number of the sample, from 1.
    """
    strata = sample.strata
    numbers, names = np.arange(1, len(sample.rows) + 1), as_texts(strata.names)
    choices = list(zip(strata.titles, strata.names, strict=True))
    area = strata.grid.areas_ha()[sample.rows, sample.cols]
    columns = {
        "sample_id": ("Number", numbers),
        "reference": ("Class", as_texts("" for _ in numbers)),
        "area_ha": ("Area (ha)", area.round(4)),
        "row": ("Row", sample.rows.astype(np.int32)),
        "col": ("Column", sample.cols.astype(np.int32)),
        "chip": ("Picture", as_texts((chips or {}).get(int(i), "") for i in numbers)),
    }
    style = VectorStyle(
        title="Labelled cells",
        column="reference",
        entries=[
            Category(value="", label="not labelled", color="#fdae61"),
            *(Category(value=name, label=title, color="#abd9e9") for title, name in choices),
        ],
        choices=choices,
        picture="chip",
    )
    drawn = names[strata.stratum[sample.rows, sample.cols]]
    tables = {
        "design": {"sample_id": numbers, "stratum": drawn, "map_class": drawn},
        "strata": {"stratum": names, "cells": strata.cells, "area_ha": strata.area_ha},
    }
    if strata.left_out_ha:
        hectares = np.array(list(strata.left_out_ha.values()))
        tables[LEFT_OUT] = {"status": as_texts(strata.left_out_ha), "area_ha": hectares}
    polygons = strata.grid.polygons(sample.rows, sample.cols)
    layer = build_layer("sample", columns, polygons, str(strata.grid.crs), {"Reference": style})
    write_layers(
        Path(path),
        [layer, *(Layer(name=name, columns=table) for name, table in tables.items())],
        {"GEOCLASS_SAMPLE": "1", "ATTRIBUTION": strata.attribution},
    )
