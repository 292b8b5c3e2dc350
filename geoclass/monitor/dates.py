"""The day that a map shows."""

from __future__ import annotations

import re
from datetime import date

from geoclass.errors import SettingsError
from geoclass.landcover import LandCoverMap
from geoclass.monitor.align import DatedMap

_IN_A_NAME = re.compile(r"(?<!\d)(\d{4})[-_]?(\d{2})[-_]?(\d{2})(?!\d)")


def date_map(landcover: LandCoverMap, *, day: date | None = None, file_name: str = "") -> DatedMap:
    """A map with its day: as given, else as its product or tags say, else by a file name.

    Looks for YYYYMMDD or YYYY-MM-DD in the scene's name, then in `file_name`, the map's own.
    Raises SettingsError where none says.
    """
    provenance = landcover.provenance
    said = date.fromisoformat(provenance.date) if provenance.date else None
    found = day or said or find_day(provenance.scene) or find_day(file_name)
    if found is None:
        raise SettingsError(
            f"the day of {provenance.scene} is unknown: its tags and its name do not say; give "
            "--date YYYY-MM-DD once for each input"
        )
    return DatedMap(day=found, landcover=landcover)


def as_dated(item: DatedMap | LandCoverMap) -> DatedMap:
    """The map with its day; as `date_map` finds it where it has none yet."""
    return item if isinstance(item, DatedMap) else date_map(item)


def find_day(name: str) -> date | None:
    """The first day that stands in a name; None if none does."""
    for match in _IN_A_NAME.finditer(name):
        try:
            return date(*map(int, match.groups()))
        except ValueError:
            continue
    return None
