"""Which bands of a raster are red, green and blue."""

import re
from collections.abc import Sequence

from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader

from geoclass.errors import SceneError

Bands = tuple[int, int, int]
"""Numbers of red, green and blue, from 1."""

WAVELENGTHS_NM = (665.0, 560.0, 492.0)
"""Of Sentinel-2's red, green and blue."""
WAVELENGTH_TOLERANCE_NM = 30.0
"""Excludes red edge (704 nm) and coastal aerosol (443 nm)."""
MOST_MICROMETRES = 20.0
"""Larger wavelengths without a unit are in nanometres."""
_NANOMETRES = {"nm": 1.0, "nanometers": 1.0, "um": 1e3, "µm": 1e3, "micrometers": 1e3}

_GENERIC_NAME = re.compile(r"(band|layer|channel|sample|gr[ae]y|raster)?[ ._-]*(\d*)")
"""Names without information, if the number is that of the band."""
_BAND_NUMBER = re.compile(r"(?<![a-z0-9])b(?:and)?[ ._-]*(\d{1,2}a?)(?![a-z0-9])")
"""`B4_median`, `SR_B4`, `Band 4`, `T33UUU_B04_10m` → 4 or 04."""
_OTHER_COLOR = re.compile(
    r"infra[ ._-]?red|(red[ ._-]?edge|green[ ._-]?i)(?![a-z])|(coastal|ultra|deep)[ ._-]?blue"
)
_COLOR_WORD = re.compile(r"(?<![a-z])(red|green|blue)(?![a-z])")
_NO_REFLECTANCE = re.compile(r"(?<![a-z])(std(dev)?|var(iance)?|count|n?obs)(?![a-z])")
_NAMED_NM = re.compile(r"(\d{3,4}(?:\.\d+)?) ?nm")

_PLAIN = (ColorInterp.gray, ColorInterp.undefined)


def choose_bands(
    shown: str, dataset: DatasetReader, asked: Sequence[int | str] | None
) -> tuple[Bands, tuple[str, ...]]:
    """Numbers of red, green and blue, and assumptions; `asked` are numbers or names.

    Raises SceneError if the requested bands do not exist, or if the file does not name its bands.
    """
    if asked is not None:
        return _check_asked(shown, dataset, asked), ()
    found = _find_by_wavelength(dataset) or _find_by_name(shown, dataset)
    if found is not None:
        return found, ()
    if not is_described(dataset):
        at = {color: i for i, color in enumerate(dataset.colorinterp, start=1)}
        wanted = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
        if set(wanted) <= set(at):
            return (at[wanted[0]], at[wanted[1]], at[wanted[2]]), ()
        guessed = [i for i in dataset.indexes if dataset.colorinterp[i - 1] != ColorInterp.alpha]
        is_plain = set(at) <= {*_PLAIN, ColorInterp.alpha, *wanted}
        if guessed == [1, 2, 3] and is_plain and not _find_dimension(dataset):
            return (1, 2, 3), ("the three bands have no names: taken as red, green, blue",)
    raise SceneError(
        f"{shown} does not say which of its {dataset.count} bands are red, green and "
        f"blue ({_list_bands(dataset)}): say so with -b, {_advise(dataset)}"
    )


def _advise(dataset: DatasetReader) -> str:
    """Common band orders for the number of bands."""
    common = {
        3: "-b 1,2,3 if they are red, green and blue",
        4: "-b 3,2,1 if they are blue, green, red and near infrared",
        12: "-b 4,3,2 if they are those of Sentinel-2 Level-2A",
        13: "-b 4,3,2 if they are those of Sentinel-2",
    }
    return common.get(dataset.count, f"three numbers from 1 to {dataset.count}")


def _check_asked(shown: str, dataset: DatasetReader, asked: Sequence[int | str]) -> Bands:
    names = [plain_name(name) for name in dataset.descriptions]
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
    """Whether the name of a band is more than its number."""
    return any(
        (found := _GENERIC_NAME.fullmatch((name or "").strip().lower())) is None
        or found[2] not in ("", str(i))
        for i, name in enumerate(dataset.descriptions, start=1)
    )


