"""Which bands of a raster are red, green and blue."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from defusedxml.ElementTree import fromstring
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader, MemoryFile
from rasterio.shutil import copy

from geoclass.errors import SceneError
from geoclass.scene.open.gdal import open_dataset, read_within_time

RED_GREEN_BLUE = (("b04", "b4", "red"), ("b03", "b3", "green"), ("b02", "b2", "blue"))
"""Names that bands go by, lower case."""

WAVELENGTHS_NM = (665.0, 560.0, 492.0)
"""Of Sentinel-2's red, green and blue."""
WAVELENGTH_TOLERANCE_NM = 30.0
"""Keeps red from red edge (704 nm) and blue from coastal aerosol (443 nm)."""

_GENERIC_NAME = re.compile(r"(band|layer|channel|sample|gr[ae]y|raster)?[ ._-]*(\d*)")
"""Names that say nothing, where the number is the band's own."""
_BAND_NUMBER = re.compile(r"(?<![a-z0-9])b(?:and)?[ ._-]*(\d{1,2}a?)(?![a-z0-9])")
"""`B4_median`, `SR_B4`, `Band 4`, `T33UUU_B04_10m` → 4 or 04."""
_OTHER_COLOR = re.compile(
    r"infra[ ._-]?red|(red[ ._-]?edge|green[ ._-]?i)(?![a-z])|(coastal|ultra|deep)[ ._-]?blue"
)
_COLOR_WORD = re.compile(r"(?<![a-z])(red|green|blue)(?![a-z])")
_NO_REFLECTANCE = re.compile(r"(?<![a-z])(std(dev)?|var(iance)?|count|n?obs)(?![a-z])")
_NAMED_NM = re.compile(r"(\d{3,4}(?:\.\d+)?) ?nm")

MOST_MICROMETRES = 20.0
"""Wavelengths without a unit that are longer are nanometres."""
_NANOMETRES = {"nm": 1.0, "nanometers": 1.0, "um": 1e3, "µm": 1e3, "micrometers": 1e3}

Bands = tuple[int, int, int]


def choose_bands(
    shown: str, dataset: DatasetReader, asked: Sequence[int | str] | None
) -> tuple[Bands, tuple[str, ...]]:
    """Numbers of red, green and blue from 1, and what had to be guessed.

    `asked` are numbers or names. Raises SceneError where they do not fit, or where nothing is
    asked and nothing in the file says.
    """
    if asked is not None:
        return _check_asked(shown, dataset, asked), ()
    found = _find_by_wavelength(dataset) or _find_by_name(shown, dataset)
    if found is not None:
        return found, ()
    if not is_described(dataset):
        colors = {color: i for i, color in _colors(dataset)}
        wanted = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
        if set(wanted) <= set(colors):
            return (colors[wanted[0]], colors[wanted[1]], colors[wanted[2]]), ()
        guessed = [i for i, color in _colors(dataset) if color != ColorInterp.alpha]
        if guessed == [1, 2, 3] and not _strange_colors(dataset) and not _find_dimension(dataset):
            return (1, 2, 3), ("the three bands have no names: taken as red, green, blue",)
    raise SceneError(
        f"{shown} does not say which of its {dataset.count} bands are red, green and "
        f"blue ({_list_bands(dataset)}): say so with -b, {_advise(dataset)}"
    )


def _advise(dataset: DatasetReader) -> str:
    """Numbers that fit the file, and what they would mean."""
    common = {
        3: "-b 1,2,3 if they are red, green and blue",
        4: "-b 3,2,1 if they are blue, green, red and near infrared",
        12: "-b 4,3,2 if they are those of Sentinel-2 Level-2A",
        13: "-b 4,3,2 if they are those of Sentinel-2",
    }
    return common.get(dataset.count, f"three numbers from 1 to {dataset.count}")


def _check_asked(shown: str, dataset: DatasetReader, asked: Sequence[int | str]) -> Bands:
    names = [plain_name(name) for _, name in _named(dataset)]
    numbers = []
    for band in asked:
        if isinstance(band, int):
            numbers.append(band)
        elif (told := names.count(band.strip().lower())) == 1:
            numbers.append(1 + names.index(band.strip().lower()))
        elif told > 1:
            raise SceneError(
                f"{shown} has {told} bands named {band!r} ({_list_bands(dataset)}): "
                "give three numbers with -b"
            )
        else:
            raise SceneError(
                f"{shown} has no band named {band!r}, it has {_list_bands(dataset)}: "
                "give three of these names, or numbers with -b"
            )
    if len(numbers) != 3 or not all(1 <= i <= dataset.count for i in numbers):
        raise SceneError(
            f"bands {','.join(map(str, asked))} do not fit {shown}: "
            f"give three numbers from 1 to {dataset.count}"
        )
    return numbers[0], numbers[1], numbers[2]


