"""Counts of a labelled sample, and tables of them as spreadsheets write them."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geoclass.errors import OutputError, SettingsError
from geoclass.outside import MOST_TABLE_BYTES, read_file


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampleCounts:
    """How many samples of each stratum are of each map and reference class."""

    names: tuple[str, ...]
    """Of the classes."""
    strata: tuple[str, ...]
    area_ha: np.ndarray
    """float64 (strata,)."""
    counts: np.ndarray
    """int64 (strata, map classes, reference classes)."""
    cells: np.ndarray | None = None
    """int64 (strata,): all cells, where the sample is a sizeable part of them."""


def count_table(
    names: Sequence[str], area_ha: Sequence[float], table: Sequence[Sequence[int]] | np.ndarray
) -> SampleCounts:
    """Counts whose strata are the map's classes: row = map, column = reference."""
    n = len(names)
    matrix = np.asarray(table)
    if matrix.shape != (n, n) or (matrix < 0).any() or len(area_ha) != n:
        raise SettingsError(
            f"a table of {n} classes needs {n} areas and {n}×{n} counts of at least 0, "
            f"got {len(area_ha)} areas and {'×'.join(map(str, matrix.shape))} counts"
        )
    counts = np.zeros((n, n, n), dtype=np.int64)
    counts[np.arange(n), np.arange(n)] = matrix
    return SampleCounts(
        names=tuple(names),
        strata=tuple(names),
        area_ha=np.asarray(area_ha, dtype=float),
        counts=counts,
    )


def read_table(path: Path | str) -> SampleCounts:
    """Counts from a CSV: columns stratum, area_ha, and one for each class on the ground.

    Commas, semicolons or tabs, UTF-8 or UTF-16; rows and columns of totals are checked and left
    out. Raises OutputError where it cannot be read, SettingsError where it is no such table.
    """
    path = Path(path)
    rows, separator = _read_rows(path)
    header, *body = rows
    header = [name.lower() if name.lower() in ("stratum", "area_ha") else name for name in header]
    lacking = {"stratum", "area_ha"} - set(header)
    if lacking:
        raise SettingsError(
            f"{path} lacks the column {', '.join(sorted(lacking))}, its first line, split at "
            f"{separator!r}, is {', '.join(header)}: give stratum, area_ha and one column of "
            "counts for each class"
        )
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise SettingsError(
                f"line {number} of {path}, split at {separator!r}, has {len(row)} columns, "
                f"expected {len(header)}"
            )
    at = {name: header.index(name) for name in header}
    if len(at) != len(header):
        raise SettingsError(f"{path} has two columns of one name ({', '.join(header)})")
    names = [row[at["stratum"]] for row in body]
    if len(set(names)) != len(names):
        raise SettingsError(f"{path} has two rows of one name ({', '.join(names)})")
    classes = [name for name in header if name not in ("stratum", "area_ha")]
    try:
        area = [_parse_number(row[at["area_ha"]], separator) for row in body]
        table = np.array(
            [[_parse_count(row[at[name]], separator) for name in classes] for row in body],
            dtype=np.int64,
        ).reshape(len(body), len(classes))
    except ValueError as error:
        raise SettingsError(f"{path} holds what is no number: {error}") from error
    kept_rows = _leave_out_margin(path, "row", names, np.column_stack([area, table]))
    kept_cols = _leave_out_margin(path, "column", classes, table[kept_rows].T)
    names, classes = [names[i] for i in kept_rows], [classes[i] for i in kept_cols]
    if sorted(classes) != sorted(names):
        raise SettingsError(
            f"the columns of {path} are {', '.join(classes)}, its rows {', '.join(names)}: "
            "expected the same classes"
        )
    order = [kept_cols[classes.index(name)] for name in names]
    return count_table(names, [area[i] for i in kept_rows], table[np.ix_(kept_rows, order)])


def _read_rows(path: Path) -> tuple[list[list[str]], str]:
    """Lines that are not empty, cut into stripped fields, and what separates them."""
    try:
        data = read_file(path, MOST_TABLE_BYTES)
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot read {path} as a table: {error}") from error
    text = None
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "cp1252"):
        try:
            text = data.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    if text is None or "\0" in text:
        raise OutputError(f"cannot read {path} as a table: save it as CSV in UTF-8")
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), "")
    separator = max(",;\t|", key=first.count)
    try:
        rows = [[field.strip() for field in row] for row in csv.reader(lines, delimiter=separator)]
    except csv.Error as error:
        raise OutputError(f"cannot read {path} as a table: {error}") from error
    rows = [row for row in rows if any(row)]
    if not rows:
        raise OutputError(f"cannot read {path} as a table: it is empty")
    return rows, separator


_PLAIN = re.compile(r"[+-]?\d+([.,]\d+)?")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:([., '’\u00a0\u202f])\d{3})+(?:([.,])\d+)?")


def _parse_number(text: str, separator: str) -> float:
    """A number with a decimal point or comma, and with or without marks of thousands.

    ValueError where `1,200` may be either.
    """
    if _PLAIN.fullmatch(text):
        whole, comma, rest = text.partition(",")
        if comma and len(rest) == 3 and separator != ";":
            raise ValueError(f"{text} (1200 or 1.2?), write it without a comma")
        return float(f"{whole}.{rest}" if comma else text)
    found = _GROUPED.fullmatch(text)
    if found and found[1] != found[2]:
        plain = text.replace(found[1], "")
        return float(plain.replace(",", "."))
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _parse_count(text: str, separator: str) -> int:
    value = _parse_number(text, separator)
    if value != int(value):
        raise ValueError(f"{text}, expected whole counts")
    return int(value)


_TOTAL = re.compile(
    r"(grand |row |column |sub)?(totals?|sums?|all|overall|gesamt|summe|totale?|total général"
    r"|somme|somma|suma|Σ)( \(?n\)?)?",
    re.IGNORECASE,
)


def _leave_out_margin(path: Path, kind: str, names: Sequence[str], values: np.ndarray) -> list[int]:
    """Numbers of the rows that are no totals; `values` are float (rows, columns).

    SettingsError for a row of totals that are none, or that has the name of a class.
    """
    kept = []
    for number, name in enumerate(names):
        others = np.delete(values, number, axis=0)
        named = _TOTAL.fullmatch(name) is not None
        # Of two classes, each may well be the sum of all others.
        is_sum = bool(
            len(others) >= (1 if named else 2)
            and values[number].any()
            and np.allclose(values[number], others.sum(axis=0), rtol=1e-3, atol=0.02)
        )
        if named != is_sum:
            what = "has the name of a total, but is not" if named else "is"
            raise SettingsError(
                f"the {kind} {name} of {path} {what} the sum of the others: leave totals out, "
                "and give each class its own name"
            )
        if not named:
            kept.append(number)
    return kept
