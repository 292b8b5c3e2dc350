"""Settings of training and augmentation, and a recipe for each network.

Free of torch, so that the command line can read them quickly.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from geoclass.contract import SHIPPED_ARCH, Arch
from geoclass.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentSettings:
    """Augmentation of tiles. Fractions are of tiles; each kind is drawn independently."""

    symmetries: bool = True
    """Rotate by right angles and mirror."""
    shift: int = 6
    """Maximum shift, pixels; the border is mirrored."""
    join_share: float = 0.1
    """Fraction joined to another tile of its class: cells of a map cross borders, too."""
    mix_share: float = 0.5
    """Fraction mixed with a part of another tile (CutMix) at the start of training; it falls
    linearly to 0 at the end."""
    plain_share: float = 0.4
    """Fraction without changes of light or quality at the start of training."""
    plain_share_end: float = 0.7
    """The same at the end of training, reached linearly."""
    gain: float = 0.4
    """Brightness factor from 1/(1+gain) to 1+gain: slopes, seasons, soils."""
    channel_gain: float = 0.08
    """The same for each channel independently."""
    gamma: float = 0.3
    """Exponent from 1/(1+gamma) to 1+gamma."""
    relief: float = 0.5
    """Maximum standard deviation of the logarithm of sunlight within a tile (slopes)."""
    relief_share: float = 0.5
    """Fraction with relief."""
    path_radiance: float = 0.05
    """Standard deviation of the light added by the air in blue, as a fraction of white; less in
    green and red."""
    corrected_share: float = 0.3
    """Fraction converted to simulated Level-2A."""
    veil: float = 0.45
    """Maximum opacity of thin cloud or smoke."""
    veil_share: float = 0.3
    """Fraction with thin cloud or smoke."""
    offset: float = 0.4
    """Maximum offset of all channels, as a fraction of white."""
    offset_share: float = 0.1
    """Fraction with an offset."""
    degrade_share: float = 0.08
    """Fraction blurred; the same fraction each is coarsened, made noisy and compressed."""

    def plain_share_at(self, progress: float) -> float:
        """Fraction without changes of light or quality at `progress` (0–1) of training."""
        return self.plain_share + (self.plain_share_end - self.plain_share) * progress


UNCHANGED_LIGHT = AugmentSettings(plain_share=1, plain_share_end=1)
"""Neither light nor quality change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudSettings:
    """Simulated clouds and their shadows."""

    share: float = 0.25
    """Fraction of canvases with clouds."""
    opacity: tuple[float, float] = (0.4, 1.0)
    """Range of the opacity of the densest part of a cloud."""
    brightness: tuple[float, float] = (0.6, 1.5)
    """Range of the brightness, as a fraction of white. Values above white are clipped, as in
    scenes."""
    tint: float = 0.04
    """Standard deviation of each channel's factor: removing haze colours clouds."""
    roughness: tuple[float, float] = (0.3, 0.6)
    """Range of the amplitude of each finer scale, relative to the next coarser one."""
    stretch: int = 3
    """Maximum ratio of length to width."""
    shadow: tuple[float, float] = (0.35, 0.8)
    """Range of the light that remains in a shadow, as a factor."""
    distance: int = 32
    """Maximum distance of a shadow from its cloud along each axis, pixels."""


