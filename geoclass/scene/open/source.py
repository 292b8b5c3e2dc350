"""From what a person names to what is known of a scene before a pixel is read."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from affine import Affine
from rasterio.enums import ColorInterp, Interleaving, MaskFlags
from rasterio.io import DatasetReader

from geoclass.dates import find_days
from geoclass.errors import SceneError
from geoclass.outside import hide_secrets, parse_json
from geoclass.scene.open.bands import Bands, choose_bands, is_described
from geoclass.scene.open.facts import (
    Kind,
    SceneFacts,
    SceneInput,
    Triple,
    describe_scaling,
    read_tags,
)
from geoclass.scene.open.gdal import count_bytes, open_dataset
from geoclass.scene.open.guard import list_addresses, list_files, list_members, list_names
from geoclass.scene.open.inputs import find_input
from geoclass.scene.open.network import identify_address
from geoclass.scene.open.safe import check_members
from geoclass.scene.open.stac import ItemsJson

_COLOR_MARK = re.compile("((?:^|,)(?:red|green|blue)=)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Possible:
    """Stored numbers that ground can have; a pixel with others in any band is missing."""

    low: float
    high: float
    dark: float
    """A 0 in one band is darkness where no band has more than this, else it is missing."""
    rim: float | None = None
    """A pixel of which no band is brighter is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSource:
    """A raster with red, green and blue, wherever it lies and whatever it is made of."""

    dataset: str
    """The name under which GDAL opens it."""
    shown: str
    """What messages call it."""
    name: str
    """Short, for titles and provenance."""
    kind: Kind
    height: int
    width: int
    transform: Affine
    """From (column, row) of pixel corners to x, y; the identity where the file has none."""
    crs: str | None
    """WKT."""
    gcps: int
    """Number of ground control points, which count where there is no transform."""
    gcp_crs: str | None
    """WKT of the points' coordinates."""
    rpcs: bool
    """Whether rational polynomial coefficients tell where the scene lies."""
    bands: Bands
    """Numbers of the red, green and blue band, counted from 1."""
    described: bool
    """Whether its bands have names, as measurements have and pictures for the eye have not."""
    dtype: str
    """Of the three bands, such as `uint16` or `float32`."""
    nodata: float | None
    """The number of the red band that means: nothing here."""
    block_height: int
    """Rows that are stored, and so best read, together."""
    always_valid: bool
    """True where the file marks no pixel as missing."""
    facts: SceneFacts
    """Level, baseline, offsets, date and more, as far as the scene tells."""
    files: tuple[Path, ...]
    """The local files that are read, which no output may replace."""
    identity: Mapping[str, Any]
    """Tells whether the scene is still the same: names, sizes, times of last change."""
    warnings: tuple[str, ...]
    """What had to be guessed."""
    possible: Possible | None = None
    """Which numbers ground can have; None: all."""
    adjacent: tuple[SceneSource, ...] = ()
    """Scenes of the same day that it touches, which are mapped with it."""
    haze: Triple | None = None
    """What is to be taken off all of them, where it is not chosen; None: each for itself."""

    @property
    def is_true_color(self) -> bool:
        """Whether its name is that of one of Sentinel-2's true colour images."""
        return "TCI" in self.name.upper().replace(".", "_").split("_")

    @property
    def date(self) -> str | None:
        """Day of sensing, YYYY-MM-DD."""
        return self.facts.date


