"""How weights move: optimiser, learning rate and averaging."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from geoclass.learn.muon import ConvolutionMuon
from geoclass.learn.recipes import PLATEAU_EPOCHS, PLATEAU_FACTOR, TrainSettings

IMAGE_CHANNELS = 3


def build_optimizers(network: nn.Module, settings: TrainSettings) -> list[torch.optim.Optimizer]:
    """The recipe's optimisers, each for its part of a network's weights.

    Fused ones: CustomNet's 442 million weights are read once a step, not once an operation.
    """
    if settings.optimizer == "adam":
        return [torch.optim.Adam(network.parameters(), lr=settings.learning_rate, fused=True)]
    weights = list(network.parameters())
    if settings.optimizer == "adamw":
        return [_build_adamw(weights, settings)]
    # Muon is for what lies between: neither the first convolution nor the last layer.
    hidden = [p for p in weights if p.ndim == 4 and p.shape[1] > IMAGE_CHANNELS]
    chosen = set(hidden)
    rest = [p for p in weights if p not in chosen]
    muon = ConvolutionMuon(
        hidden, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay
    )
    return [muon, _build_adamw(rest, settings)]


def _build_adamw(weights: Sequence[nn.Parameter], settings: TrainSettings) -> torch.optim.Optimizer:
    # Norms and biases are not decayed: pulling them to zero regularises nothing.
    decayed = [p for p in weights if p.ndim > 1]
    kept = [p for p in weights if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": kept, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def ema(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], int | Tensor], None]:
    """Exponential moving average that forgets the random beginning faster.

    torch's own keeps the first weights' share at decayⁿ, which spoils short runs.
    """

    def update(
        averaged: Sequence[Tensor], current: Sequence[Tensor], n_averaged: int | Tensor
    ) -> None:
        n = float(n_averaged)
        keep = min(decay, (1 + n) / (10 + n))
        if torch.is_floating_point(averaged[0]):
            torch._foreach_lerp_(list(averaged), list(current), 1 - keep)
        else:  # counters of batches
            torch._foreach_copy_(list(averaged), list(current))

    return update


def rate_factor(settings: TrainSettings, progress: float, history: Sequence[float] = ()) -> float:
    """Share of the learning rate at `progress` (0–1) of the run (one cycle: Smith 2018).

    `history` is the validation accuracy of each epoch so far.
    """
    if settings.schedule == "constant":
        return 1.0
    if settings.schedule == "plateau":
        return PLATEAU_FACTOR ** _count_plateaus(history)
    warm_up = 0.15
    if progress < warm_up:
        return 0.04 + 0.96 * progress / warm_up
    return 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))


def is_best(history: Sequence[float]) -> bool:
    """Whether the last epoch is as good as any before; of equals the later saw more."""
    return history[-1] == max(history)


def count_stale(history: Sequence[float]) -> int:
    """How many epochs have passed since one was better than all before."""
    return len(history) - 1 - history.index(max(history)) if history else 0


def _count_plateaus(history: Sequence[float]) -> int:
    """How often `PLATEAU_EPOCHS` epochs in a row brought nothing better than all before."""
    plateaus, waited, best = 0, 0, -math.inf
    for accuracy in history:
        waited = 0 if accuracy > best else waited + 1
        best = max(best, accuracy)
        if waited == PLATEAU_EPOCHS:
            plateaus, waited = plateaus + 1, 0
    return plateaus
