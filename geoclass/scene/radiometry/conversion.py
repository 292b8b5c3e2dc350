"""Conversion of stored values to the 8-bit values that the networks were trained on.

EuroSAT's JPEGs were made from Sentinel-2 L1C with `gdal_translate -ot Byte -scale 0 2750 1 255`;
the same stretch is applied here, with equal results. Everything before it (scale, offset, other
stretches, atmosphere, haze) is one linear function per band.

Haze is atmospheric light above the usual amount. Where a scene has woods or water, its darkest
pixels reflect almost no light: the excess over the usual value is haze (dark object subtraction,
Chavez 1988). Haze is blue or white: an excess of green over blue, or of red over green, comes from
the ground.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from geoclass.scene.open.facts import Triple, make_triple
from geoclass.scene.settings import Haze

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

DARK_SHARE = 2.0
"""Percentile of the dark pixels."""

ONES: Triple = (1.0, 1.0, 1.0)
ZEROS: Triple = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Possible:
    """Limits of stored values; pixels beyond them are missing."""

    low: float
    high: float
    dark: float
    """Maximum of a pixel with 0 in one band; in brighter pixels, 0 is nodata."""
    rim: float | None = None
    """Pixels that are not brighter than this in any band are missing."""

    def excludes(self, stored: np.ndarray) -> np.ndarray:
        """Bool (…): True for impossible pixels (3, …)."""
        low, high = stored.min(axis=0), stored.max(axis=0)
        impossible: np.ndarray = (low < self.low) | (high > self.high)
        has_zero = low == 0 if stored.dtype.kind == "u" else (stored == 0).any(axis=0)
        impossible |= has_zero & (high > self.dark)
        if self.rim is not None:
            impossible |= high <= self.rim
        return impossible


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """Tiles of stored values."""

    stored: np.ndarray
    """(3, n, tile, tile): red, green, blue."""
    valid: np.ndarray
    """bool (n, tile, tile)."""

    def percentile(self, share: float) -> np.ndarray:
        """Float (3,): a percentile of the valid pixels in each band; NaN without valid pixels."""
        pixels = self.stored[:, self.valid]
        return np.percentile(pixels, share, axis=1) if pixels.shape[1] else np.full(3, np.nan)

    def find_dark(self, gain: Triple, bias: Triple = ZEROS) -> np.ndarray:
        """Digital numbers of the dark pixels, float (3,); NaN without valid pixels."""
        return self.percentile(DARK_SHARE) * gain + bias


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
            return stored if stored.dtype == np.uint8 else np.clip(stored, 0, 255).astype(np.uint8)
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
        gain, bias = make_triple(data["gain"]), make_triple(data["bias"])
        return cls(name=data["name"], gain=gain, bias=bias, reason=data["reason"])


def stretch(dn: np.ndarray) -> np.ndarray:
    """EuroSAT's stretch of digital numbers, float of any shape, to uint8.

    v = ⌊1 + clip(DN, 0, 2750) · 254 / 2750 + 0.5⌋ (Helber et al. 2019, by GDAL).
    """
    clipped = np.clip(dn.astype(np.float64), 0, EUROSAT_MAX_DN)
    return np.floor(1 + clipped * 254 / EUROSAT_MAX_DN + 0.5).astype(np.uint8)


def read_as_level(level: str, gain: Triple, bias: Triple, reason: str) -> Radiometry:
    """Reflectance of a processing level: digital number = gain · stored + bias.

    A typical atmosphere is added to surface reflectance (Level-2A).
    """
    if level != "Level-2A":
        return Radiometry(name="l1c", gain=gain, bias=bias, reason=reason)
    air = np.array(AIR_TRANSMITTANCE)
    return Radiometry(
        name="l2a",
        gain=make_triple(air * gain),
        bias=make_triple(AIR_PATH_DN + air * bias),
        reason=f"{reason}; a typical atmosphere added",
    )


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


USUAL_DARK_DN: Triple = (379.0, 639.0, 790.0)
"""10th percentile of EuroSAT's pixels in red, green and blue, as digital numbers."""
HAZY_DN = 350.0
"""Minimum excess in blue of a hazy scene."""
HAZIEST_DN = 700.0
"""Larger excesses are clouds, or the scene has no dark pixels."""


def find_dark(radiometry: Radiometry, sample: Sample) -> np.ndarray:
    """Digital numbers of the dark pixels, float (3,); NaN if they are unknown."""
    if radiometry.name == "rgb8":
        return np.full(3, np.nan)
    return sample.find_dark(radiometry.gain, radiometry.bias)


def find_haze(dark: np.ndarray) -> Triple | None:
    """Haze in red, green and blue by the digital numbers of the dark pixels; None if unknown."""
    red, green, blue = make_triple((dark - USUAL_DARK_DN).clip(min=0))
    green = min(green, blue)
    return (min(red, green), green, blue) if blue <= HAZIEST_DN else None


def find_shared_haze(darks: Sequence[np.ndarray]) -> Triple | None:
    """Haze of adjacent scenes by the dark pixels of each; None if one of them is unknown.

    The scene with the least haze decides.
    """
    haze = find_haze(np.min(darks, axis=0))
    return ZEROS if haze is not None and haze[2] < HAZY_DN else haze


def treat_haze(radiometry: Radiometry, sample: Sample, wish: Haze) -> Radiometry:
    """The radiometry with haze removed as the settings ask."""
    if not isinstance(wish, str):
        if radiometry.name == "rgb8":
            return radiometry.warn("no haze removed: the scene has EuroSAT's 8 bits")
        return remove_haze(radiometry, wish, ", as requested")
    haze = None if wish == "keep" else find_haze(find_dark(radiometry, sample))
    if haze is None:
        if wish != "remove":
            return radiometry
        return radiometry.warn("no haze removed: the scene's pixels do not show how much there is")
    if wish == "auto" and haze[2] < HAZY_DN:
        return radiometry
    return remove_haze(radiometry, haze)


def remove_haze(radiometry: Radiometry, haze: Triple, why: str = "") -> Radiometry:
    """The radiometry less haze, a digital number for each band; white stays white."""
    # Haze removes about as much light from bright ground as it adds to dark ground.
    white = EUROSAT_MAX_DN
    left = 1 - np.array(haze) / (white - np.array(USUAL_DARK_DN))
    told = ", ".join(f"{h:.0f}" for h in haze)
    return replace(
        radiometry,
        gain=make_triple(radiometry.gain / left),
        bias=make_triple(white - (white - np.array(radiometry.bias)) / left),
        reason=f"{radiometry.reason}; haze of {told} removed{why}",
    )
