"""Alerts as numbers a cell, in the coding of Global Forest Watch."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np

from geoclass.monitor.alerts import GFW_DIGITS, LEVELS
from geoclass.monitor.watch import Monitoring
from geoclass.products.codes import write_codes

GFW_EPOCH = date(2014, 12, 31)
"""Day 0 of GFW's integrated alerts."""


CODING = "confidence digit (2 low, 3 high, 4 highest), days since 2014-12-31"


def write_alerts(result: Monitoring, path: Path | str) -> None:
    """Write the alerts as GeoTIFF, uint16 a cell, coded as `code_alerts` says; OutputError."""
    tags = {"CODING": CODING, "TIFFTAG_COPYRIGHT": result.stack.attribution}
    write_codes(Path(path), code_alerts(result), result.stack.grid, tags)


def code_alerts(result: Monitoring) -> np.ndarray:
    """uint16 (rows, cols): confidence digit, then days since 2014-12-31; 0 for none.

    The digit is 2 for low, 3 for high, 4 for highest; the day is the first on which the cell was
    seen without the group. A cell that was lost twice shows the later loss.
    """
    codes = np.zeros(result.area_ha.shape, dtype=np.uint16)
    days = np.array([(day - GFW_EPOCH).days for day in result.stack.dates])
    digits = np.array([GFW_DIGITS[level] for level in LEVELS])
    for alert in result.alerts:
        losses = alert.losses
        since = np.clip(days[losses.first_gone], 0, 9999)
        own = (digits[losses.level] * 10_000 + since).astype(np.uint16)
        later = own % 10_000 >= codes[losses.cell] % 10_000
        codes[losses.cell[later]] = own[later]
    return codes.reshape(result.stack.grid.rows, result.stack.grid.cols)