def _find_by_wavelength(dataset: DatasetReader) -> Bands | None:
    waves = _wavelengths_nm(dataset)
    red, green, blue = (_nearest(waves, wanted) for wanted in WAVELENGTHS_NM)
    return None if red is None or green is None or blue is None else (red, green, blue)


def _find_by_name(shown: str, dataset: DatasetReader) -> Bands | None:
    """Red, green and blue by words or numbers in the names of bands.

    SceneError if two bands have one colour, or if the numbers may be another sensor's. Names take
    precedence over colours, because GDAL assumes that three 8-bit bands are red, green and blue.
    """
    if not is_described(dataset):
        return None
    named = [_color_of_name(name) for name in dataset.descriptions]
    if any(named.count(color) > 1 for color in range(3)):
        raise SceneError(
            f"{shown} has several bands of one colour ({_list_bands(dataset)}): "
            f"say with -b which three are meant, numbers from 1 to {dataset.count}"
        )
    if not {0, 1, 2} <= set(named):
        return None
    _check_numbering(shown, dataset)
    return 1 + named.index(0), 1 + named.index(1), 1 + named.index(2)


def _color_of_name(name: str | None) -> int | None:
    """0, 1, 2 for a name of red, green or blue."""
    text = (name or "").strip().lower()
    if _NO_REFLECTANCE.search(text) or _OTHER_COLOR.search(text):
        return None
    words = set(_COLOR_WORD.findall(text)) or {text} & {"r", "g", "b"}
    if len(words) == 1:
        return "rgb".index(words.pop()[0])
    numbers = {number.lstrip("0") for number in _BAND_NUMBER.findall(text)}
    if words or len(numbers) != 1:
        return None
    return {"4": 0, "3": 1, "2": 2}.get(numbers.pop())


def _check_numbering(shown: str, dataset: DatasetReader) -> None:
    """SceneError for B1, B2, B3, B4: in most sensors but Sentinel-2, B1 is blue."""
    names = [(name or "").lower() for name in dataset.descriptions]
    at = {n: i for i, name in enumerate(names, start=1) for n in _BAND_NUMBER.findall(name)}
    by_word = any(_COLOR_WORD.search(n) and not _OTHER_COLOR.search(n) for n in names)
    of_sentinel = any(n.startswith("0") or n.endswith("a") or int(n) >= 8 for n in at)
    if "1" in at and not of_sentinel and not by_word:
        raise SceneError(
            f"the bands of {shown} ({_list_bands(dataset)}) may be numbered as Sentinel-2's or as "
            "those of a sensor that begins with blue, whose B4 is near infrared: "
            f"say -b {at['4']},{at['3']},{at['2']} or -b {at['3']},{at['2']},{at['1']}"
        )


def _find_dimension(dataset: DatasetReader) -> str | None:
    """The dimension of the layers of a NetCDF file: time, height or unnamed bands."""
    found = dataset.tags().get("NETCDF_DIM_EXTRA")
    return found.strip("{}") if found else None


def _wavelengths_nm(dataset: DatasetReader) -> dict[int, float]:
    """Band numbers → central wavelengths, as far as the file has them."""
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


def _list_bands(dataset: DatasetReader) -> str:
    colors = dataset.colorinterp
    if not any(dataset.descriptions) and all(color in _PLAIN for color in colors):
        dimension = _find_dimension(dataset)
        return f"layers of the dimension {dimension}" if dimension else "none has a name"
    shown = [
        f"{i}: {name or (color.name if color not in _PLAIN else 'unnamed')}"
        for i, (name, color) in enumerate(zip(dataset.descriptions, colors, strict=True), start=1)
    ]
    more = len(shown) - 20
    return ", ".join(shown[:20]) + (f" and {more} more" if more > 0 else "")


def plain_name(name: str | None) -> str:
    """`B4, central wavelength 665 nm` and `B04_10m` → `b4`, `b04`."""
    first = (name or "").partition(",")[0].strip().lower()
    return re.sub(r"_\d\dm$", "", first)