REQUIRED_SHARES = {
    "AnnualCrop": 0.9,
    "HerbaceousVegetation": 0.8,
    "Highway": 1 / 6,
    "Industrial": 0.5,
    "Pasture": 0.85,
    "PermanentCrop": 0.8,
    "Residential": 0.5,
    "River": 1 / 6,
}
"""Roads and rivers cover little of their tiles; the others contain trees, fields or houses, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanvasSettings:
    """Composition of canvases. Fractions are of canvases unless stated."""

    size: int = 96
    """Pixels per side, a multiple of 16."""
    tiles: int = 4
    """Maximum number of tiles per canvas."""
    single_share: float = 0.33
    """Fraction with a single tile."""
    parcels: int = 14
    """Maximum number of parcels; one tile may fill several."""
    straight_share: float = 0.5
    """Fraction with straight borders; other borders are warped."""
    warp: float = 7.0
    """Maximum standard deviation of the warp, pixels."""
    stretch: float = 3.0
    """Maximum ratio of length to width of parcels."""
    turn_share: float = 0.5
    """Fraction of tiles rotated by any angle and scaled, which blurs them a little. The others
    are rotated by right angles, mirrored and shifted by whole pixels."""
    scale: float = 0.2
    """Tiles are scaled by 1/(1+scale) to 1+scale."""
    psf: tuple[float, float] = (0.4, 0.9)
    """Range of the standard deviation of the point spread function at borders, pixels."""
    clouds: CloudSettings = field(default_factory=CloudSettings)
    required: Mapping[str, float] = field(default_factory=lambda: dict(REQUIRED_SHARES))
    """Fraction of the cells of a region that must match its class, the most probable ones, by
    class; 1 for others."""
    wet_classes: tuple[str, ...] = ("River", "SeaLake")
    """Classes of water, which tiles of other classes do not contain."""
    built_classes: tuple[str, ...] = ("Highway", "Industrial", "Residential")
    """Built-up classes, which tiles of fields and woods do not contain."""

    field_classes: tuple[str, ...] = ("AnnualCrop",)
    """Classes whose parcels may get another colour."""
    field_colors: tuple[str, ...] = ("AnnualCrop", "Pasture", "PermanentCrop")
    """Classes of the tiles that supply these colours: a green field is still a crop."""
    field_share: float = 0.5
    """Fraction of canvases of several tiles in which half of the fields change colour."""
    water_class: str = "SeaLake"
    """Class of open water, always dark blue in EuroSAT, unlike many real lakes."""
    water_share: float = 0.3
    """Fraction of tiles of open water that get another colour."""
    wood_class: str = "Forest"
    """Class of woods, dark green in EuroSAT, unlike many dry woods."""
    wood_share: float = 0.15
    """Fraction of tiles of woods that get another colour."""
    band_class: str = "River"
    """Class of bands of water that cross other land; half of all bands are of woods instead."""
    band_share: float = 0.3
    """Fraction with a band of water or of woods."""
    band_width: tuple[float, float] = (2.5, 20.0)
    """Range of its width, pixels."""


Optimizer = Literal["adam", "adamw", "muon"]
Schedule = Literal["constant", "one-cycle", "plateau"]
Augmentation = Literal["none", "turns", "all"]

PLATEAU_EPOCHS = 3
PLATEAU_FACTOR = 1 / 3


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlabelledSettings:
    """Training on images with pseudo-labels of older models (noisy student)."""

    name: str
    """Name of the file of the images."""
    share: float = 0.5
    """Images per canvas in a step."""
    weight: float = 1.0
    """Weight of their loss relative to that of canvases."""
    plain_share: float = 0.3
    """Fraction of images whose light does not change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """Recipe: settings of training. The defaults are for networks that classify tiles."""

    arch: Arch = SHIPPED_ARCH
    """Network. tilenet-dense, the shipped one, also classifies 4×4-pixel cells; tilenet-fine and
    tilenet classify whole tiles only; customnet is the tutorial's."""
    epochs: int = 80
    """Passes over the tiles."""
    batch_size: int = 256
    """Tiles per step, or canvases for networks with cells."""
    drop_partial_batch: bool = True
    optimizer: Optimizer = "muon"
    """Optimiser.

    `muon` updates convolutions; AdamW updates the other weights at the same rate.
    """
    learning_rate: float = 1e-2
    """Maximum learning rate."""
    weight_decay: float = 0.05
    schedule: Schedule = "one-cycle"
    """Schedule of the learning rate.

    `plateau` lowers it after `PLATEAU_EPOCHS` epochs without a better validation score.
    """
    patience: int | None = None
    """Early stopping after this many epochs without a better validation score. None: never."""
    label_smoothing: float = 0.05
    ema_decay: float | None = 0.998
    """Decay of the moving average of weights, about 1/(1 − decay) steps; None: no average."""
    augment: AugmentSettings | None = field(default_factory=AugmentSettings)
    canvases: CanvasSettings | None = None
    """Canvases, for networks with cells; None: whole tiles."""
    unlabelled: UnlabelledSettings | None = None
    """Unlabelled images, for networks with cells; None: none."""
    mean: tuple[float, float, float] = (0.34, 0.38, 0.41)
    std: tuple[float, float, float] = (0.20, 0.14, 0.12)
    start: str | None = None
    """SHA-256 of the starting model; None: random weights."""
    seed: int = 0
    """Seed of weights, order, augmentation and dropout; the split has its own."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of the network."""
    compile: bool = False
    """Use torch.compile, which fuses small layers; needs a C++ compiler."""

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise SettingsError(
                f"epochs and batch size must be at least 1, got {self.epochs}, {self.batch_size}"
            )
        if self.patience is not None and self.patience < 1:
            raise SettingsError(f"patience must be at least 1 epoch, got {self.patience}")
        if not 0 < self.learning_rate < math.inf:
            raise SettingsError(f"learning rate must be positive, got {self.learning_rate}")
        if self.optimizer == "adam" and self.weight_decay:
            raise SettingsError(
                f"adam has no weight decay, got {self.weight_decay}: give adamw, or a decay of 0"
            )
        stops_early = self.patience is not None and self.patience <= PLATEAU_EPOCHS
        if self.schedule == "plateau" and stops_early:
            raise SettingsError(
                f"a patience of {self.patience} epochs stops training before a plateau of "
                f"{PLATEAU_EPOCHS} can lower the rate: give at least {PLATEAU_EPOCHS + 1}"
            )