def open_scene(scene: Path | str, bands: Sequence[int | str] | None = None) -> SceneSource:
    """Look at a scene; `bands` numbers or names red, green and blue where it does not itself.

    Raises SceneError where it is missing, unreadable, or has no three bands of one kind. Whether
    its numbers and its place are of use is decided by those who use them.
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
        flags = [flag for i in chosen for flag in dataset.mask_flag_enums[i - 1]]
        gcps, gcp_crs = dataset.gcps
        files = _list_files(found, dataset)
        facts = _collect_facts(found, dataset, chosen)
        return SceneSource(
            dataset=found.dataset,
            shown=found.shown,
            name=found.name,
            kind=found.kind,
            height=dataset.height,
            width=dataset.width,
            transform=dataset.transform,
            crs=dataset.crs.to_wkt() if dataset.crs else None,
            gcps=len(gcps),
            gcp_crs=gcp_crs.to_wkt() if gcp_crs else None,
            rpcs=dataset.rpcs is not None,
            bands=chosen,
            described=is_described(dataset),
            dtype=dtypes.pop(),
            nodata=dataset.nodatavals[chosen[0] - 1],
            block_height=dataset.block_shapes[chosen[0] - 1][0],
            always_valid=all(flag == MaskFlags.all_valid for flag in flags),
            facts=facts,
            files=files,
            identity=identify(found, files),
            warnings=(*warned, *_doubt_day(found, facts)),
        )


MOST_BLOCK_BYTES = 768 * 2**20
"""A whole tile of Sentinel-2 in one piece, three bands of uint16, takes 723 MB."""


def _check_pixels(shown: str, dataset: DatasetReader) -> None:
    if dataset.count == 0:
        inside = ", ".join(dataset.subdatasets[:4]) or "nothing that GDAL can read"
        raise SceneError(
            f"{shown} has no bands of its own, but holds {inside}: "
            "give the name of one instead, or three as red=…,green=…,blue=…"
        )
    t = dataset.transform
    # Of files without a CRS some drivers leave it to chance.
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
    # Product metadata know better than the files of its bands; a file's name knows less.
    known = found.kind in ("safe", "stac")
    facts = found.facts.over(tagged) if known else tagged.over(found.facts)
    if facts.scales is None:
        scales, offsets = _pick(dataset.scales, bands), _pick(dataset.offsets, bands)
        told = (scales, offsets) != ((1, 1, 1), (0, 0, 0))
        # An offset of 0 beside Sentinel-2's scale is not told, only not set.
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


def _pick(values: Sequence[float], bands: Bands) -> Triple:
    red, green, blue = bands
    return values[red - 1], values[green - 1], values[blue - 1]


def _list_files(found: SceneInput, dataset: DatasetReader) -> tuple[Path, ...]:
    """What the input is known to consist of, and what GDAL says it reads: masks, parts of a VRT."""
    files = dict.fromkeys(path.resolve() for path in found.files)
    if missing := [path for path in files if not path.exists()]:
        raise SceneError(f"{found.shown} refers to {missing[0]}, which is missing: fetch it again")
    for path in map(Path, dataset.files):
        if path.is_file():
            parts = sorted(list_files(path)) if dataset.driver == "VRT" else [path]
            files |= dict.fromkeys(part.resolve() for part in parts)
    return tuple(files)


def identify(found: SceneInput, files: Sequence[Path]) -> dict[str, Any]:
    """What tells whether a scene is still the same, as JSON; however it was typed."""
    collection, item = _split_item(found)
    if collection is None:
        parts = [*map(identify_file, files), *found.addresses]
        return parts[0] if len(parts) == 1 else {"path": _spell(found), "files": parts}
    # Of a collection only this item counts: others come and go.
    assets = [identify_file(path) for path in files if path != collection]
    status = collection.stat()
    hashes = _hash_items(collection, status.st_size, status.st_mtime_ns)
    return {
        "path": _spell(found),
        "item_sha256": hashes.get(item),
        "files": [*assets, *found.addresses],
    }


def _split_item(found: SceneInput) -> tuple[Path | None, str]:
    """File and ID where a scene is an item of a collection in a file."""
    for path in found.files[:1] if found.kind == "stac" else ():
        if found.shown.startswith(f"{path}#"):
            return path.resolve(), found.shown.removeprefix(f"{path}#")
    return None, ""


@lru_cache(maxsize=1)
def _hash_items(collection: Path, _bytes: int, _modified_ns: int) -> dict[str, str]:
    """SHA-256 of each item of a collection, without secrets; kept, as all are asked for."""
    hashes = dict[str, str]()
    for item in parse_json(collection.read_bytes(), ItemsJson)["features"]:
        if isinstance(item, dict) and item.get("id") is not None:
            text = hide_secrets(json.dumps(item, sort_keys=True))
            hashes.setdefault(str(item["id"]), hashlib.sha256(text.encode()).hexdigest())
    return hashes


def identify_file(path: Path) -> dict[str, Any]:
    """What tells whether a local file is still the same; the time of change nobody can set."""
    status = path.stat()
    return {
        "path": str(path),
        "bytes": status.st_size,
        "modified_ns": status.st_mtime_ns,
        "changed_ns": status.st_ctime_ns,
    }


def is_unchanged(source: SceneSource) -> bool:
    """Whether the files that a scene was found to consist of are still those.

    Of remote ones it is asked where the server said what tells: an ETag, a size or a time.
    """
    for name in list_names(source.dataset):  # a link may lead elsewhere by now
        if Path(name).is_file() and Path(name).resolve() not in source.files:
            return False
    asked: dict[Any, Mapping[str, Any]] = {
        part["path"]: part for part in map(identify_address, list_addresses(source.dataset))
    }
    for part in source.identity.get("files", [source.identity]):
        local = "modified_ns" in part
        now = _identify_again(part) if local else asked.get(part.get("path"), {})
        # What a server does not say now, it may say later.
        if (local and now != part) or any(part.get(key, now[key]) != now[key] for key in now):
            return False
    return True


def _identify_again(part: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return identify_file(Path(part["path"]))
    except OSError:
        return {}


def check_read(*sources: SceneSource | None) -> None:
    """After the last read: SceneError where what was read is not what was looked at, or damaged."""
    for source in sources:
        if source is None:
            continue
        if not is_unchanged(source):
            raise SceneError(f"{source.shown} was changed while it was read: do it again")
        for archive, members in list_members(source.dataset).items():
            check_members(archive, members)


def _spell(found: SceneInput) -> str:
    """The scene's name with local files as they are called from everywhere."""
    if found.kind == "bands":
        return "".join(spell_file(piece) for piece in _COLOR_MARK.split(found.shown))
    collection, item = _split_item(found)
    return spell_file(found.shown) if collection is None else f"{collection}#{item}"


def spell_file(name: str) -> str:
    """The one path of a file or folder, however it was typed; what is none stays as it is."""
    try:
        path = Path(name)
        return str(path.resolve()) if name and path.exists() else name
    except (OSError, ValueError):  # too long, or with characters that no path has
        return name
