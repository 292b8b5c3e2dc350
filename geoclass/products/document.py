"""The metadata of a land-cover map, stored as JSON in every format."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NotRequired, TypedDict

from geoclass.contract import Contract
from geoclass.errors import OutputError
from geoclass.grid import Grid
from geoclass.landcover import LandCoverMap, Provenance
from geoclass.machine import find_memory_bytes
from geoclass.outside import DAMAGE, parse_json
from geoclass.products.formats import AS_USUAL, FileSettings

SCHEMA_VERSION = 3
"""Incremented when older readers would misinterpret a new file.

1 has no mask reasons; 2 has no detail, and a table of cells in GeoPackages.
"""

PLANES = ("class_id", "best_class", "valid_share", "mask_reason")
"""Arrays of a map, except probabilities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A map without its arrays."""

    version: int
    """Schema version."""
    grids: tuple[Grid, ...]
    """Grid of the map and, if it has one, of its detail."""
    contract: Contract
    provenance: Provenance
    colored: tuple[bool, ...]
    """Whether colours of cells are stored, for each grid."""

    def check_size(self) -> None:
        """ValueError if the map does not fit into memory."""
        cells = sum(grid.rows * grid.cols for grid in self.grids)
        needed = cells * (len(PLANES) + 2 * len(self.contract.legend))
        if needed > find_memory_bytes():
            raise ValueError(f"it has {cells} cells, which do not fit into memory")

    def build(self, levels: Iterable[Mapping[str, Any]]) -> LandCoverMap:
        """The map, from the named arrays of each grid."""
        landcover, *finer = [
            LandCoverMap(grid=grid, contract=self.contract, provenance=self.provenance, **arrays)
            for grid, arrays in zip(self.grids, levels, strict=True)
        ]
        for level in (landcover, *finer):
            level.check_codes()
        return replace(landcover, detail=finer[0]) if finer else landcover


def describe_map(landcover: LandCoverMap, settings: FileSettings = AS_USUAL) -> dict[str, str]:
    """Metadata items: `GEOCLASS` is read back, the others are for people."""
    provenance = landcover.provenance
    document = {
        "schema_version": SCHEMA_VERSION,
        "grid": landcover.grid.to_json(),
        "detail_stride": landcover.detail.grid.stride if landcover.detail else None,
        "colored": [level.colors is not None for level in landcover.levels],
        "contract": landcover.contract.to_json(),
        "provenance": provenance.to_json(),
    }
    return {
        "GEOCLASS": json.dumps(document, sort_keys=True),
        "GEOCLASS_VERSION": provenance.version,
        "GEOCLASS_SCENE": provenance.scene,
        "GEOCLASS_DATE": provenance.date or "unknown",
        "GEOCLASS_MODEL_SHA256": provenance.model,
        "GEOCLASS_RADIOMETRY": str(provenance.radiometry.get("reason", "")),
        "GEOCLASS_SCENE_SIZE": f"{landcover.grid.width} x {landcover.grid.height} pixels",
        "GEOCLASS_COMMAND": provenance.command,
        "GEOCLASS_FINGERPRINT": settings.mark(provenance.fingerprint),
        "ATTRIBUTION": provenance.attribution,
        "GEOCLASS_REQUEST": provenance.request and settings.mark(provenance.request),
    }


def summarise_map(landcover: LandCoverMap) -> str:
    """One line for people."""
    provenance = landcover.provenance
    day = f" of {provenance.date}" if provenance.date else ""
    source = f" It {provenance.attribution}." if provenance.attribution else ""
    return (
        f"Land cover in {provenance.scene}{day}, mapped by geoclass {provenance.version}.{source}"
    )


MERGED = "GEOCLASS_SCENES"
"""Metadata item of a merged map: its number of scenes."""


def parse_document(path: str, items: Mapping[str, str] | None) -> Document:
    """Parse the metadata items of a file; OutputError if they are missing, newer or damaged."""
    if items and MERGED in items:
        raise OutputError(
            f"{path} is merged from the maps of {items[MERGED]} scenes, which lie beside it in "
            "the folder of its name that ends in .scenes: give one of those"
        )
    if not items or "GEOCLASS" not in items:
        raise OutputError(f"{path} is no land-cover map of geoclass: give one that it wrote")
    try:
        whole = parse_json(items["GEOCLASS"], _DocumentJson, what="the description", nan=True)
        version = whole["schema_version"]
        if version > SCHEMA_VERSION:
            raise OutputError(
                f"{path} has schema version {version}, this geoclass knows up to "
                f"{SCHEMA_VERSION}: update geoclass"
            )
        grid, stride = Grid.from_json(whole["grid"]), whole.get("detail_stride")
        grids = (grid,) if stride is None else (grid, replace(grid, stride=stride))
        document = Document(
            version=version,
            grids=grids,
            colored=tuple(whole.get("colored", [False] * len(grids))),
            contract=Contract.from_json(whole["contract"]),
            provenance=Provenance.from_json(whole["provenance"]),
        )
        document.check_size()
    except DAMAGE as error:
        raise OutputError(f"the description inside {path} is damaged: {error}") from error
    return document


class _DocumentJson(TypedDict):
    schema_version: int
    grid: dict[str, Any]
    detail_stride: NotRequired[int | None]
    contract: dict[str, Any]
    provenance: dict[str, Any]
