"""Counts of a labelled sample, and tables of counts from spreadsheets."""

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geoclass.errors import OutputError, SettingsError
from geoclass.outside import MAX_TABLE_BYTES, read_file

FIXED = ("stratum", "area_ha")
"""Columns of a table that are not counts."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampleCounts:
    """Number of samples by map class, which is the stratum, and reference class."""

    names: tuple[str, ...]
    """Of the classes."""
    area_ha: np.ndarray
    """float64 (classes,): of each stratum."""
    counts: np.ndarray
    """int64 (map class, reference class)."""
    cells: np.ndarray | None = None
    """int64 (classes,): number of all cells, for the finite population correction."""

    @property
    def weights(self) -> np.ndarray:
        """float64 (map class,): fraction of the total area."""
        return self.area_ha / self.area_ha.sum()

    @property
    def shares(self) -> np.ndarray:
        """float64 (map class, reference class): fractions of the samples of a stratum."""
        return self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1)

    @property
    def matrix(self) -> np.ndarray:
        """float64 (map class, reference class): fractions of the total area."""
        return self.weights[:, None] * self.shares


def read_table(path: Path) -> SampleCounts:
    """Counts from a CSV: columns stratum, area_ha, and one for each reference class.

    Commas, semicolons or tabs, UTF-8 or UTF-16; rows and columns of totals are checked and left
    out. Raises OutputError if the file is unreadable, SettingsError if it is not such a table.
    """
    (header, *body), separator = _read_rows(path)
    header = [name.lower() if name.lower() in FIXED else name for name in header]
    missing = sorted(set(FIXED) - set(header))
    if missing:
        raise SettingsError(
            f"{path} lacks the column {', '.join(missing)}; its first line, split at "
            f"{separator!r}, is {', '.join(header)}: give stratum, area_ha and one column of "
            "counts for each class"
        )
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise SettingsError(
                f"line {number} of {path}, split at {separator!r}, has {len(row)} columns, "
                f"expected {len(header)}"
            )
    # A row of totals without an area cannot be taken for a class.
    area_at, name_at = header.index("area_ha"), header.index("stratum")
    body = [row for row in body if row[area_at] or not _TOTAL.fullmatch(row[name_at])]
    counted = [i for i, name in enumerate(header) if name not in FIXED]
    names, classes = [row[name_at] for row in body], [header[i] for i in counted]
    for kind, found in (("columns", header), ("rows", names)):
        if len(set(found)) != len(found):
            raise SettingsError(f"{path} has two {kind} of one name ({', '.join(found)})")
    try:
        area = np.array([_parse_number(row[area_at], separator) for row in body], dtype=float)
        counts = [[_parse_count(row[i], separator) for i in counted] for row in body]
        table = np.array(counts, dtype=np.int64).reshape(len(names), len(classes))
    except (ValueError, OverflowError) as error:
        raise SettingsError(f"{path} contains a value that is not a number: {error}") from error
    rows = _find_classes(path, "row", names, np.column_stack([area, table]))
    cols = _find_classes(path, "column", classes, table[rows].T)
    names, place = [names[i] for i in rows], {classes[i]: i for i in cols}
    if sorted(place) != sorted(names):
        raise SettingsError(
            f"the columns of {path} are {', '.join(place)}, its rows {', '.join(names)}: "
            "expected the same classes"
        )
    order = [place[name] for name in names]
    return SampleCounts(
        names=tuple(names),
        area_ha=area[rows],
        counts=table[np.ix_(rows, order)],
    )


def _read_rows(path: Path) -> tuple[list[list[str]], str]:
    """Non-empty lines, split into stripped fields, and the separator."""
    try:
        data = read_file(path, MAX_TABLE_BYTES)
        encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            text = data.decode("cp1252")
        if "\0" in text:
            raise ValueError("it is not text: save it as CSV in UTF-8")
        lines = [line for line in text.splitlines() if line.strip()]
        if lines and (named := _EXCEL_SEPARATOR.fullmatch(lines[0])):
            separator, lines = named[1], lines[1:]
        else:
            separator = max(",;\t|", key=lines[0].count if lines else "".count)
        rows = [[field.strip() for field in row] for row in csv.reader(lines, delimiter=separator)]
    except (OSError, ValueError, csv.Error) as error:
        raise OutputError(f"cannot read {path} as a table: {error}") from error
    rows = [row for row in rows if any(row)]
    if not rows:
        raise OutputError(f"cannot read {path} as a table: it is empty")
    return rows, separator


_EXCEL_SEPARATOR = re.compile(r"sep=([,;\t|])", re.IGNORECASE)
"""A first line that tells Excel what separates fields."""
_PLAIN = re.compile(r"[+-]?\d+([.,]\d+)?")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:([., '’\u00a0\u202f])\d{3})+(?:([.,])\d+)?")


def _parse_number(text: str, separator: str) -> float:
    """A number with a decimal point or comma, with or without thousands separators.

    ValueError if `1,200` is ambiguous.
    """
    if not text:
        raise ValueError("an empty field")
    if _PLAIN.fullmatch(text):
        whole, comma, rest = text.partition(",")
        if comma and len(rest) == 3 and separator != ";":
            raise ValueError(f"{text} (1200 or 1.2?), write it without a comma")
        return float(f"{whole}.{rest}" if comma else text)
    found = _GROUPED.fullmatch(text)
    if found and found[1] != found[2]:
        return float(text.replace(found[1], "").replace(",", "."))
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _parse_count(text: str, separator: str) -> int:
    value = _parse_number(text, separator)
    if value != int(value) or value < 0:
        raise ValueError(f"{text}, expected whole counts of at least 0")
    return int(value)


_TOTAL = re.compile(
    r"(grand |row |column |sub)?(totals?|sums?|all|overall|gesamt|summe|totale?|total général"
    r"|somme|somma|suma|Σ)( \(?n\)?)?",
    re.IGNORECASE,
)


def _find_classes(path: Path, kind: str, names: Sequence[str], values: np.ndarray) -> list[int]:
    """Numbers of the rows that are not totals; `values` are float (rows, columns).

    SettingsError for a row of wrong totals, or one of totals without such a name.
    """
    found = []
    for number, name in enumerate(names):
        others = np.delete(values, number, axis=0)
        is_named = _TOTAL.fullmatch(name) is not None
        # With two classes, each can be the sum of all others by chance.
        is_sum = bool(
            len(others) >= (1 if is_named else 2)
            and values[number].any()
            and np.allclose(values[number], others.sum(axis=0), rtol=1e-3, atol=0.02)
        )
        if is_named != is_sum:
            what = "has the name of a total, but is not" if is_named else "is"
            raise SettingsError(
                f"the {kind} {name} of {path} {what} the sum of the others: leave totals out, "
                "and give each class its own name"
            )
        if not is_named:
            found.append(number)
    return found
