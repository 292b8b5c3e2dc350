"""The styles of a file as separate QML and SLD files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from geoclass.errors import OutputError, SettingsError
from geoclass.files.writing import check_folder, write_whole
from geoclass.legend import read_legend
from geoclass.outside import encode_name
from geoclass.products.files import holds_map, read_map
from geoclass.products.formats import find_format
from geoclass.products.qml import StyleText, format_qml, format_sld, read_style_table
from geoclass.products.shapes import ALIASES
from geoclass.products.styles import Style, map_styles, raster_styles


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
        return _format_all(path.stem, raster_styles(classes))
    return _format_all("landcover", map_styles(classes, ALIASES))


def _format_all(layer: str, styles: Mapping[str, Style]) -> list[StyleText]:
    return [
        StyleText(layer=layer, name=name, qml=format_qml(style), sld=format_sld(style, layer, name))
        for name, style in styles.items()
    ]


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