def is_described(dataset: DatasetReader) -> bool:
    """Whether a band has a name that says more than its number."""
    return any(
        (found := _GENERIC_NAME.fullmatch((name or "").strip().lower())) is None
        or found[2] not in ("", str(i))
        for i, name in _named(dataset)
    )


def _find_by_wavelength(dataset: DatasetReader) -> Bands | None:
    waves = _wavelengths_nm(dataset)
    red, green, blue = (_nearest(waves, wanted) for wanted in WAVELENGTHS_NM)
    return None if red is None or green is None or blue is None else (red, green, blue)


def _find_by_name(shown: str, dataset: DatasetReader) -> Bands | None:
    """Red, green and blue by words or numbers in the bands' names.

    SceneError where two bands go by one name, or where numbers may be another sensor's. Names
    win over colours, because GDAL takes any three 8-bit bands for red, green and blue.
    """
    if not is_described(dataset):
        return None
    named = [(i, _color_of_name(name)) for i, name in _named(dataset)]
    found = [[i for i, told in named if told == color] for color in range(3)]
    for several in found:
        if len(several) > 1:
            raise SceneError(
                f"{shown} has several bands of one colour ({_list_bands(dataset)}): "
                f"say with -b which three are meant, numbers from 1 to {dataset.count}"
            )
    if not all(found):
        return None
    _check_numbering(shown, dataset)
    return found[0][0], found[1][0], found[2][0]


def _color_of_name(name: str | None) -> int | None:
    """0, 1, 2 for a name of red, green or blue."""
    text = (name or "").strip().lower()
    if _NO_REFLECTANCE.search(text):
        return None
    if _OTHER_COLOR.search(text):
        return None
    words = set(_COLOR_WORD.findall(text)) or {text} & {"r", "g", "b"}
    if len(words) == 1:
        return "rgb".index(words.pop()[0])
    numbers = {number.lstrip("0") for number in _BAND_NUMBER.findall(text)}
    if words or len(numbers) != 1:
        return None
    return {"4": 0, "3": 1, "2": 2}.get(numbers.pop())


def _check_numbering(shown: str, dataset: DatasetReader) -> None:
    """Refuse B1, B2, B3, B4: most sensors but Sentinel-2 count from blue, not from violet."""
    names = [(name or "").lower() for name in dataset.descriptions]
    numbers = {number for name in names for number in _BAND_NUMBER.findall(name)}
    by_word = any(_COLOR_WORD.search(n) and not _OTHER_COLOR.search(n) for n in names)
    of_sentinel = any(n.startswith("0") or n.endswith("a") or int(n) >= 8 for n in numbers)
    if "1" in numbers and not of_sentinel and not by_word:
        at = {n: i for i, name in enumerate(names, start=1) for n in _BAND_NUMBER.findall(name)}
        raise SceneError(
            f"the bands of {shown} ({_list_bands(dataset)}) may be numbered as Sentinel-2's or as "
            "those of a sensor that begins with blue, whose B4 is near infrared: "
            f"say -b {at['4']},{at['3']},{at['2']} or -b {at['3']},{at['2']},{at['1']}"
        )


def _find_dimension(dataset: DatasetReader) -> str | None:
    """What the layers of a NetCDF file differ by: a time, a height, or bands without names."""
    found = dataset.tags().get("NETCDF_DIM_EXTRA")
    return found.strip("{}") if found else None


def _wavelengths_nm(dataset: DatasetReader) -> dict[int, float]:
    """Central wavelengths of the bands that state one."""
    found = {}
    for i in dataset.indexes:
        tags = {key.lower(): value for key, value in dataset.tags(i).items()}
        micrometres = dataset.tags(i, ns="IMAGERY").get("CENTRAL_WAVELENGTH_UM")
        named = _NAMED_NM.search((dataset.descriptions[i - 1] or "").lower())
        unit = tags.get("wavelength_units", tags.get("wavelength_unit", "")).lower()
        try:
            if micrometres is not None:
                found[i] = float(micrometres) * 1e3
            elif "wavelength" in tags:
                wave = float(tags["wavelength"])
                usual = 1.0 if wave > MOST_MICROMETRES else 1e3
                found[i] = wave * (_NANOMETRES.get(unit, float("nan")) if unit else usual)
            elif named:
                found[i] = float(named[1])
        except ValueError:
            continue
    return found