AUGMENTATIONS: dict[Augmentation, AugmentSettings | None] = {
    "none": None,
    "turns": AugmentSettings(join_share=0, mix_share=0, plain_share=1, plain_share_end=1),
    "all": AugmentSettings(),
}
"""Augmentation by name: none; position only; also light, quality and mixing."""

RECIPES: dict[Arch, TrainSettings] = {
    "tilenet": TrainSettings(arch="tilenet", epochs=48, batch_size=128),
    "tilenet-fine": TrainSettings(arch="tilenet-fine"),
    "tilenet-dense": TrainSettings(
        arch="tilenet-dense",
        batch_size=48,
        label_smoothing=0.0,
        # Real scenes differ more from training tiles than test tiles do.
        augment=AugmentSettings(plain_share=0.3, plain_share_end=0.55),
        canvases=CanvasSettings(),
    ),
    # The recipe of the tutorial.
    "customnet": TrainSettings(
        arch="customnet",
        epochs=30,
        batch_size=64,
        drop_partial_batch=False,
        optimizer="adam",
        learning_rate=1e-3,
        weight_decay=0.0,
        schedule="constant",
        label_smoothing=0.0,
        ema_decay=None,
        augment=None,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    ),
}

FINE_TUNING_EPOCHS = 20
FINE_TUNING_RATE = 1 / 3
"""Factor of the recipe's learning rate."""

MIN_STEPS = 4
"""Per epoch; batches are smaller if there are few tiles."""
MIN_BATCH_SIZE = 16
"""Minimum of such smaller batches."""


def limit_batch_size(settings: TrainSettings, count: int) -> TrainSettings:
    """Reduce the batch size of a recipe if the number of training tiles is small."""
    fitting = max(MIN_BATCH_SIZE, count // MIN_STEPS)
    return replace(settings, batch_size=min(settings.batch_size, fitting))
