"""A stack of dated maps inside a GeoPackage: what change and monitor files are read back from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

import geoclass
from geoclass.contract import Contract
from geoclass.errors import OutputError
from geoclass.grid import Grid
from geoclass.monitor.align import Stack
from geoclass.monitor.settings import PairRate, SeriesSettings
from geoclass.products.blobs import read_blobs
from geoclass.products.layers import read_layer_items


def describe_stack(stack: Stack) -> dict[str, Any]:
    """All of a stack but its arrays, as plain data."""
    return {
        "version": geoclass.__version__,
        "grid": stack.grid.to_json(),
        "contract": stack.contract.to_json(),
        "model": stack.model,
        "radiometry": stack.radiometry,
        "dates": [day.isoformat() for day in stack.dates],
        "scenes": stack.scenes,
        "fingerprints": stack.fingerprints,
        "missions": stack.missions,
        "mismatches": stack.mismatches,
    }


def collect_arrays(stack: Stack) -> dict[str, np.ndarray]:
    """The arrays of a stack."""
    arrays = {}
    for number, day in enumerate(stack.dates):
        arrays[f"class_id {day}"] = stack.class_id[number]
        arrays[f"probabilities {day}"] = stack.probabilities[number]
    return arrays


def read_description(path: Path, *, layer: str, item: str, version: int) -> dict[str, Any]:
    """What stands in an item of a layer's metadata.

    Raises OutputError for any other file, and for one of another version; ValueError, KeyError
    or TypeError where it is damaged.
    """
    kind = layer_kind(item)
    items = read_layer_items(path, layer)
    if not items or item not in items:
        raise OutputError(f"{path} is no {kind} file: give one that `geoclass {kind}` wrote")
    described: dict[str, Any] = json.loads(items[item])
    if described["schema_version"] != version:
        raise OutputError(
            f"{path} is a {kind} file of schema version {described['schema_version']}, this "
            f"geoclass writes {version}: make it anew from its maps"
        )
    return described


def layer_kind(item: str) -> str:
    """`GEOCLASS_MONITOR` → monitor."""
    return item.removeprefix("GEOCLASS_").lower()


def read_stack(path: Path, described: Mapping[str, Any]) -> Stack:
    """The stack that a file keeps."""
    grid = Grid.from_json(described["grid"])
    contract = Contract.from_json(described["contract"])

    def stored(kind: str, *more: int) -> np.ndarray:
        shape = (grid.rows, grid.cols, *more)
        sizes = {f"{kind} {day}": math.prod(shape) for day in described["dates"]}
        return np.stack(list(read_blobs(path, sizes).values())).reshape(-1, *shape)

    return Stack(
        grid=grid,
        contract=contract,
        model=described["model"],
        radiometry=described["radiometry"],
        dates=tuple(date.fromisoformat(day) for day in described["dates"]),
        scenes=tuple(described["scenes"]),
        fingerprints=tuple(described["fingerprints"]),
        missions=tuple(described.get("missions", [None] * len(described["dates"]))),
        probabilities=stored("probabilities", len(contract.legend)),
        class_id=stored("class_id"),
        mismatches=tuple(described["mismatches"]),
    )


def parse_series_settings(data: Mapping[str, Any]) -> SeriesSettings:
    """The settings that `dataclasses.asdict` described."""
    pairs = tuple(PairRate(**pair) for pair in data["pairs"])
    # Files of old took each date's errors for its own.
    return SeriesSettings(**{"error_days": 0.0, **data, "pairs": pairs})
