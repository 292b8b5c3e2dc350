"""Settings of a map; imports quickly, for the command line."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from geoclass.contract import Precision
from geoclass.errors import SettingsError
from geoclass.products.formats import AS_USUAL, FileSettings, MapFormat
from geoclass.scene.settings import FrameSettings, MaskSettings, RadiometrySettings

STRIDES = (64, 32, 16, 8, 4)
"""Cell sizes in pixels, from a tile to the network's own cells."""

Detail = int | Literal["none"] | None

MIN_TILE_SHARE = 0.8
"""Minimum fraction of a training tile that its class covers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostprocessingSettings:
    """Post-processing: how speckle is removed."""

    min_area_ha: float | None = None
    """Merge patches smaller than this into their largest neighbour."""
    smooth: float | None = None
    """Smooth neighbouring probabilities with this strength (empirical Bayes, as in sits); try 20.

    It is a variance of logits.
    """
    smooth_window: int = 7
    """Side of the square for `smooth`, in cells; an odd number."""

    def __post_init__(self) -> None:
        for name, value in (("least area", self.min_area_ha), ("strength", self.smooth)):
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise SettingsError(f"the {name} must be above 0, got {value:g}")
        if self.smooth_window < 3 or self.smooth_window % 2 == 0:
            raise SettingsError(
                f"the window of the smoothing must be an odd number of cells from 3, "
                f"got {self.smooth_window}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class MapSettings:
    """Cells and classes: settings that can change a label."""

    stride: int | None = None
    """Cell size in pixels: 64, 32, 16, 8 or 4; the run time is about the same. None: 64, a tile.

    Cells smaller than a tile are means of the network's own cells, of 4 pixels a side.
    """
    detail: Detail = None
    """Size in pixels of the smaller cells stored with the map, below the `stride`, or none. None:
    4, 8 or 16, by map size."""
    keep_unknown: bool = False
    """Give out-of-distribution cells their top-1 class instead of unknown."""
    min_valid_share: float = 0.5
    """Minimum valid fraction of a cell, and of its tile; a cell with less is nodata, or masked."""
    symmetries: bool = False
    """Test-time augmentation: average eight rotations and mirrors; takes eight times as long."""
    precision: Precision | None = None
    """Precision of multiplications in the network. None: bf16 if the device is faster with it."""
    frame: FrameSettings = field(default_factory=FrameSettings)
    """Which area is mapped, on which pixels."""
    postprocessing: PostprocessingSettings = field(default_factory=PostprocessingSettings)
    """How speckle is removed."""
    masks: MaskSettings = field(default_factory=MaskSettings)
    """Which pixels are not used."""
    radiometry: RadiometrySettings = field(default_factory=RadiometrySettings)
    """What the pixel values mean."""

    def __post_init__(self) -> None:
        if not 0 < self.min_valid_share <= 1:
            raise SettingsError(
                f"the least valid share must be above 0 and at most 1, got {self.min_valid_share}"
            )
        if self.stride is not None and self.stride not in STRIDES:
            raise SettingsError(f"the stride must be one of {_list(STRIDES)}, got {self.stride}")
        stride = self.stride or max(STRIDES)
        finer = [size for size in STRIDES if size < stride]
        if self.detail not in (None, "none", *finer):
            raise SettingsError(
                f"the detail of cells of {stride} pixels must be "
                f"{_list([*finer, 'none'])}, got {self.detail}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class MapRequest:
    """Options: request to map one scene or many."""

    model: Path | None = None
    """Model file. None: the shipped model."""
    bands: tuple[int | str, ...] | None = None
    """Numbers or names of the red, green and blue bands, such as 3,2,1 or B04,B03,B02. None:
    found by name."""
    legend: Path | None = None
    """JSON file with titles, colours and groups for classes."""
    device: str | None = None
    """Device: cpu, cuda, cuda:1 … None: cuda if available, else cpu."""
    batch_size: int | None = None
    """Tiles per batch. None: depends on the device."""
    overwrite: bool = False
    """Replace existing files, whatever they contain, except maps that are up to date."""
    redo: bool = False
    """Map again and replace older maps of geoclass."""
    settings: MapSettings = field(default_factory=MapSettings)
    map_format: MapFormat = "gpkg"
    form: FileSettings = AS_USUAL
    command: str = "geoclass.run_campaign"
    """Command that the map's provenance names."""


def _list(values: Sequence[object]) -> str:
    *first, last = map(str, values)
    return f"{', '.join(first)} or {last}" if first else last
