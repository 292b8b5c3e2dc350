"""Where labelled tiles lie on Earth: a table beside their class folders."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

PLACES_FILE = "places.csv"
NEEDED = ("tile", "longitude", "latitude")
COLUMNS = (*NEEDED, "side_m", "scene")
TILE_M = 640.0
"""Side of a tile of which the table says none: 64 pixels of 10 m."""


class Place(NamedTuple):
    """The ground that a tile shows, a square."""

    longitude: float
    """Of its middle, degrees east, WGS 84."""
    latitude: float
    """Degrees north."""
    side_m: float
    """Metres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedTile:
    """A row of the table."""

    tile: str
    """`<class>/<file>`."""
    place: Place
    scene: str
    """What it was cut from."""


def add_places(table: str, tiles: Iterable[PlacedTile]) -> str:
    """The table, CSV with a header or nothing yet, with more rows.

    Raises ValueError where it is none.
    """
    if not table.strip():
        table = ",".join(COLUMNS)
    parse_places(table)
    columns = next(csv.reader(io.StringIO(table, newline="")))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    for row in tiles:
        place = row.place
        values = {
            "tile": row.tile,
            "longitude": f"{place.longitude:.7f}",  # a centimetre
            "latitude": f"{place.latitude:.7f}",
            "side_m": f"{round(place.side_m, 2):g}",
            "scene": row.scene,
        }
        writer.writerow([values.get(_plain(name), "") for name in columns])
    return table.rstrip("\r\n") + "\n" + file.getvalue()


def parse_places(table: str) -> Mapping[str, Place]:
    """The places by `<class>/<file>`.

    Only the first three columns are needed, in any order and among others. Raises ValueError
    where they lack, hold what is no place, or give a tile two.
    """
    reader = csv.DictReader(io.StringIO(table, newline=""), restkey="", restval="", strict=True)
    try:
        names = [_plain(name) for name in reader.fieldnames or ()]
        if missing := [name for name in NEEDED if name not in names]:
            raise ValueError(
                f"it has no column {missing[0]}, but {', '.join(names) or 'nothing at all'}"
            )
        reader.fieldnames = names
        places: dict[str, Place] = {}
        for row in reader:
            if not any(row.values()):
                continue
            tile, place = row.get("tile", "").replace("\\", "/"), _read_place(row, reader.line_num)
            if not tile:
                raise ValueError(f"line {reader.line_num} names no tile")
            if places.setdefault(tile, place) != place:
                raise ValueError(f"line {reader.line_num} gives {tile} a second place")
    except csv.Error as error:
        raise ValueError(f"line {reader.reader.line_num}: {error}") from error
    return places


def _read_place(row: Mapping[str, str], line: int) -> Place:
    texts = [*(row.get(name, "") for name in NEEDED[1:]), row.get("side_m") or f"{TILE_M}"]
    try:
        place = Place(*map(float, texts))
    except ValueError:
        place = Place(math.nan, math.nan, math.nan)
    if not (
        -360 <= place.longitude <= 360 and -90 <= place.latitude <= 90 and 0 < place.side_m < 1e6
    ):
        raise ValueError(
            f"line {line} is no place: longitude {texts[0]!r}, latitude {texts[1]!r}, side "
            f"{texts[2]!r} m"
        )
    return place


def _plain(name: str) -> str:
    """A column's name, however a spreadsheet wrote it."""
    return name.strip().casefold()
