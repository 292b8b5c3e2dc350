"""A user's settings of a scene; quick to import, for the command line."""

from dataclasses import dataclass
from typing import Literal, get_args

from geoclass.errors import SettingsError

Resampling = Literal["nearest", "bilinear", "cubic", "lanczos", "average"]
RESAMPLINGS: tuple[Resampling, ...] = get_args(Resampling)

Bounds = tuple[float, float, float, float]
"""West, south, east, north."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSettings:
    """Area and grid: which area is mapped, on which pixels."""

    bbox: Bounds | None = None
    """Map only this box: west, south, east, north.

    If west is greater than east, it crosses the antimeridian.
    """
    bbox_crs: str = "EPSG:4326"
    """CRS of `bbox`; longitude before latitude, for the default."""
    aoi: str | None = None
    """Map only the polygons in this vector file."""
    snap: bool = False
    """Align cells to multiples of their size, so that dates match."""
    resolution: float | Literal["native"] | None = None
    """Pixel size of the map in metres; native: the scene's own pixels. None: the model's if the
    scene's differs by over 10 %."""
    resampling: Resampling | None = None
    """Resampling of warped scenes. None: average when coarsening, else cubic."""
    crs: str | None = None
    """CRS of a scene with no or a wrong CRS, such as EPSG:32632."""
    bounds: Bounds | None = None
    """Bounds of a scene without georeferencing, in its CRS."""
    force: bool = False
    """Map scenes that are refused as too coarse or out of range."""

    def __post_init__(self) -> None:
        if self.resolution is not None and self.resolution != "native":
            object.__setattr__(self, "resolution", float(self.resolution))  # 20 is 20.0
        if isinstance(self.resolution, float) and not 0 < self.resolution < float("inf"):
            raise SettingsError(f"the resolution must be above 0 metres, got {self.resolution}")
        if self.resampling not in (None, *RESAMPLINGS):
            raise SettingsError(
                f"unknown resampling {self.resampling!r}: choose {', '.join(RESAMPLINGS)}"
            )
        if self.bbox is not None and self.aoi is not None:
            raise SettingsError("both a bounding box and an area of interest given: give one")
        for name, box in (("bbox", self.bbox), ("bounds", self.bounds)):
            if box is None:
                continue
            if len(box) != 4 or not all(abs(value) < float("inf") for value in box):
                raise SettingsError(f"{name} must be four numbers W,S,E,N, got {_write(box)}")
            if box[1] >= box[3] or box[0] == box[2]:
                raise SettingsError(
                    f"{name} W,S,E,N must have south < north and a width, got {_write(box)}"
                )
        if self.bounds is not None and self.bounds[0] >= self.bounds[2]:
            raise SettingsError(f"bounds must have west < east, got {_write(self.bounds)}")


SclClass = Literal["cloud", "cirrus", "shadow", "snow", "saturated"]
SCL_CLASSES: tuple[SclClass, ...] = get_args(SclClass)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskSettings:
    """Masks: pixels that are not used, besides those that the scene marks as nodata."""

    nodata: float | None = None
    """Pixel value that means nodata. None: what the file says."""
    scl: str | None = None
    """Sen2Cor's scene classification: a file, or the number of a band. None: the product's own."""
    masked_classes: tuple[SclClass, ...] = SCL_CLASSES
    """Classes that the scene classification masks; none: no class."""
    mask: str | None = None
    """Mask the pixels of this raster that are not 0, or the polygons of this vector file."""
    mask_above: float | None = None
    """Mask only the pixels of the raster `mask` above this value; fractions need it."""

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
"""What to do about haze, or its digital numbers at the top of the atmosphere in each band."""

Profile = Literal["auto", "l1c", "l2a", "tci", "rgb8"]
PROFILES: tuple[Profile, ...] = get_args(Profile)


MOST_HAZE_DN = 1800.0
"""Well below white, 2750, to leave some contrast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RadiometrySettings:
    """Radiometry: meaning of the pixel values, if metadata and pixels do not show it."""

    profile: Profile = "auto"
    """Kind of the pixel values: Sentinel-2 L1C or L2A, true-colour image (tci), or 8 bits with
    EuroSAT's stretch (rgb8); auto: by metadata and pixels."""
    scale: tuple[float, float] | None = None
    """Pixel values of black and white, which become 1 and 255."""
    quantification: float | None = None
    """Pixel value of a reflectance of 1, such as 10000, 1000 or 255."""
    dn_offset: float | None = None
    """Subtract this from the pixel values first."""
    haze: Haze = "auto"
    """Haze, estimated from the darkest pixels: remove it, keep it, or remove it where there is
    much (auto); three numbers (reflectance × 10000) say how much there is.

    See `geoclass.scene.radiometry`.
    """

    @property
    def tells_nothing(self) -> bool:
        """Whether the meaning of pixel values must be found."""
        return self.profile == "auto" and not self.scale and self.quantification is None

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            raise SettingsError(
                f"unknown radiometry {self.profile!r}: choose {', '.join(PROFILES)}"
            )
        if isinstance(self.haze, str) and self.haze not in HAZES:
            raise SettingsError(
                f"unknown setting of haze {self.haze!r}: choose {', '.join(HAZES)}, or give R,G,B"
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
                f"{self.profile} defines which value is white: leave out the quantification"
            )
        others = (self.quantification, self.dn_offset)
        if self.scale is not None and (self.profile != "auto" or others != (None, None)):
            raise SettingsError(
                "a scale defines all pixel values: leave out radiometry, quantification and offset"
            )


def _write(box: Bounds) -> str:
    return ",".join(f"{value:g}" for value in box)
