"""From stored numbers to the 8-bit values that the networks were trained on.

EuroSAT's JPEGs were made from Sentinel-2 L1C with `gdal_translate -ot Byte -scale 0 2750 1 255`;
the same stretch is applied here, grey level for grey level. All that comes before it, offsets,
scales, other stretches taken back and air put back, is linear in the stored number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from geoclass.scene.open.facts import Triple

EUROSAT_MAX_DN = 2750
"""The digital number (reflectance × 10000) that becomes 255, and all above it."""

BASELINE_OFFSET = 1000
"""What processing baselines from 04.00 on add to every digital number (RADIO_ADD_OFFSET)."""

EUROSAT_NAME = "eurosat-l1c-8bit"
"""What contracts call this scale, and what the tag RADIOMETRY of a scene may say."""

TCI_MAX_DN = {"Level-1C": 3558, "Level-2A": 2000}
"""The digital number that true colour images make 255 (Sentinel-2 user guide, definitions of
TCI: "255 digital counts correspond to a level of 3558 for L1C products or 2000 for L2A")."""

# Single scattering (Gordon and Wang 1994) under a sun 50° high and an aerosol of optical depth
# 0.1, at 665, 560 and 492 nm: clean air 0.0450, 0.0904, 0.1534 (Hansen and Travis 1974), 300
# Dobson units of ozone 0.015, 0.030, 0.006.
AIR_PATH_DN: Triple = (209.0, 394.0, 647.0)
"""What a typical atmosphere adds to red, green and blue, as digital numbers."""
AIR_TRANSMITTANCE: Triple = (0.890, 0.810, 0.791)
"""What it leaves of the ground's light, down and up again."""

ONES: Triple = (1.0, 1.0, 1.0)
ZEROS: Triple = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Radiometry:
    """How a scene's numbers are read, and why so."""

    name: str
    """`l1c`, `l2a`, `tci`, `rgb8` or `scale`."""
    gain: Triple = ONES
    """With `bias`, for red, green, blue: digital number above the air = gain · stored + bias."""
    bias: Triple = ZEROS
    reason: str
    """For people."""
    warnings: tuple[str, ...] = ()
    """What is doubtful about it."""

    def apply(self, stored: np.ndarray) -> np.ndarray:
        """Numbers of any type, (3, …), to uint8 of the same shape."""
        if self.name == "rgb8":
            as_bytes: np.ndarray = np.clip(stored, 0, 255).astype(np.uint8)
            return stored if stored.dtype == np.uint8 else as_bytes
        result = np.empty(stored.shape, dtype=np.uint8)
        for band, (gain, bias) in enumerate(zip(self.gain, self.bias, strict=True)):
            if stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2:
                # A look-up is faster than arithmetic; negative numbers stand behind the others.
                bits = 8 * stored.dtype.itemsize
                unsigned = np.dtype(f"u{stored.dtype.itemsize}")
                every = np.arange(2**bits).astype(unsigned).view(stored.dtype)
                table = stretch(gain * every.astype(np.float64) + bias)
                table.take(stored[band].view(unsigned), out=result[band], mode="clip")
            else:
                result[band] = stretch(gain * stored[band].astype(np.float64) + bias)
        return result

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
        """The reading that `to_json` described."""
        if "gain" not in data:  # as in maps of schema version 1
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
    """Reflectance above the air: digital number = gain · stored + bias."""
    return Radiometry(name="l1c", gain=gain, bias=bias, reason=reason)


def read_as_l2a(gain: Triple, bias: Triple, reason: str) -> Radiometry:
    """Reflectance of the ground, with a typical atmosphere put back."""
    seen = [
        (air * g, path + air * b)
        for g, b, path, air in zip(gain, bias, AIR_PATH_DN, AIR_TRANSMITTANCE, strict=True)
    ]
    (red, green, blue), (red_b, green_b, blue_b) = zip(*seen, strict=True)
    return Radiometry(
        name="l2a",
        gain=(red, green, blue),
        bias=(red_b, green_b, blue_b),
        reason=f"{reason}; a typical atmosphere put back",
    )


def read_as_tci(level: str, reason: str) -> Radiometry:
    """A true colour image of a level, its stretch taken back."""
    white = TCI_MAX_DN[level] / 255
    gain = (white, white, white)
    if level == "Level-1C":
        return Radiometry(name="tci", gain=gain, reason=f"{reason}, stretched back as {level}")
    seen = read_as_l2a(gain, ZEROS, f"{reason}, stretched back as {level}")
    return Radiometry(name="tci", gain=seen.gain, bias=seen.bias, reason=seen.reason)


def read_as_rgb8(reason: str) -> Radiometry:
    """Bytes stretched as EuroSAT's are."""
    return Radiometry(name="rgb8", reason=reason)


def read_as_scaled(low: float, high: float) -> Radiometry:
    """Numbers of which `low` is to be EuroSAT's 1 and `high` its 255."""
    gain = EUROSAT_MAX_DN / (high - low)
    return Radiometry(
        name="scale",
        gain=(gain, gain, gain),
        bias=(-low * gain, -low * gain, -low * gain),
        reason=f"{low:g} … {high:g} stretched, as asked for",
    )


def warn(radiometry: Radiometry, *warnings: str) -> Radiometry:
    """The same reading with more to be said about it."""
    return replace(radiometry, warnings=(*radiometry.warnings, *warnings))
