"""Conversion of stored values to the 8-bit values that the networks were trained on.

EuroSAT's JPEGs were made from Sentinel-2 L1C with `gdal_translate -ot Byte -scale 0 2750 1 255`;
the same stretch is applied here, with equal results. Everything before it (scale, offset, other
stretches, atmosphere, haze) is one linear function per band.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from geoclass.scene.open.facts import Triple
from geoclass.scene.radiometry.sample import Possible

EUROSAT_MAX_DN = 2750
"""Digital number (reflectance × 10000) that becomes 255; higher ones are clipped."""

BASELINE_OFFSET = 1000
"""Added to all digital numbers by processing baselines from 04.00 (RADIO_ADD_OFFSET)."""

EUROSAT_NAME = "eurosat-l1c-8bit"
"""Name of this stretch in contracts and in the tag RADIOMETRY of scenes."""

TCI_MAX_DN = {"Level-1C": 3558, "Level-2A": 2000}
"""Digital number of 255 in true colour images (Sentinel-2 user guide, definitions of TCI: "255
digital counts correspond to a level of 3558 for L1C products or 2000 for L2A")."""

# Single scattering (Gordon and Wang 1994) at a sun elevation of 50° and an aerosol optical depth
# of 0.1, at 665, 560 and 492 nm: clean air 0.0450, 0.0904, 0.1534 (Hansen and Travis 1974), 300
# Dobson units of ozone 0.015, 0.030, 0.006.
AIR_PATH_DN: Triple = (209.0, 394.0, 647.0)
"""Path reflectance of a typical atmosphere in red, green and blue, as digital numbers."""
AIR_TRANSMITTANCE: Triple = (0.890, 0.810, 0.791)
"""Two-way transmittance of a typical atmosphere."""

TAKEN_TOGETHER = 2**17
"""Values looked up together; their indices fit into a core's caches."""

ONES: Triple = (1.0, 1.0, 1.0)
ZEROS: Triple = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Radiometry:
    """How a scene's stored values are converted, and why."""

    name: str
    """`l1c`, `l2a`, `tci`, `rgb8` or `scale`."""
    gain: Triple = ONES
    """For red, green, blue: top-of-atmosphere digital number = gain · stored + bias."""
    bias: Triple = ZEROS
    reason: str
    """For people."""
    warnings: tuple[str, ...] = ()
    possible: Possible | None = None
    """Limits of valid stored values; None: all are valid."""

    def apply(self, stored: np.ndarray) -> np.ndarray:
        """Stored values of any type, (3, …), to uint8 of the same shape."""
        if self.name == "rgb8":
            as_bytes: np.ndarray = np.clip(stored, 0, 255).astype(np.uint8)
            return stored if stored.dtype == np.uint8 else as_bytes
        result = np.empty(stored.shape, dtype=np.uint8)
        for band, (gain, bias) in enumerate(zip(self.gain, self.bias, strict=True)):
            if stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2:
                # A look-up table is faster; negative numbers are in its second half.
                bits = 8 * stored.dtype.itemsize
                unsigned = np.dtype(f"u{stored.dtype.itemsize}")
                every = np.arange(2**bits).astype(unsigned).view(stored.dtype)
                table = stretch(gain * every.astype(np.float64) + bias)
                numbers = stored[band].view(unsigned)
                # In parts: `take` converts its indices to int64.
                step = max(1, TAKEN_TOGETHER * len(numbers) // max(1, numbers.size))
                for first in range(0, len(numbers), step):
                    part = slice(first, first + step)
                    table.take(numbers[part], out=result[band, part], mode="clip")
            else:
                result[band] = stretch(gain * stored[band].astype(np.float64) + bias)
        return result

    def warn(self, *warnings: str) -> Radiometry:
        """The same radiometry with more warnings."""
        return replace(self, warnings=(*self.warnings, *warnings))

    def to_json(self) -> dict[str, Any]:
        """Plain data for provenance."""
        return {
            "name": self.name,
            "gain": list(self.gain),
            "bias": list(self.bias),
            "reason": self.reason,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Radiometry:
        """Inverse of `to_json`."""
        if "gain" not in data:  # schema version 1
            offset = -float(data.get("dn_offset", 0))
            return cls(name=data["name"], bias=(offset,) * 3, reason=data["reason"])
        gain, bias = ((r, g, b) for r, g, b in (data["gain"], data["bias"]))
        return cls(name=data["name"], gain=gain, bias=bias, reason=data["reason"])


def stretch(dn: np.ndarray) -> np.ndarray:
    """EuroSAT's stretch of digital numbers, float of any shape, to uint8.

    v = ⌊1 + clip(DN, 0, 2750) · 254 / 2750 + 0.5⌋ (Helber et al. 2019, by GDAL).
    """
    clipped = np.clip(dn.astype(np.float64), 0, EUROSAT_MAX_DN)
    values: np.ndarray = np.floor(1 + clipped * 254 / EUROSAT_MAX_DN + 0.5).astype(np.uint8)
    return values


def read_as_l1c(gain: Triple, bias: Triple, reason: str) -> Radiometry:
    """Top-of-atmosphere reflectance: digital number = gain · stored + bias."""
    return Radiometry(name="l1c", gain=gain, bias=bias, reason=reason)


def read_as_l2a(gain: Triple, bias: Triple, reason: str) -> Radiometry:
    """Surface reflectance, to which a typical atmosphere is added."""
    seen = [
        (air * g, path + air * b)
        for g, b, path, air in zip(gain, bias, AIR_PATH_DN, AIR_TRANSMITTANCE, strict=True)
    ]
    (red, green, blue), (red_b, green_b, blue_b) = zip(*seen, strict=True)
    return Radiometry(
        name="l2a",
        gain=(red, green, blue),
        bias=(red_b, green_b, blue_b),
        reason=f"{reason}; a typical atmosphere added",
    )


def read_as_level(level: str, gain: Triple, bias: Triple, reason: str) -> Radiometry:
    """Reflectance of a processing level."""
    return (read_as_l2a if level == "Level-2A" else read_as_l1c)(gain, bias, reason)


def read_as_tci(level: str, reason: str) -> Radiometry:
    """A true colour image of a level, with its stretch undone."""
    white = TCI_MAX_DN[level] / 255
    reason = f"{reason}, stretch of {level} undone"
    return replace(read_as_level(level, (white,) * 3, ZEROS, reason), name="tci")


def read_as_rgb8(reason: str) -> Radiometry:
    """Bytes with EuroSAT's stretch."""
    return Radiometry(name="rgb8", reason=reason)


def read_as_scaled(low: float, high: float) -> Radiometry:
    """Values from `low`, which becomes 1, to `high`, which becomes 255."""
    gain = EUROSAT_MAX_DN / (high - low)
    return Radiometry(
        name="scale",
        gain=(gain,) * 3,
        bias=(-low * gain,) * 3,
        reason=f"{low:g} … {high:g} stretched, as requested",
    )
