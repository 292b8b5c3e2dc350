"""How the networks are trained: settings, and a recipe for each network."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from geoclass.contract import SHIPPED_ARCH, Arch
from geoclass.errors import SettingsError
from geoclass.learn.settings import AugmentSettings, CanvasSettings

Optimizer = Literal["adam", "adamw", "muon"]
Schedule = Literal["constant", "one-cycle", "plateau"]
Variation = Literal["none", "turns", "all"]

PLATEAU_EPOCHS = 3
PLATEAU_FACTOR = 1 / 3


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlabelledSettings:
    """Training on images that older models have labelled (noisy student)."""

    name: str
    """Of the file that the images came from."""
    share: float = 0.5
    """Images in a step, for each canvas."""
    weight: float = 1.0
    """Of their loss beside that of canvases."""
    plain_share: float = 0.3
    """Of images keep their light."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """Recipe: settings of training; the defaults are those of the shipped network."""

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

    `muon` is for convolutions; what it does not move is moved by AdamW at the same rate.
    """
    learning_rate: float = 1e-2
    """Maximum learning rate."""
    weight_decay: float = 0.05
    schedule: Schedule = "one-cycle"
    """Schedule of the learning rate.

    `plateau` lowers the rate after `PLATEAU_EPOCHS` that are no better on validation.
    """
    patience: int | None = None
    """Stop after this many epochs without a better validation score. None: never."""
    label_smoothing: float = 0.05
    ema_decay: float | None = 0.998
    """Average the weights over some 1/(1 − decay) steps; None: take them as they are."""
    augment: AugmentSettings | None = field(default_factory=AugmentSettings)
    canvases: CanvasSettings | None = None
    """How tiles are composed, for networks with cells; None: tiles are shown one by one."""
    unlabelled: UnlabelledSettings | None = None
    """Of networks with cells; None: there are no pictures without labels."""
    mean: tuple[float, float, float] = (0.34, 0.38, 0.41)
    std: tuple[float, float, float] = (0.20, 0.14, 0.12)
    start: str | None = None
    """SHA-256 of the model whose weights training begins with; None: random weights."""
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
                f"adam decays no weights, got a decay of {self.weight_decay}: take adamw, or 0"
            )
        impatient = self.patience is not None and self.patience <= PLATEAU_EPOCHS
        if self.schedule == "plateau" and impatient:
            raise SettingsError(
                f"a patience of {self.patience} epochs ends the run before a plateau of "
                f"{PLATEAU_EPOCHS} can lower the rate: give at least {PLATEAU_EPOCHS + 1}"
            )


VARIATIONS: dict[Variation, AugmentSettings | None] = {
    "none": None,
    "turns": AugmentSettings(join_share=0, mix_share=0, plain_share=1, plain_share_end=1),
    "all": AugmentSettings(),
}
"""Tiles as they are; turned, mirrored and moved; and in other light, spoilt and mixed, too."""

RECIPES: dict[Arch, TrainSettings] = {
    "tilenet": TrainSettings(arch="tilenet", epochs=48, batch_size=128),
    "tilenet-fine": TrainSettings(arch="tilenet-fine"),
    "tilenet-dense": TrainSettings(
        arch="tilenet-dense",
        batch_size=48,
        label_smoothing=0.0,
        # Light varies more than for tiles alone: real scenes are further away than test tiles.
        augment=AugmentSettings(plain_share=0.3, plain_share_end=0.55),
        canvases=CanvasSettings(),
    ),
    # The tutorial's recipe as it stands.
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
"""Of the recipe's: a network that begins with another's weights has not far to go."""

FEWEST_STEPS = 4
"""An epoch; batches of few tiles are smaller, for one step an epoch teaches little …"""
SMALLEST_BATCH = 16
"""… but not smaller than this, or they say too little of all tiles."""


def suit_tiles(settings: TrainSettings, count: int) -> TrainSettings:
    """The recipe for so many tiles to train on: with smaller batches where they are few."""
    fitting = max(SMALLEST_BATCH, count // FEWEST_STEPS)
    return replace(settings, batch_size=min(settings.batch_size, fitting))
