"""What a person may say about a scene; light enough for the command line to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from geoclass.errors import SettingsError
from geoclass.outside import convert_json

Resampling = Literal["nearest", "bilinear", "cubic", "lanczos", "average"]
RESAMPLINGS: tuple[Resampling, ...] = get_args(Resampling)

Bounds = tuple[float, float, float, float]
"""West, south, east, north."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSettings:
    """Which ground is mapped, on which pixels."""

    resolution: float | Literal["native"] | None = None
    """Metres; `native` keeps the scene's own pixels; None warps to the model's where needed."""
    resampling: Resampling | None = None
    """How pixels are made from others; None averages when coarsening, else cubic."""
    crs: str | None = None
    """The coordinate reference system of a scene that has none, or a wrong one."""
    bounds: Bounds | None = None
    """The scene's outer edges in its coordinate reference system, if its file says nothing."""
    bbox: Bounds | None = None
    """Map only this rectangle; west of east, or else it crosses the antimeridian."""
    bbox_crs: str = "EPSG:4326"
    """Of `bbox`; longitude and latitude, in this order, for the default."""
    aoi: str | None = None
    """Map only the polygons of this file."""
    snap: bool = False
    """Begin cells at whole multiples of their side, so that maps of many dates match."""
    force: bool = False
    """Map what is refused for being too coarse or too strange."""

    def __post_init__(self) -> None:
        if isinstance(self.resolution, float) and not 0 < self.resolution < float("inf"):
            raise SettingsError(f"the resolution must be above 0 metres, got {self.resolution}")
        if self.resampling not in (None, *RESAMPLINGS):
            raise SettingsError(
                f"unknown resampling {self.resampling!r}: choose {', '.join(RESAMPLINGS)}"
            )
        if self.bbox is not None and self.aoi is not None:
            raise SettingsError("both a bounding box and an area of interest given: give one")
        for name, box in (("bbox", self.bbox), ("bounds", self.bounds)):
            _check_box(name, box)
        if self.bounds is not None and self.bounds[0] >= self.bounds[2]:
            raise SettingsError(f"bounds must have west < east, got {_write(self.bounds)}")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FrameSettings:
        """The settings that `dataclasses.asdict` described."""
        return convert_json(data, cls, "frame")


SclClass = Literal["cloud", "cirrus", "shadow", "snow", "saturated"]
SCL_CLASSES: tuple[SclClass, ...] = get_args(SclClass)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskSettings:
    """Which pixels are not looked at, beside those that the scene marks as missing."""

    nodata: float | None = None
    """The number that means: nothing here; None is what the file says."""
    scl: str | None = None
    """Sen2Cor's scene classification: a file, or a band's number; None is the product's own."""
    masked_classes: tuple[SclClass, ...] = SCL_CLASSES
    """What the scene classification masks."""
    mask: str | None = None
    """A raster whose pixels other than 0 are masked, or a vector file whose polygons are."""
    mask_above: float | None = None
    """Of the raster, only pixels with larger numbers are masked; fractions need it."""

    def __post_init__(self) -> None:
        unknown = set(self.masked_classes) - set(SCL_CLASSES)
        if unknown:
            raise SettingsError(
                f"unknown classes to mask: {', '.join(sorted(unknown))}; "
                f"choose among {', '.join(SCL_CLASSES)}"
            )
        if self.mask_above is not None and self.mask is None:
            raise SettingsError("a threshold of a mask, but no mask given: add --mask FILE")


HazeWish = Literal["auto", "keep", "remove"]
HAZES: tuple[HazeWish, ...] = get_args(HazeWish)
Haze = HazeWish | tuple[float, float, float]
"""What to do about it, or how much there is: digital numbers above the air, red, green, blue."""

Profile = Literal["auto", "l1c", "l2a", "tci", "rgb8"]
PROFILES: tuple[Profile, ...] = get_args(Profile)


MOST_HAZE_DN = 1800.0
"""Much below white, 2750, lest what is left is stretched to nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RadiometrySettings:
    """What the scene's numbers mean, where a person knows better."""

    profile: Profile = "auto"
    """`auto` asks tags and pixels; see `geoclass.scene.radiometry` for the others."""
    scale: tuple[float, float] | None = None
    """The numbers that are to be black and white, 1 and 255 of EuroSAT's stretch."""
    quantification: float | None = None
    """The stored number that stands for a reflectance of 1, 10000 in Sentinel-2's products."""
    dn_offset: float | None = None
    """Subtracted from the numbers as they are stored."""
    haze: Haze = "auto"
    """What haze adds, by the scene's darkest pixels, is taken off (`remove`), left (`keep`), or
    taken off where it is much; or so much is taken off. See `geoclass.scene.recognition`."""

    @property
    def tells_nothing(self) -> bool:
        """Whether all about the numbers is to be found out."""
        return self.profile == "auto" and not self.scale and self.quantification is None

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            raise SettingsError(
                f"unknown radiometry {self.profile!r}: choose {', '.join(PROFILES)}"
            )
        if isinstance(self.haze, str) and self.haze not in HAZES:
            raise SettingsError(
                f"unknown wish about haze {self.haze!r}: choose {', '.join(HAZES)}, or give R,G,B"
            )
        if not isinstance(self.haze, str) and not all(0 <= h < MOST_HAZE_DN for h in self.haze):
            raise SettingsError(
                f"haze must be three digital numbers from 0 to {MOST_HAZE_DN:g}, got "
                f"{','.join(f'{h:g}' for h in self.haze)}"
            )
        if self.scale is not None and not self.scale[0] < self.scale[1]:
            raise SettingsError(f"scale must have LO < HI, got {self.scale[0]:g},{self.scale[1]:g}")
        if self.quantification is not None and not 0 < self.quantification < float("inf"):
            raise SettingsError(f"the quantification must be above 0, got {self.quantification:g}")
        if self.quantification is not None and self.profile in ("tci", "rgb8"):
            raise SettingsError(
                f"{self.profile} says which number is white: give no quantification beside it"
            )
        others = (self.quantification, self.dn_offset)
        if self.scale is not None and (self.profile != "auto" or others != (None, None)):
            raise SettingsError(
                "a scale says all about the numbers: give no radiometry, quantification or offset "
                "beside it"
            )


def _check_box(name: str, box: Bounds | None) -> None:
    if box is None:
        return
    if len(box) != 4 or not all(abs(value) < float("inf") for value in box):
        raise SettingsError(f"{name} must be four numbers W,S,E,N, got {_write(box)}")
    if box[1] >= box[3] or box[0] == box[2]:
        raise SettingsError(
            f"{name} W,S,E,N must have south < north and a width, got {_write(box)}"
        )


def _write(box: Bounds) -> str:
    return ",".join(f"{value:g}" for value in box)
