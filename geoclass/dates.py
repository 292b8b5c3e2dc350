"""Acquisition dates from file names and metadata."""

import re
from collections.abc import Iterator
from datetime import date, datetime

FIRST_YEAR = 1972
"""First Landsat; no scene is older."""

_SENSING = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"S2[A-D]_MSIL[12][A-C]_(\d{8})T\d{6}",  # Sentinel-2 products since December 2016
        r"(?<!\d)(\d{8})T\d{6}_N\d{4}(?!\d)",  # the same, abbreviated
        r"_V(\d{8})T\d{6}",  # earlier products; PDMC is the processing date
        r"_S(\d{8})T\d{6}",  # datastrips of earlier products
        r"(?<![A-Z0-9])T\d{2}[A-Z]{3}_(\d{8})T\d{6}",  # band files
        r"(?<!\d)(\d{8})T\d{6}_\d{8}T\d{6}_T\d{2}[A-Z]{3}",  # Earth Engine: sensing, processing
        r"HLS\.[SL]30\.T\d{2}[A-Z]{3}\.(\d{7})T\d{6}",  # Harmonized Landsat Sentinel-2
        r"L[COTEM]\d{2}_[A-Z0-9]{2,4}_\d{6}_(\d{8})_\d{8}",  # Landsat: sensing, processing
        r"L[COTEM]\d{7}(\d{7})[A-Z]{3}\d{2}",  # Landsat before 2017
        r"(?<![A-Z0-9])M_\d{7}_[NS][EW]_\d+_\d+_(\d{8})",  # NAIP: flight, processing
    )
)
"""Product names; the group is the acquisition date."""

_PROCESSING_ONLY = re.compile(r"S2[A-D]_(OPER|USER)_", re.IGNORECASE)
"""Sentinel-2 products before December 2016: dates without V or S are processing dates."""

_DIGITS = re.compile(r"\d+")
_PARTED = re.compile(
    r"(?<!\d)(?:(?P<year>\d{4})(?P<mark>[-._])(?P<month>\d\d?)(?P=mark)(?P<day>\d\d?)"
    r"|(?P<one>\d\d?)(?P<sign>[-._])(?P<two>\d\d?)(?P=sign)(?P<last>\d{4}))(?!\d)"
)
_TIMES = {8: "", 12: "%H%M", 14: "%H%M%S"}
"""Number of digits that begin with YYYYMMDD → format of the rest."""


def parse_day(text: str | None) -> str | None:
    """YYYY-MM-DD from metadata that begins with a date, else None."""
    for length in (10, 8):
        try:
            day = date.fromisoformat((text or "")[:length])
        except ValueError:
            continue
        return day.isoformat() if _is_possible(day) else None
    return None


def find_day(name: str) -> date | None:
    """The acquisition date in a name; None if there is none or it is ambiguous."""
    days = find_days(name)
    return days[0] if len(days) == 1 else None


def find_days(name: str) -> tuple[date, ...]:
    """All possible acquisition dates in a file name, ascending.

    Product names define their date. Other names may contain YYYYMMDD, also with a time, YYYY-MM-DD,
    DDMMYYYY, DD-MM-YYYY, and the American order of the latter two, with hyphens, points or
    underscores; if there is none of them, YYYYDDD, the day of the year. Dates are from 1972 to next
    year.
    """
    if (known := find_sensing(name)) is not None:
        return (known,)
    if _PROCESSING_ONLY.search(name):
        return ()
    return tuple(sorted(set(_list_calendar(name)) or set(_list_ordinal(name))))


def find_sensing(name: str) -> date | None:
    """The acquisition date of the product name in a name or path, if there is one."""
    for pattern in _SENSING:
        for found in pattern.finditer(name):
            digits = found[1]
            if day := _read(digits, "%Y%m%d" if len(digits) == 8 else "%Y%j"):
                return day
    return None


def _list_calendar(name: str) -> Iterator[date]:
    runs = [found[0] for found in _DIGITS.finditer(name)]
    for run in runs:
        # Fractions of seconds may follow the time.
        length = 14 if 14 < len(run) <= 17 else len(run)
        if length in _TIMES and (day := _read(run[:length], f"%Y%m%d{_TIMES[length]}")):
            yield day
        if length == 8:
            yield from _list_orders(run[:2], run[2:4], run[4:])
    at = 0
    while found := _PARTED.search(name, at):
        days = list(_list_parted(found))
        yield from days
        # A date may begin inside text that is not one: 00_00_2025-03-02.
        at = found.end() if days else found.start() + 1


def _list_parted(found: re.Match[str]) -> Iterator[date]:
    # NAME_2020_1_2 is a tile number.
    if "_" in (found["mark"], found["sign"]) and found.start() and len(found[0]) < 10:
        return
    if found["year"] is None:
        yield from _list_orders(found["one"], found["two"], found["last"])
    elif day := _read(f"{found['year']} {found['month']} {found['day']}", "%Y %m %d"):
        yield day


def _list_orders(one: str, two: str, year: str) -> Iterator[date]:
    """Day-month and month-day order."""
    for order in (f"{year} {two} {one}", f"{year} {one} {two}"):
        if day := _read(order, "%Y %m %d"):
            yield day


def _list_ordinal(name: str) -> Iterator[date]:
    for found in _DIGITS.finditer(name):
        if len(found[0]) == 7 and (day := _read(found[0], "%Y%j")):
            yield day


def _read(text: str, form: str) -> date | None:
    try:
        day = datetime.strptime(text, form).date()  # noqa: DTZ007
    except ValueError:
        return None
    # Day 366 of a common year is parsed as the first day of the next.
    return day if _is_possible(day) and text.startswith(str(day.year)) else None


def _is_possible(day: date) -> bool:
    return FIRST_YEAR <= day.year <= date.today().year + 1  # noqa: DTZ011
