"""Optimisers, learning rate and averaging of weights."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geoclass.learn.dataset import TILE_SHAPE
from geoclass.learn.recipes import PLATEAU_EPOCHS, PLATEAU_FACTOR, TrainSettings
from geoclass.model.device import is_out_of_memory
from geoclass.model.networks import build_network

MOMENTUM = 0.9
"""Less than the usual 0.95, because runs have only a few thousand steps."""

ADAM_SIZE = 0.2
"""Root mean square of AdamW's steps, in learning rates (Liu et al. 2025, section 2.2)."""

_POLYNOMIAL = (3.4445, -4.7750, 2.0315)
"""Degree five; five iterations map singular values of 0.01 … 1 to about 0.7 … 1.2."""
_ITERATIONS = 5


class ConvolutionMuon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) for convolutions: steps with equal singular values.

    Each weight is a matrix (outputs, rest). torch's own Muon needs torch 2.9, accepts matrices
    only and multiplies in bfloat16, which is slow on most CPUs.
    """

    def __init__(
        self, weights: Sequence[nn.Parameter], *, learning_rate: float, weight_decay: float
    ) -> None:
        """`weights` are (outputs, inputs, h, w); the learning rate has AdamW's scale."""
        super().__init__(weights, {"lr": learning_rate, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override] # without a closure
        """Update the weights, with Nesterov momentum and decoupled weight decay."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                momentum = state["momentum"].lerp_(weight.grad, 1 - MOMENTUM)
                ahead = weight.grad.lerp(momentum, MOMENTUM).flatten(1)
                rate = group["lr"] * ADAM_SIZE * math.sqrt(max(ahead.shape))
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.sub_(orthogonalise(ahead).view(weight.shape), alpha=rate)


def orthogonalise(matrix: Tensor) -> Tensor:
    """Bring the singular values of a matrix near 1 (Newton–Schulz iterations)."""
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonalise(matrix.T).T
    a, b, c = _POLYNOMIAL
    x: Tensor = matrix / matrix.norm().clamp(min=1e-7)  # singular values are at most 1
    for _ in range(_ITERATIONS):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x


IMAGE_CHANNELS = 3


def build_optimizers(network: nn.Module, settings: TrainSettings) -> list[torch.optim.Optimizer]:
    """Build the recipe's optimisers, each for a part of the weights.

    They are fused, so that the 442 million weights of CustomNet are read once per step.
    """
    if settings.optimizer == "adam":
        return [torch.optim.Adam(network.parameters(), lr=settings.learning_rate, fused=True)]
    weights = list(network.parameters())
    if settings.optimizer == "adamw":
        return [_build_adamw(weights, settings)]
    # Muon is not for the first convolution and the last layer.
    hidden = [p for p in weights if p.ndim == 4 and p.shape[1] > IMAGE_CHANNELS]
    chosen = set(hidden)
    rest = [p for p in weights if p not in chosen]
    muon = ConvolutionMuon(
        hidden, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay
    )
    return [muon, _build_adamw(rest, settings)]


def _build_adamw(weights: Sequence[nn.Parameter], settings: TrainSettings) -> torch.optim.Optimizer:
    # Norms and biases are not decayed.
    decayed = [p for p in weights if p.ndim > 1]
    kept = [p for p in weights if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": kept, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def ema(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], int | Tensor], None]:
    """Exponential moving average that forgets the initial weights faster than torch's own."""

    def update(
        averaged: Sequence[Tensor], current: Sequence[Tensor], n_averaged: int | Tensor
    ) -> None:
        n = float(n_averaged)
        keep = min(decay, (1 + n) / (10 + n))
        if torch.is_floating_point(averaged[0]):
            torch._foreach_lerp_(list(averaged), list(current), 1 - keep)
        else:  # batch counters
            torch._foreach_copy_(list(averaged), list(current))

    return update


def rate_factor(settings: TrainSettings, progress: float, history: Sequence[float] = ()) -> float:
    """Factor of the learning rate at `progress` (0–1) of the run (one-cycle: Smith 2018).

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


def count_stale(history: Sequence[float]) -> int:
    """Number of epochs since the first best one."""
    return len(history) - 1 - history.index(max(history)) if history else 0


def _count_plateaus(history: Sequence[float]) -> int:
    """Number of times that `PLATEAU_EPOCHS` epochs in a row gave no better score."""
    plateaus, waited, best = 0, 0, -math.inf
    for accuracy in history:
        waited = 0 if accuracy > best else waited + 1
        best = max(best, accuracy)
        if waited == PLATEAU_EPOCHS:
            plateaus, waited = plateaus + 1, 0
    return plateaus


MOST_TIMES = 8
"""Maximum factor of the recipe's batch size; larger batches give too few steps per epoch."""


def fit_batch_size(
    settings: TrainSettings,
    classes: int,
    device: torch.device,
    begun: Mapping[str, Any] | None = None,
) -> TrainSettings:
    """Set the largest batch size that fits in the memory of a GPU.

    Sizes are eight times the recipe's and its halves. The learning rate is scaled by the square
    root of the size (Malladi et al. 2022). On a CPU the recipe does not change. A resumed run
    keeps the batch size of its settings `begun`.
    """
    if begun is not None:
        kept = {name: begun[name] for name in ("batch_size", "learning_rate") if name in begun}
        return replace(settings, **kept)
    if device.type == "cpu":
        return settings
    size = MOST_TIMES * settings.batch_size
    while size > 1 and not fits(settings, classes, device, size):
        torch.cuda.empty_cache()  # of the failed step
        size //= 2
    torch.cuda.empty_cache()
    factor = (size / settings.batch_size) ** 0.5
    return replace(settings, batch_size=size, learning_rate=settings.learning_rate * factor)


def fits(settings: TrainSettings, classes: int, device: torch.device, batch_size: int) -> bool:
    """Whether a training step fits in memory, including the optimiser's state."""
    try:
        network = build_network(settings.arch, classes).to(device)
        optimizers = build_optimizers(network, settings)
        x = torch.zeros((batch_size, *TILE_SHAPE), device=device)
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
            logits = network(x)
        F.cross_entropy(logits.float(), torch.zeros(batch_size, device=device).long()).backward()
        for optimizer in optimizers:
            optimizer.step()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True
