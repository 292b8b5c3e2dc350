"""Where labelled tiles lie on Earth: a table beside their class folders."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

PLACES_FILE = "places.csv"
COLUMNS = ("tile", "longitude", "latitude", "scene")


@dataclass(frozen=True, slots=True, kw_only=True)
class TilePlace:
    """The middle of a tile, and where it was cut from."""

    tile: str
    """`<class>/<file>`."""
    longitude: float
    """Degrees east, WGS 84."""
    latitude: float
    """Degrees north."""
    scene: str


def format_places(places: Iterable[TilePlace], *, header: bool = True) -> str:
    """The table as CSV, or some more rows of one; understood by `parse_places`."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    if header:
        writer.writerow(COLUMNS)
    for place in places:
        degrees = (f"{place.longitude:.7f}", f"{place.latitude:.7f}")  # a centimetre
        writer.writerow((place.tile, *degrees, place.scene))
    return file.getvalue()


def parse_places(text: str) -> Mapping[str, tuple[float, float]]:
    """Longitude and latitude in degrees by `<class>/<file>`.

    Only the first three columns are needed, in any order and among others. Raises ValueError
    where they lack, or hold what is no place.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = [name for name in COLUMNS[:3] if name not in (reader.fieldnames or ())]
    if missing:
        raise ValueError(f"it has no column {missing[0]}")
    places = {}
    for row in reader:
        try:
            longitude, latitude = float(row["longitude"]), float(row["latitude"])
        except (TypeError, ValueError):
            longitude = latitude = math.nan
        if not (-360 <= longitude <= 360 and -90 <= latitude <= 90):
            raise ValueError(
                f"line {reader.line_num} is no place: "
                f"longitude {row['longitude']!r}, latitude {row['latitude']!r}"
            )
        places[row["tile"]] = (longitude, latitude)
    return places
