"""From stored numbers to the 8-bit values that the networks were trained on.

EuroSAT's JPEGs were made from Sentinel-2 L1C with `gdal_translate -ot Byte -scale 0 2750 1 255`;
the same stretch is applied here, grey level for grey level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geoclass.errors import SceneError
from geoclass.scene.source import SceneSource

EUROSAT_MAX_DN = 2750
"""The digital number (reflectance × 10000) that becomes 255, and all above it."""

BASELINE_OFFSET = 1000
"""What processing baselines from 04.00 on add to every digital number (RADIO_ADD_OFFSET)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Radiometry:
    """How a scene's numbers are read, and why so."""

    name: str
    """`l1c` or `rgb8`."""
    dn_offset: int
    """Subtracted from the digital numbers before the stretch."""
    reason: str
    """For people."""
    warnings: tuple[str, ...] = ()
    """What is doubtful about it."""

    def apply(self, stored: np.ndarray) -> np.ndarray:
        """Uint8 or uint16 of any shape to uint8 of the same shape."""
        if self.name == "rgb8":
            return stored
        stretched: np.ndarray = stretch_table(self.dn_offset)[stored]
        return stretched

    def to_json(self) -> dict[str, str | int]:
        """Plain data for provenance."""
        return {"name": self.name, "dn_offset": self.dn_offset, "reason": self.reason}


def stretch_table(dn_offset: int = 0) -> np.ndarray:
    """EuroSAT's stretch as uint8 (65536,), indexed by the digital number.

    v = ⌊1 + clip(DN − offset, 0, 2750) · 254 / 2750 + 0.5⌋ (Helber et al. 2019, by GDAL).
    """
    dn = np.clip(np.arange(65536) - dn_offset, 0, EUROSAT_MAX_DN)
    return np.floor(1 + dn * 254 / EUROSAT_MAX_DN + 0.5).astype(np.uint8)


def decide_radiometry(source: SceneSource) -> Radiometry:
    """What the scene's type and tags say about its numbers.

    Raises SceneError for a type whose numbers cannot be brought to the trained scale.
    """
    if source.dtype not in ("uint8", "uint16"):
        raise SceneError(
            f"{source.shown} stores {source.dtype}, expected uint8 or uint16: "
            "convert it, for example with rio convert --dtype uint16"
        )
    if source.dtype == "uint8":
        return Radiometry(
            name="rgb8", dn_offset=0, reason="8-bit values, taken to be stretched as EuroSAT's are"
        )
    offset, because = _find_offset(source)
    removed = f"offset {offset} subtracted" if offset else "no offset"
    return Radiometry(
        name="l1c",
        dn_offset=offset,
        reason=f"uint16 {source.level or 'of unknown level'}, {removed} ({because})",
        warnings=_find_doubts(source),
    )


def _find_offset(source: SceneSource) -> tuple[int, str]:
    """What to subtract, and what says so; a tag of the offset itself beats the baseline's."""
    if source.add_offset is not None:
        return -source.add_offset, "by the tag of its offset"
    if source.baseline is None:
        return 0, "no tag of baseline or offset"
    # Baselines compare as text: two digits, a point, two digits.
    offset = BASELINE_OFFSET if source.baseline >= "04.00" else 0
    return offset, f"baseline {source.baseline}"


def _find_doubts(source: SceneSource) -> tuple[str, ...]:
    doubts = []
    if source.baseline is None and source.add_offset is None:
        doubts.append(
            "no tag tells the processing baseline: products since January 2022 have 1000 added to "
            "their numbers, which is not subtracted here and would spoil the map"
        )
    if source.level is not None and "2A" in source.level:
        doubts.append(
            f"the scene is {source.level}, the network was trained on Level-1C, "
            "which is brighter, most in blue: expect more wrong labels"
        )
    return tuple(doubts)
