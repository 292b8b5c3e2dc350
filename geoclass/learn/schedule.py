"""How weights move: optimiser, learning rate and averaging."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from geoclass.learn.recipes import TrainSettings


def build_optimizer(network: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """The recipe's optimiser for a network's weights."""
    if settings.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    # Norms and biases are not decayed: pulling them to zero regularises nothing.
    decayed = [p for p in network.parameters() if p.ndim > 1]
    kept = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": kept, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate)


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


def rate_factor(settings: TrainSettings, progress: float) -> float:
    """Share of the learning rate at `progress` (0–1) of the run (one cycle: Smith 2018)."""
    if settings.schedule == "constant":
        return 1.0
    warm_up = 0.15
    if progress < warm_up:
        return 0.04 + 0.96 * progress / warm_up
    return 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))
