"""Open a scene: what is known before a pixel is read, what identifies it, and if it has changed."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rasterio.enums import ColorInterp, Interleaving
from rasterio.io import DatasetReader

from geoclass.dates import find_days
from geoclass.errors import SceneError
from geoclass.scene.open.bands import Bands, choose_bands, is_described
from geoclass.scene.open.facts import (
    Kind,
    Raster,
    SceneFacts,
    SceneInput,
    Triple,
    describe_scaling,
    make_triple,
    read_tags,
)
from geoclass.scene.open.gdal import count_bytes, open_dataset
from geoclass.scene.open.guard import list_addresses, list_files, list_names
from geoclass.scene.open.inputs import find_input
from geoclass.scene.open.network import identify_address
from geoclass.scene.open.safe import check_member


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSource(Raster):
    """A raster with red, green and blue bands, and what its product says of them."""

    kind: Kind
    described: bool
    """Whether its bands have names; pictures usually have none."""
    facts: SceneFacts
    warnings: tuple[str, ...]
    """Assumptions that were made."""
    adjacent: tuple[SceneSource, ...] = ()
    """Scenes of the same day that touch it and are mapped together with it."""
    haze: Triple | None = None
    """Haze of all of them; None: each scene is estimated separately."""

    @property
    def is_true_color(self) -> bool:
        """Whether it is named as a Sentinel-2 true colour image (TCI)."""
        return "TCI" in self.name.upper().replace(".", "_").split("_")

    @property
    def date(self) -> str | None:
        """Day of sensing, YYYY-MM-DD."""
        return self.facts.date


def open_scene(scene: Path | str, bands: Sequence[int | str] | None = None) -> SceneSource:
    """Open a scene; `bands` are numbers or names of red, green and blue. No pixel is read.

    Raises SceneError if it is missing, unreadable, or has no three bands of one type. Its numbers
    and its location are checked where they are used.
    """
    found = find_input(scene)
    with open_dataset(found.dataset, found.shown) as dataset:
        _check_pixels(found.shown, dataset)
        chosen, warned = choose_bands(found.shown, dataset, bands or found.bands)
        dtypes = {dataset.dtypes[i - 1] for i in chosen}
        if len(dtypes) > 1:
            raise SceneError(
                f"the bands {','.join(map(str, chosen))} of {found.shown} are of different types "
                f"({', '.join(sorted(dtypes))}): convert them to one"
            )
        facts = _collect_facts(found, dataset, chosen)
        # Before GDAL lists files: afterwards, asking a remote file for masks may not return.
        source = SceneSource.describe(
            dataset,
            chosen,
            dataset=found.dataset,
            shown=found.shown,
            name=found.name,
            kind=found.kind,
            described=is_described(dataset),
            facts=facts,
            files=(),
            identity={},
            warnings=(*warned, *_doubt_day(found, facts)),
        )
        files = _list_files(found, dataset)
        return replace(source, files=files, identity=identify(found, files))


MOST_BLOCK_BYTES = 768 * 2**20
"""A Sentinel-2 tile in one block, three bands of uint16, has 723 MB."""


def _check_pixels(shown: str, dataset: DatasetReader) -> None:
    if dataset.count == 0:
        inside = ", ".join(dataset.subdatasets[:4]) or "nothing that GDAL can read"
        raise SceneError(
            f"{shown} has no bands of its own, but holds {inside}: "
            "give the name of one instead, or three as red=…,green=…,blue=…"
        )
    t = dataset.transform
    # Without a CRS, some drivers return an arbitrary transform.
    if dataset.crs and not (all(map(math.isfinite, t[:6])) and 1e-20 < abs(t.determinant) < 1e20):
        raise SceneError(
            f"{shown} has the transform {tuple(t)[:6]}, whose pixels have no size: fix it"
        )
    bits = {dataset.tags(i, ns="IMAGE_STRUCTURE").get("NBITS", "8") for i in dataset.indexes}
    if "1" in bits:
        raise SceneError(
            f"{shown} has bands of 1 bit, which are masks or drawings: expected bands of 8 or more"
        )
    for (rows, columns), dtype in zip(dataset.block_shapes, dataset.dtypes, strict=True):
        together = dataset.count if dataset.interleaving == Interleaving.pixel else 1
        size = rows * columns * count_bytes(dtype) * together
        if size > MOST_BLOCK_BYTES:
            raise SceneError(
                f"{shown} is stored in blocks of {columns}×{rows} pixels, which take "
                f"{size / 1e9:.1f} GB of memory: store it in tiles, by gdal_translate -co TILED=YES"
            )
    if "complex" in dataset.dtypes[0]:
        raise SceneError(
            f"{shown} holds complex numbers ({dataset.dtypes[0]}), as radar products do: "
            "expected an optical scene of uint8 or uint16"
        )
    if dataset.count < 3:
        palette = dataset.colorinterp == (ColorInterp.palette,)
        kind = "one band of palette colours" if palette else f"{dataset.count} band(s)"
        raise SceneError(
            f"{shown} has {kind}, but red, green and blue are needed: give three files as "
            "red=FILE,green=FILE,blue=FILE, or stack B04, B03 and B02 into one"
        )


def _collect_facts(found: SceneInput, dataset: DatasetReader, bands: Bands) -> SceneFacts:
    tagged = read_tags(found.shown, dataset.tags())
    # Product metadata take precedence over tags, and tags over file names.
    known = found.kind in ("safe", "stac")
    facts = found.facts.over(tagged) if known else tagged.over(found.facts)
    if facts.scales is None:
        scales = make_triple(dataset.scales[band - 1] for band in bands)
        offsets = make_triple(dataset.offsets[band - 1] for band in bands)
        told = (scales, offsets) != ((1, 1, 1), (0, 0, 0))
        # An offset of 0 beside Sentinel-2's scale is only a default.
        scaled = describe_scaling(scales, offsets) if told else SceneFacts()
        if scaled.add_offset != 0 and facts.add_offset is None:
            facts = scaled.over(facts)
    return facts


def _doubt_day(found: SceneInput, facts: SceneFacts) -> tuple[str, ...]:
    if facts.date is not None or not (days := find_days(found.name)):
        return ()
    doubt = (
        f"the name of {found.shown} may mean {' or '.join(map(str, days))}, so its day is unknown: "
        "leave one day in the name, or give --date to geoclass monitor"
    )
    return (doubt,)


def _list_files(found: SceneInput, dataset: DatasetReader) -> tuple[Path, ...]:
    """Files of the input, and those that GDAL reads beside them: masks, parts of a VRT."""
    files = dict.fromkeys(path.resolve() for path in found.files)
    if missing := [path for path in files if not path.exists()]:
        raise SceneError(f"{found.shown} refers to {missing[0]}, which is missing: fetch it again")
    for path in map(Path, dataset.files):
        if path.is_file():
            parts = sorted(list_files(path)) if dataset.driver == "VRT" else [path]
            files |= dict.fromkeys(part.resolve() for part in parts)
    return tuple(files)


_MEMBER = re.compile(r"/vsizip/\{(/.*)\}/([^{}]+)")
"""A zip and the name of a file in it."""
_COLOR_MARK = re.compile("((?:^|,)(?:red|green|blue)=)")


def identify(found: SceneInput, files: Sequence[Path]) -> dict[str, Any]:
    """JSON that identifies a scene and its state, however its name was typed."""
    parts = [*map(identify_file, files), *found.addresses]
    if found.item is not None:
        item, sha256 = found.item
        return {"path": f"{files[0]}#{item}", "item_sha256": sha256, "files": parts[1:]}
    if len(parts) == 1:
        return parts[0]
    pieces = _COLOR_MARK.split(found.shown) if found.kind == "bands" else [found.shown]
    return {"path": "".join(map(spell_file, pieces)), "files": parts}


def identify_file(path: Path) -> dict[str, Any]:
    """State of a local file; programs cannot set the time of change (`ctime`)."""
    status = path.stat()
    return {
        "path": str(path),
        "bytes": status.st_size,
        "modified_ns": status.st_mtime_ns,
        "changed_ns": status.st_ctime_ns,
    }


def is_unchanged(raster: Raster) -> bool:
    """Whether the files of a raster are as they were when it was opened.

    Remote files are compared by ETag, size and time, as far as the server sent them.
    """
    for name in list_names(raster.dataset):  # a link may point elsewhere now
        if Path(name).is_file() and Path(name).resolve() not in raster.files:
            return False
    asked: dict[Any, Mapping[str, Any]] = {
        part["path"]: part for part in map(identify_address, list_addresses(raster.dataset))
    }
    for part in raster.identity.get("files", [raster.identity]):
        local = "modified_ns" in part
        now = {} if local else asked.get(part.get("path"), {})
        if local:
            with contextlib.suppress(OSError):  # removed
                now = identify_file(Path(part["path"]))
        # A server may send other fields now than before.
        if (local and now != part) or any(part.get(key, now[key]) != now[key] for key in now):
            return False
    return True


def check_read(*rasters: Raster | None) -> None:
    """Call after the last read: SceneError if a raster has changed, or its zip is damaged."""
    for raster in filter(None, rasters):
        if not is_unchanged(raster):
            raise SceneError(f"{raster.shown} was changed while it was read: do it again")
        for part in filter(None, map(_MEMBER.fullmatch, list_names(raster.dataset))):
            check_member(Path(part[1]), part[2])


def spell_file(name: str) -> str:
    """The absolute path of an existing file or folder; other names are returned unchanged."""
    return str(Path(name).resolve()) if os.path.exists(name) else name  # noqa: PTH110  # of any text