def _nearest(waves: dict[int, float], wanted: float) -> int | None:
    near = {i: abs(nm - wanted) for i, nm in waves.items()}
    close = [i for i, gap in near.items() if gap <= WAVELENGTH_TOLERANCE_NM]
    return min(close, key=lambda i: near[i], default=None)


def _named(dataset: DatasetReader) -> list[tuple[int, str | None]]:
    return list(zip(dataset.indexes, dataset.descriptions, strict=True))


def _colors(dataset: DatasetReader) -> list[tuple[int, ColorInterp]]:
    return list(zip(dataset.indexes, dataset.colorinterp, strict=True))


def _strange_colors(dataset: DatasetReader) -> bool:
    """True where colours are told, but others than red, green and blue."""
    plain = {"gray", "undefined", "alpha", "red", "green", "blue"}
    return any(color.name not in plain for _, color in _colors(dataset))


def _list_bands(dataset: DatasetReader) -> str:
    plain = (ColorInterp.gray, ColorInterp.undefined)
    if not any(dataset.descriptions) and all(color in plain for _, color in _colors(dataset)):
        dimension = _find_dimension(dataset)
        return f"layers of the dimension {dimension}" if dimension else "none has a name"
    shown = [
        f"{i}: {name or (color.name if color not in plain else 'unnamed')}"
        for (i, name), (_, color) in zip(_named(dataset), _colors(dataset), strict=True)
    ]
    more = len(shown) - 20
    return ", ".join(shown[:20]) + (f" and {more} more" if more > 0 else "")


def plain_name(name: str | None) -> str:
    """`B4, central wavelength 665 nm` and `B04_10m` → `b4`, `b04`."""
    first = (name or "").partition(",")[0].strip().lower()
    return re.sub(r"_\d\dm$", "", first)


COLORS = ("Red", "Green", "Blue")


@dataclass(frozen=True, slots=True, kw_only=True)
class BandFile:
    """One of the three."""

    dataset: str
    """The name under which GDAL opens it."""
    shown: str
    """What messages call it."""
    description: str
    """The band's name, such as `B04`."""


def stack_bands(files: Sequence[BandFile]) -> str:
    """A VRT with the bands of three files, in their order, named and coloured.

    Raises SceneError where a file cannot be read, has several bands, or does not lie on the
    pixels of the first.
    """
    (stack, form), *others = map(_describe, files, range(1, 4))
    for file, (other, other_form) in zip(files[1:], others, strict=True):
        if other_form != form:
            raise SceneError(
                f"{file.shown} ({other_form[0]}) does not lie on the pixels of {files[0].shown} "
                f"({form[0]}): give three bands of one size, place and type"
            )
        stack.extend(other.iterfind("VRTRasterBand"))
    return tostring(stack, encoding="unicode")


_OF_ALL = ("SRS", "GeoTransform", "GCPList", "Metadata", "VRTRasterBand", "MaskBand")
_OF_BAND = ("NoDataValue", "Offset", "Scale")


def _describe(file: BandFile, number: int) -> tuple[Element, tuple[object, ...]]:
    """A VRT of a file as band `number` of three, and what has to be the same in all."""
    color = COLORS[number - 1]
    with open_dataset(file.dataset, file.shown) as dataset, MemoryFile(ext=".vrt") as memory:
        if dataset.count != 1:
            raise SceneError(
                f"{file.shown} has {dataset.count} bands, expected one, {color.lower()}: "
                "give that band as a file of its own"
            )
        read_within_time(file.dataset, lambda: copy(dataset, memory.name, driver="VRT"))
        vrt: Element = fromstring(memory.read())
        x, y = dataset.transform.c, dataset.transform.f
        shape = f"{dataset.width}×{dataset.height} {dataset.dtypes[0]} at {x:.10g}, {y:.10g}"
        form = (shape, dataset.transform, dataset.crs)
    # Of a file that is a VRT itself, GDAL has copied what it is made of.
    band, mask = vrt.find("VRTRasterBand"), vrt.find("MaskBand/VRTRasterBand")
    assert band is not None
    for element, kept in ((vrt, _OF_ALL), (band, _OF_BAND), (mask, ())):
        if element is not None:
            element.attrib.pop("subClass", None)
            for child in [child for child in element if child.tag not in kept]:
                element.remove(child)
    band.set("band", str(number))
    SubElement(band, "Description").text = file.description
    SubElement(band, "ColorInterp").text = color
    for element, which in ((band, "1"), (mask, "mask,1")):
        if element is not None:
            source = SubElement(element, "SimpleSource")
            SubElement(source, "SourceFilename", relativeToVRT="0").text = file.dataset
            SubElement(source, "SourceBand").text = which
    return vrt, form
