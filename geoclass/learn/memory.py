"""How many tiles a step of training can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch.nn import functional as F

from geoclass.learn.recipes import TrainSettings
from geoclass.learn.schedule import build_optimizers
from geoclass.model.device import is_out_of_memory
from geoclass.model.networks import build_network

MOST_TIMES = 8
"""Larger batches than so many times the recipe's make too few steps an epoch."""


def fit_batch_size(
    settings: TrainSettings,
    classes: int,
    tile_size: int,
    device: torch.device,
    begun: Mapping[str, Any] | None = None,
) -> TrainSettings:
    """The recipe with the largest batch that the device's memory holds.

    From eight times the recipe's size down by halves; the learning rate grows with the root of
    the size, as suits Adam (Malladi et al. 2022). On a CPU the recipe stays as it is, for larger
    batches are no faster there. `begun` are the settings of a run that goes on: it keeps its
    size, whatever other programs have left of the memory.
    """
    if begun is not None:
        kept = {name: begun[name] for name in ("batch_size", "learning_rate") if name in begun}
        return replace(settings, **kept)
    if device.type == "cpu":
        return settings
    size = MOST_TIMES * settings.batch_size
    while size > 1 and not fits(settings, classes, tile_size, device, size):
        torch.cuda.empty_cache()  # of what the step has left behind
        size //= 2
    torch.cuda.empty_cache()
    factor = (size / settings.batch_size) ** 0.5
    return replace(settings, batch_size=size, learning_rate=settings.learning_rate * factor)


def fits(
    settings: TrainSettings, classes: int, tile_size: int, device: torch.device, batch_size: int
) -> bool:
    """Whether one step of training succeeds, optimiser's state included."""
    try:
        network = build_network(settings.arch, classes).to(device)
        optimizers = build_optimizers(network, settings)
        x = torch.zeros((batch_size, 3, tile_size, tile_size), device=device)
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
