"""Places of labelled tiles on Earth: a table beside their class folders."""

import csv
import io
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

PLACES_FILE = "places.csv"
NEEDED = ("tile", "longitude", "latitude")
COLUMNS = (*NEEDED, "side_m", "scene")
TILE_M = 640.0
"""Default side of a tile: 64 pixels of 10 m."""

EARTH_M = 6_371_000.0


class Place(NamedTuple):
    """The square on the ground that a tile shows."""

    longitude: float
    """Of its centre, degrees east, WGS 84."""
    latitude: float
    """Of its centre, degrees north."""
    side_m: float
    """Metres."""


def add_places(table: str, places: Mapping[str, Place], scene: str = "") -> str:
    """Append the places of tiles of a scene, by `<class>/<file>`, to a table (CSV with a header).

    `table` may be empty. Raises ValueError for an invalid table.
    """
    if not table.strip():
        table = ",".join(COLUMNS)
    parse_places(table)
    columns = [_normalise(name) for name in next(csv.reader(io.StringIO(table, newline="")))]
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
    for tile, place in places.items():
        values = {
            "tile": tile,
            "longitude": f"{place.longitude:.7f}",  # a centimetre
            "latitude": f"{place.latitude:.7f}",
            "side_m": f"{round(place.side_m, 2):g}",
            "scene": scene,
        }
        writer.writerow(values)
    return table.rstrip("\r\n") + "\n" + file.getvalue()


def parse_places(table: str) -> Mapping[str, Place]:
    """Read the places by `<class>/<file>`.

    Only the first three columns are required, in any order. Raises ValueError for a missing
    column, an invalid place or a tile with two places.
    """
    reader = csv.DictReader(io.StringIO(table, newline=""), restkey="", restval="", strict=True)
    try:
        names = [_normalise(name) for name in reader.fieldnames or ()]
        if missing := [name for name in NEEDED if name not in names]:
            raise ValueError(
                f"no column {missing[0]}, only {', '.join(names) or 'an empty header'}"
            )
        reader.fieldnames = names
        places: dict[str, Place] = {}
        for row in reader:
            if not any(row.values()):
                continue
            tile, place = row.get("tile", "").replace("\\", "/"), _read_place(row, reader.line_num)
            if not tile:
                raise ValueError(f"line {reader.line_num} has no tile")
            if places.setdefault(tile, place) != place:
                raise ValueError(f"line {reader.line_num} gives {tile} a second place")
    except csv.Error as error:
        raise ValueError(f"line {reader.reader.line_num}: {error}") from error
    return places


def _read_place(row: Mapping[str, str], line: int) -> Place:
    texts = [*(row.get(name, "") for name in NEEDED[1:]), row.get("side_m") or f"{TILE_M}"]
    try:
        place = Place(*map(float, texts))
        if abs(place.longitude) <= 360 and abs(place.latitude) <= 90 and 0 < place.side_m < 1e6:
            return place
    except ValueError:
        pass
    raise ValueError(
        f"line {line} has an invalid place: longitude {texts[0]!r}, latitude {texts[1]!r}, side "
        f"{texts[2]!r} m"
    )


def _normalise(name: str) -> str:
    """The name of a column without the spaces and capitals of spreadsheets."""
    return name.strip().casefold()


def to_sphere(degrees: np.ndarray) -> np.ndarray:
    """Points of the unit sphere, float64 (n, 3), of longitudes and latitudes (n, 2)."""
    longitude, latitude = np.radians(degrees).T
    parallel = np.cos(latitude)
    return np.stack(
        [parallel * np.cos(longitude), parallel * np.sin(longitude), np.sin(latitude)], axis=1
    )
