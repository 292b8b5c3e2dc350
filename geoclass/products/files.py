"""Writing and reading maps and their styles, and the rule of what may be replaced."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyogrio.errors import DataLayerError, DataSourceError
from rasterio.errors import RasterioError

from geoclass.errors import OutputError, SettingsError
from geoclass.files.storage import StoredPath
from geoclass.files.writing import (
    Target,
    check_folder,
    check_not_open,
    draft_folder,
    move_into_place,
    parse_target,
    place_drafts,
    write_whole,
)
from geoclass.grid import Grid
from geoclass.landcover import LandCoverMap
from geoclass.legend import read_legend
from geoclass.outside import DAMAGE, encode_name
from geoclass.products import exports, geopackage, geotiff, stac
from geoclass.products.formats import AS_USUAL, SUFFIXES, FileSettings, MapFormat, find_format
from geoclass.products.layers import read_layer_items
from geoclass.products.shapes import ALIASES
from geoclass.products.styles import (
    StyleText,
    format_styles,
    map_styles,
    raster_styles,
    read_style_table,
)


@dataclass(frozen=True, slots=True)
class _Adapter:
    write: Callable[[LandCoverMap, Path, FileSettings], None]
    read: Callable[[Path], LandCoverMap]
    read_items: Callable[[Path], Mapping[str, str] | None]
    companions: tuple[str, ...]
    """Suffixes of the files beside a map."""

    def list_beside(self, path: Path) -> list[Path]:
        """The files beside a map of that name."""
        return [geotiff.companion(path, suffix) for suffix in self.companions]


_ADAPTERS: Mapping[MapFormat, _Adapter] = {
    "gpkg": _Adapter(geopackage.write_geopackage, geopackage.read_geopackage, read_layer_items, ()),
    "tif": _Adapter(
        geotiff.write_geotiff, geotiff.read_geotiff, geotiff.read_items, geotiff.COMPANIONS
    ),
    "parquet": _Adapter(
        exports.write_copy, exports.refuse_to_read, exports.read_parquet_items, (".qml",)
    ),
    **dict.fromkeys(
        ("fgb", "geojson"),
        _Adapter(exports.write_copy, exports.refuse_to_read, exports.read_vector_items, (".qml",)),
    ),
}


def check_target(
    path: Target,
    map_format: MapFormat,
    request: str,
    *,
    settings: FileSettings = AS_USUAL,
    redo: bool = False,
    overwrite: bool = False,
) -> bool:
    """Whether the target is up to date: the complete map of a request with these settings.

    Any other file is replaced only with `overwrite`, or with `redo` if it is a map of geoclass.
    `redo` also replaces a map that is up to date. Foreign files beside a map are replaced only with
    `overwrite`.

    Raises OutputError if the target must not be replaced, its folder is missing or read-only, it is
    open in another program, or a library is missing; SettingsError for settings of other formats.
    """
    settings = check_form(map_format, settings)
    check_folder(path)
    check_not_open(path)
    if path.exists():
        found = _read_request(path, map_format)
        same = found == settings.mark(request)
        complete = all(file.exists() for file in _list_companions(path, map_format, settings))
        if same and complete and not redo:
            return True
        if not (same or overwrite or (redo and found is not None)):
            kind = "no map of geoclass" if found is None else "not this map"
            raise OutputError(f"{path} exists and is {kind}: give --overwrite, or another name")
    if not overwrite:
        _check_companions(path, map_format, settings)
    return False


def check_form(map_format: MapFormat, settings: FileSettings) -> FileSettings:
    """The settings that apply to the format.

    Raises SettingsError for settings of other formats, OutputError if a library is missing.
    """
    if map_format == "parquet":
        exports.check_parquet()
    return settings.fit(map_format)


def check_room(path: Target, needed_bytes: int) -> None:
    """OutputError if the disk has no room for a map of about that size."""
    folder = place_drafts(path)
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise OutputError(f"cannot read the folder {folder}: {error.strerror}") from error
    if free < needed_bytes:
        raise OutputError(
            f"{path} needs about {needed_bytes / 1e6:.1f} MB, but the disk of {folder} has "
            f"{free / 1e6:.1f} MB free: make room or choose another disk"
        )


def check_placed(grid: Grid, map_format: MapFormat, *, settings: FileSettings = AS_USUAL) -> None:
    """OutputError for a grid without a CRS if polygons or a STAC item need one."""
    if grid.crs is None and (settings.stac or map_format != "tif"):
        if settings.stac:
            need, way = "STAC items", "leave --stac out"
        else:
            need, way = "polygons", "write a GeoTIFF (.tif)"
        raise OutputError(
            f"the scene does not say where on Earth it lies, which {need} need: "
            f"give --crs and --bounds, or {way}"
        )


def write_map(
    landcover: LandCoverMap,
    path: Target | str,
    map_format: MapFormat | None = None,
    *,
    settings: FileSettings = AS_USUAL,
) -> None:
    """Write or replace a map in a file or in storage; GeoclassError if that fails."""
    path = parse_target(path)
    map_format = map_format or find_format(path)
    settings = check_form(map_format, settings)
    check_not_open(path)
    check_placed(landcover.grid, map_format, settings=settings)
    try:
        with draft_folder(path) as folder:
            adapter, draft = _ADAPTERS[map_format], Path(folder) / f"map.{map_format}"
            adapter.write(landcover, draft, settings)
            names = [path.name, *(file.name for file in adapter.list_beside(Path(path.name)))]
            drafts = dict(zip(names, [draft, *adapter.list_beside(draft)], strict=True))
            if settings.stac:
                drafts |= stac.write_items(landcover, drafts, path, map_format, settings.model_file)
            del drafts[path.name]
            # The map last, so that it always has its companions.
            for name, companion in drafts.items():
                if companion.suffix != ".qml" or not _is_styled(path, map_format):
                    move_into_place(companion, path.with_name(name))
            request = landcover.provenance.request
            move_into_place(draft, path, request and settings.mark(request))
    except (OSError, DataSourceError, DataLayerError, RasterioError) as error:
        raise OutputError(f"cannot write {path}: {error}") from error


def holds_map(path: Path) -> bool:
    """Whether geoclass wrote this map, by suffix and metadata."""
    map_format = SUFFIXES.get(path.suffix.lower())
    return map_format is not None and "GEOCLASS_FINGERPRINT" in _read_items(path, map_format)


def read_fingerprint(path: Path) -> str | None:
    """The fingerprint of a map; None if geoclass did not write the file."""
    return _read_items(path, find_format(path)).get("GEOCLASS_FINGERPRINT")


def read_map(path: Target | str) -> LandCoverMap:
    """Read a map of geoclass from a file or storage; OutputError for other files."""
    path = parse_target(path)
    if isinstance(path, StoredPath):
        with draft_folder(path) as folder:
            copy = Path(folder) / f"map{path.suffix}"
            path.download(copy)
            return read_map(copy)
    if not path.is_file():
        raise OutputError(f"no map at {path}: check the path")
    try:
        return _ADAPTERS[find_format(path)].read(path)
    except (*DAMAGE, RasterioError) as error:
        raise OutputError(
            f"{path} has been changed or damaged since geoclass wrote it ({error}): map it again"
        ) from error


def _read_request(path: Target, map_format: MapFormat) -> str | None:
    """`Provenance.request` of a map, marked by its settings; None if geoclass did not write it.

    Raises OutputError if storage cannot be read.
    """
    if isinstance(path, StoredPath):
        if note := path.read_note():
            return note
        with draft_folder(path) as folder:  # not written by geoclass, or by an older version
            copy = Path(folder) / f"map.{map_format}"
            path.download(copy)
            return _read_request(copy, map_format)
    items = _read_items(path, map_format)
    return items.get("GEOCLASS_REQUEST", "") if "GEOCLASS_FINGERPRINT" in items else None


def _check_companions(path: Target, map_format: MapFormat, settings: FileSettings) -> None:
    """OutputError if geoclass did not write a file beside the map that would be replaced.

    Companions of a stopped run may exist without a map. GDAL may have rewritten an `.aux.xml`.
    """
    map_exists = path.exists()
    for file in _list_companions(path, map_format, settings):
        if not isinstance(file, Path) or not (file.exists() or file.is_symlink()):
            continue
        if not (_is_ours(file) or (map_exists and file.suffix == ".xml")):
            raise OutputError(
                f"{file} exists, and geoclass did not write it: give --overwrite, or move it"
            )


_MARKS = (b'<qgis version="3.22" styleCategories=', b"<PAMDataset>\n <PAMRasterBand", b'"geoclass:')
"""Bytes that only styles, auxiliary files and STAC items of geoclass contain."""


def _is_ours(file: Path) -> bool:
    try:
        return file.is_file() and any(mark in file.read_bytes() for mark in _MARKS)
    except OSError:
        return False


def _list_companions(path: Target, map_format: MapFormat, settings: FileSettings) -> list[Target]:
    beside = _ADAPTERS[map_format].list_beside(Path(path.name))
    if _is_styled(path, map_format):
        beside = [file for file in beside if file.suffix != ".qml"]
    beside += [stac.name_item(Path(path.name))] * settings.stac
    return [path.with_name(file.name) for file in beside]


def _is_styled(path: Target, map_format: MapFormat) -> bool:
    """Whether the `.qml` beside a map belongs to another map with the same stem."""
    if not isinstance(path, Path) or not path.with_suffix(".qml").exists():
        return False
    return any(
        other_format != map_format
        and ".qml" in _ADAPTERS[other_format].companions
        and path.with_suffix(suffix).exists()
        and holds_map(path.with_suffix(suffix))
        for suffix, other_format in SUFFIXES.items()
        if suffix != path.suffix.lower()
    )


def _read_items(path: Path, map_format: MapFormat) -> Mapping[str, str]:
    """Metadata items of a file; empty if it is not of this format."""
    try:
        return _ADAPTERS[map_format].read_items(path) or {}
    except OutputError:
        return {}


def write_styles(
    path: Path | str,
    folder: Path | str | None = None,
    *,
    legend: Path | str | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write each style of a map, change, monitor or sample file as `.qml` and `.sld`.

    They are named after file and style; `folder` is by default that of the file. `legend`, for
    maps, is a JSON file with titles and colours. Returns the paths. Raises OutputError if there are
    no styles or files exist, SettingsError for an invalid legend.
    """
    path = Path(path)
    styles = _find_styles(path, legend)
    texts = _name_files(path, Path(folder) if folder is not None else path.parent, styles)
    for target in texts:
        check_folder(target)
        if target.exists() and not overwrite:
            raise OutputError(f"{target} exists: give --overwrite or another folder")
    for target, text in texts.items():
        write_whole(target, text.encode())
    return list(texts)


def _find_styles(path: Path, legend: Path | str | None) -> list[StyleText]:
    if not path.is_file():
        raise OutputError(f"no file at {path}: check the path")
    if not holds_map(path):
        if legend is not None:
            raise SettingsError(f"{path} is not a land-cover map: a legend applies only to maps")
        return read_style_table(path)
    classes = read_map(path).legend
    if legend is not None:
        classes = read_legend(legend, classes)
    if find_format(path) == "tif":
        return format_styles(path.stem, raster_styles(classes))
    return format_styles("landcover", map_styles(classes, ALIASES))


def _name_files(path: Path, folder: Path, styles: Sequence[StyleText]) -> dict[Path, str]:
    """Text by path; names include the layer only if the file has several."""
    several = len({style.layer for style in styles}) > 1
    texts = {}
    for style in styles:
        parts = [path.stem, *([style.layer] if several else []), style.name]
        # Names in an untrusted file must not become paths.
        base = "_".join(parts[:1] + [encode_name(p.lower().replace(" ", "_")) for p in parts[1:]])
        texts[folder / f"{base}.qml"] = style.qml
        texts[folder / f"{base}.sld"] = style.sld
    return texts
