"""A stratified random sample of a map's cells, to be labelled by eye."""

from __future__ import annotations

from collections.abc import Mapping
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
from geoclass.monitor.settings import LEAST_A_STRATUM, SampleSettings
from geoclass.products.layers import Layer, write_layers
from geoclass.products.styles import Category, Choices, VectorStyle

ALIASES = (
    ("sample_id", "Number"),
    ("reference", "What is there"),
    ("area_ha", "Area (ha)"),
    ("row", "Row"),
    ("col", "Column"),
    ("chip", "Picture"),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Strata:
    """Into which stratum each cell falls."""

    grid: Grid
    names: tuple[str, ...]
    titles: tuple[str, ...]
    """For people."""
    stratum: np.ndarray
    """int64 (rows, cols): number of the stratum, -1 for cells that claim nothing."""
    accuracy: np.ndarray
    """float64 (strata,): the share of each stratum that is expected to be right."""
    left_out_ha: Mapping[str, float]
    """Area of the map that is in no stratum, by what the map says of it."""
    attribution: str
    """What is to be said of the sources; may be empty."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """Cells drawn from each stratum."""

    strata: Strata
    rows: np.ndarray
    """int64 (n,), in random order, so that the order betrays no stratum."""
    cols: np.ndarray
    """int64 (n,)."""


def sample_map(
    landcover: LandCoverMap | DatedMap,
    *,
    since: LandCoverMap | DatedMap | None = None,
    watch: str = "forest",
    settings: SampleSettings | None = None,
) -> Sample:
    """Draw a stratified random sample of a map's cells, to be labelled by eye.

    Strata are the map's classes; with an older map, `since`, loss and gain of the group `watch`,
    and what stayed. Raises SettingsError where there is nothing to draw from.
    """
    if since is not None:
        return draw_sample(stratify_change(change_maps(since, landcover), watch), settings=settings)
    newest = landcover.landcover if isinstance(landcover, DatedMap) else landcover
    return draw_sample(stratify_map(newest), settings=settings)


def stratify_map(landcover: LandCoverMap) -> Strata:
    """Strata that are the classes of the map's finest cells; those without a cell are left out."""
    landcover = landcover.finest
    present = [c for c in landcover.legend.classes if (landcover.class_id == c.class_id).any()]
    stratum = np.full(landcover.class_id.shape, -1, dtype=np.int64)
    accuracy = np.zeros(len(present))
    for number, item in enumerate(present):
        here = landcover.class_id == item.class_id
        stratum[here] = number
        accuracy[number] = landcover.confidence[here].mean()
    return Strata(
        grid=landcover.grid,
        names=tuple(c.name for c in present),
        titles=tuple(c.title for c in present),
        stratum=stratum,
        accuracy=accuracy,
        left_out_ha=_sum_left_out(
            landcover.grid,
            {name: landcover.class_id == code for code, name in LEFT_OUT_CODES.items()},
        ),
        attribution=landcover.provenance.attribution,
    )


def stratify_change(change: Change, group: str = "forest") -> Strata:
    """Strata loss, gain, stable and other of one group."""
    classes = change.stack.contract.legend.classes
    member = np.zeros(256, dtype=bool)
    for item in classes:
        member[item.class_id] = item.group == group
    if not member.any():
        raise SettingsError(f"{group} is no group of the maps")
    old, new = member[change.stack.class_id[0]], member[change.stack.class_id[1]]
    both = change.compared
    changed = np.nan_to_num(change.probability) > CHANGED
    kinds = (
        (f"{group} loss", both & changed & old & ~new),
        (f"{group} gain", both & changed & ~old & new),
        (f"stable {group}", both & old & ~(changed & ~new)),
        (f"stable non-{group}", both & ~old & ~(changed & new)),
    )
    present = [(name, mask) for name, mask in kinds if mask.any()]
    stratum = np.full(both.shape, -1, dtype=np.int64)
    accuracy = []
    for number, (name, mask) in enumerate(present):
        stratum[mask] = number
        p = change.probability[mask].astype(float)
        accuracy.append(float((p if name.endswith(("loss", "gain")) else 1 - p).mean()))
    names = tuple(name for name, _ in present)
    return Strata(
        grid=change.stack.grid,
        names=names,
        titles=names,
        stratum=stratum,
        accuracy=np.array(accuracy),
        left_out_ha=_sum_left_out(change.stack.grid, {"not compared": ~both}),
        attribution=change.stack.attribution,
    )


LEFT_OUT_CODES = {UNKNOWN: "unknown", MASKED: "masked", NODATA: "no data"}


def _sum_left_out(grid: Grid, where: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Hectares by name of where they are, bool (rows, cols); those of nothing are left out."""
    area = grid.areas_ha()
    return {name: float(area[there].sum()) for name, there in where.items() if there.any()}


def allocate(strata: Strata, settings: SampleSettings) -> np.ndarray:
    """int64 (strata,): how many cells to draw from each; at least two, at most all.

    A single cell is drawn for certain, so that its stratum has no error of sampling.

    Proportional: by area. Neyman: by area times √(a (1 − a)), where a is the accuracy that the
    map's own probabilities promise (Cochran 1977, eq. 5.26).
    """
    n = len(strata.names)
    inside = strata.stratum >= 0
    cells = np.bincount(strata.stratum[inside], minlength=n)
    area = np.bincount(strata.stratum[inside], weights=strata.grid.areas_ha()[inside], minlength=n)
    weights = np.ones(n)
    if settings.allocation != "equal":
        weights = area / area.sum()
    if settings.allocation == "neyman":
        a = np.clip(strata.accuracy, 0.5, 0.99)
        weights = weights * np.sqrt(a * (1 - a))
    wanted = np.rint(settings.per_class * n * weights / weights.sum()).astype(np.int64)
    counts: np.ndarray = np.minimum(np.maximum(wanted, LEAST_A_STRATUM), cells)
    return counts


def draw_sample(strata: Strata, *, settings: SampleSettings | None = None) -> Sample:
    """Draw cells at random without replacement; the same seed draws the same cells."""
    settings = settings or SampleSettings()
    if not len(strata.names):
        raise SettingsError("no cell claims a class: there is nothing to draw from")
    rng = np.random.default_rng(settings.seed)
    drawn = [
        rng.choice(np.flatnonzero(strata.stratum.ravel() == number), size=count, replace=False)
        for number, count in enumerate(allocate(strata, settings))
    ]
    cells = rng.permutation(np.concatenate(drawn))
    rows, cols = np.divmod(cells, strata.grid.cols)
    return Sample(strata=strata, rows=rows, cols=cols)


def write_sample(
    sample: Sample, path: Path | str, *, chips: Mapping[int, str] | None = None
) -> None:
    """Write layer `sample` to be labelled, and tables `design`, `strata`, `left_out`; OutputError.

    The layer does not say what the map says: who labels should not know.
    `chips` gives the path of a picture by number of the sample, from 1.
    """
    strata = sample.strata
    n = len(sample.rows)
    numbers = np.arange(1, n + 1)
    stratum = strata.stratum[sample.rows, sample.cols]
    area = strata.grid.areas_ha()
    inside = strata.stratum >= 0
    texts = np.array(strata.names, dtype=object)
    choices = list(zip(strata.titles, strata.names, strict=True))
    style = VectorStyle(
        title="Which cells have been labelled",
        column="reference",
        entries=[
            Category(value="", label="to be labelled", color="#fdae61"),
            *(Category(value=name, label=title, color="#abd9e9") for title, name in choices),
        ],
        aliases=ALIASES,
        choices=Choices(column="reference", options=choices),
        picture="chip",
    )
    layer = Layer(
        name="sample",
        columns={
            "sample_id": numbers,
            "reference": np.full(n, "", dtype=object),
            "area_ha": area[sample.rows, sample.cols].round(4),
            "row": sample.rows.astype(np.int32),
            "col": sample.cols.astype(np.int32),
            "chip": np.array([(chips or {}).get(int(i), "") for i in numbers], dtype=object),
        },
        polygons=strata.grid.polygons(sample.rows, sample.cols),
        crs=str(strata.grid.crs),
        styles={"Reference": style},
    )
    design = {"sample_id": numbers, "stratum": texts[stratum], "map_class": texts[stratum]}
    counts = np.bincount(strata.stratum[inside], minlength=len(texts))
    described = {
        "stratum": texts,
        "cells": counts,
        "area_ha": np.bincount(strata.stratum[inside], weights=area[inside], minlength=len(texts)),
    }
    tables = [Layer(name="design", columns=design), Layer(name="strata", columns=described)]
    if strata.left_out_ha:
        left_out = {
            "status": np.array(list(strata.left_out_ha), dtype=object),
            "area_ha": np.array(list(strata.left_out_ha.values())),
        }
        tables.append(Layer(name=LEFT_OUT, columns=left_out))
    write_layers(
        Path(path),
        [layer, *tables],
        {"GEOCLASS_SAMPLE": "1", "ATTRIBUTION": strata.attribution},
    )
