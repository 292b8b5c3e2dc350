"""Days of sensing: the one place where they are read from names and metadata."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime

FIRST_YEAR = 1972
"""Of the first Landsat: no scene is older."""

_SENSING = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"S2[A-D]_MSIL[12][A-C]_(\d{8})T\d{6}",  # Sentinel-2 products since December 2016
        r"(?<!\d)(\d{8})T\d{6}_N\d{4}(?!\d)",  # the same, cut short
        r"_V(\d{8})T\d{6}",  # products before; PDMC is when they were processed
        r"_S(\d{8})T\d{6}",  # their datastrips
        r"(?<![A-Z0-9])T\d{2}[A-Z]{3}_(\d{8})T\d{6}",  # files of bands
        r"(?<!\d)(\d{8})T\d{6}_\d{8}T\d{6}_T\d{2}[A-Z]{3}",  # Earth Engine: sensing, processing
        r"HLS\.[SL]30\.T\d{2}[A-Z]{3}\.(\d{7})T\d{6}",  # Harmonized Landsat Sentinel-2
        r"L[COTEM]\d{2}_[A-Z0-9]{2,4}_\d{6}_(\d{8})_\d{8}",  # Landsat: sensing, processing
        r"L[COTEM]\d{7}(\d{7})[A-Z]{3}\d{2}",  # Landsat before 2017
        r"(?<![A-Z0-9])M_\d{7}_[NS][EW]_\d+_\d+_(\d{8})",  # NAIP: flight, processing
    )
)
"""Names of products, which say where their day of sensing stands."""

_PROCESSING_ONLY = re.compile(r"S2[A-D]_(OPER|USER)_", re.IGNORECASE)
"""Sentinel-2 before December 2016: what is no V or S says when the file was made."""

_DIGITS = re.compile(r"\d+")
_PARTED = re.compile(
    r"(?<!\d)(?:(?P<year>\d{4})(?P<mark>[-._])(?P<month>\d\d?)(?P=mark)(?P<day>\d\d?)"
    r"|(?P<one>\d\d?)(?P<sign>[-._])(?P<two>\d\d?)(?P=sign)(?P<last>\d{4}))(?!\d)"
)
_TIMES = {8: "", 12: "%H%M", 14: "%H%M%S"}
"""Digits of a run that begins with YYYYMMDD → what follows these."""


def parse_day(text: str | None) -> str | None:
    """YYYY-MM-DD from metadata, a text that begins with a day; None where there is none."""
    for length in (10, 8):
        try:
            day = date.fromisoformat((text or "")[:length])
        except ValueError:
            continue
        return day.isoformat() if _is_possible(day) else None
    return None


def find_day(name: str) -> date | None:
    """The day of sensing in a name; None where there is none, or more than one is possible."""
    days = find_days(name)
    return days[0] if len(days) == 1 else None


def find_days(name: str) -> tuple[date, ...]:
    """All days that may be the day of sensing, by a name without folders; ascending.

    A product's name says which of its days that is. In other names every calendar day counts:
    YYYYMMDD, also with a time behind it, YYYY-MM-DD, DDMMYYYY, DD-MM-YYYY, and the American order
    of the latter two; marks may be hyphens, points or underscores. Only without any of them
    YYYYDDD, the day of the year, counts. No day is before 1972 or after next year.
    """
    if (known := find_sensing(name)) is not None:
        return (known,)
    if _PROCESSING_ONLY.search(name):
        return ()
    return tuple(sorted(set(_list_calendar(name)) or set(_list_ordinal(name))))


def find_sensing(name: str) -> date | None:
    """The day of sensing where a product's name stands in a name or path; else None."""
    for pattern in _SENSING:
        for found in pattern.finditer(name):
            digits = found[1]
            if day := _read(digits, "%Y%m%d" if len(digits) == 8 else "%Y%j"):
                return day
    return None


def _list_calendar(name: str) -> Iterator[date]:
    runs = [found[0] for found in _DIGITS.finditer(name)]
    for run in runs:
        # Fractions of seconds may follow.
        length = 14 if 14 < len(run) <= 17 else len(run)
        if length in _TIMES and (day := _read(run[:length], f"%Y%m%d{_TIMES[length]}")):
            yield day
        if length == 8:
            yield from _list_orders(run[:2], run[2:4], run[4:])
    at = 0
    while found := _PARTED.search(name, at):
        days = list(_list_parted(found))
        yield from days
        # What is no day may begin one: a time and a date, 00_00_2025-03-02.
        at = found.end() if days else found.start() + 1


def _list_parted(found: re.Match[str]) -> Iterator[date]:
    # Tiles are numbered NAME_2020_1_2.
    if "_" in (found["mark"], found["sign"]) and found.start() and len(found[0]) < 10:
        return
    if found["year"] is None:
        yield from _list_orders(found["one"], found["two"], found["last"])
    elif day := _read(f"{found['year']} {found['month']} {found['day']}", "%Y %m %d"):
        yield day


def _list_orders(one: str, two: str, year: str) -> Iterator[date]:
    """Day before month, and month before day."""
    for order in (f"{year} {two} {one}", f"{year} {one} {two}"):
        if day := _read(order, "%Y %m %d"):
            yield day


def _list_ordinal(name: str) -> Iterator[date]:
    for found in _DIGITS.finditer(name):
        if len(found[0]) == 7 and (day := _read(found[0], "%Y%j")):
            yield day


def _read(text: str, form: str) -> date | None:
    try:
        day = datetime.strptime(text, form).date()  # noqa: DTZ007 a day needs no zone
    except ValueError:
        return None
    # Day 366 of a common year would be the first of the next.
    return day if _is_possible(day) and text.startswith(str(day.year)) else None


def _is_possible(day: date) -> bool:
    return FIRST_YEAR <= day.year <= date.today().year + 1  # noqa: DTZ011 a year is enough
