"""Trained weights → a model: what can be told of it without the test part."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from geoclass.contract import Contract, TrainingRecord
from geoclass.learn.composed import compute_cells, mix_whole_tiles
from geoclass.learn.dataset import TileSet
from geoclass.learn.novelty import fit_novelty
from geoclass.learn.recipes import TrainSettings
from geoclass.learn.splits import Split, hash_pixels
from geoclass.model.checkpoint import Model, save_model
from geoclass.model.classifier import compute_outputs
from geoclass.model.networks import DenseTileNet, Network
from geoclass.model.ood import OodDetector


def finish_model(
    output: Path,
    network: Network,
    tiles: TileSet,
    split: Split,
    settings: TrainSettings,
    *,
    epoch: int,
    validation_accuracy: float,
    start: Model | None = None,
) -> None:
    """Calibrate the weights of an epoch, fit what is novel to them, and write the model.

    `network` is in evaluation mode, on any device; `start` is what training began with.
    """
    n = len(tiles.classes)
    labels = torch.from_numpy(tiles.labels[split.validation])
    _, logits = compute_outputs(
        network,
        torch.from_numpy(tiles.images[split.validation]),
        mean=settings.mean,
        std=settings.std,
        batch_size=settings.batch_size,
    )
    pairs = labels * n + logits.argmax(dim=1)
    confusion = torch.bincount(pairs, minlength=n * n).reshape(n, n)
    counts = np.bincount(tiles.labels[split.train], minlength=n)
    cell_temperature = None
    if isinstance(network, DenseTileNet):
        cell_temperature = fit_temperature(
            *compute_cells(network, tiles, split.validation, settings)
        )
    contract = Contract(
        legend=tiles.legend,
        mean=settings.mean,
        std=settings.std,
        temperature=fit_temperature(logits, labels),
        cell_temperature=cell_temperature,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        class_shares=tuple((counts / counts.sum()).tolist()),
        training=TrainingRecord(
            data_set=tiles.name,
            split=split.record(tiles.names),
            recipe=asdict(settings),
            epoch=epoch,
            validation_accuracy=validation_accuracy,
            skipped=len(tiles.skipped),
        ),
    )
    novelty = fit_to_tiles(network, tiles, split.train, split.validation, contract)
    seen = hash_seen(tiles, split.train, split.validation, start)
    save_model(output, settings.arch, network.cpu(), contract, novelty, seen)


def fit_to_tiles(
    network: Network,
    tiles: TileSet,
    train: np.ndarray,
    validation: np.ndarray,
    contract: Contract,
) -> OodDetector:
    """What the tiles of a network's training are like; `train` and `validation` are indices."""
    mixed = None
    if isinstance(network, DenseTileNet):  # its maps hold tiles of every mixture
        mixed = (mix_whole_tiles(tiles, train), mix_whole_tiles(tiles, validation))
    return fit_novelty(
        network,
        torch.from_numpy(tiles.images[train]),
        torch.from_numpy(tiles.labels[train]),
        torch.from_numpy(tiles.images[validation]),
        mean=contract.mean,
        std=contract.std,
        mixed=mixed,
    )


def hash_seen(
    tiles: TileSet, train: np.ndarray, validation: np.ndarray, start: Model | None = None
) -> Tensor | None:
    """Int64 (n,): hashes of the tiles that had a say, in this run or in the one it began with.

    None where the latter does not say which it has seen.
    """
    seen = hash_pixels(tiles.images[np.concatenate([train, validation])])
    if start is not None:
        if start.seen is None:
            return None
        seen = np.concatenate([seen, start.seen.numpy()])
    return torch.from_numpy(np.unique(seen))


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The T that makes softmax(logits / T) likeliest (Guo et al. 2017, "On Calibration").

    `logits` float (n, classes), `labels` int64 (n,), of tiles that were not trained on.
    The result is kept within 0.05–20, where a network without a single mistake would
    otherwise push it to 0.
    """
    log_t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_t], max_iter=100, line_search_fn="strong_wolfe")
    exact = logits.double()

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(exact / log_t.clamp(-3, 3).exp(), labels)
        value.backward()
        return value

    optimizer.step(loss)
    return float(log_t.detach().clamp(-3, 3).exp())
