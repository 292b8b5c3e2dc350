#!/usr/bin/env python3
r"""Try scores for what is nearly known, by networks that were trained without a class.

    .venv/bin/python scripts/compare_near_scores.py runs/left EuroSAT_RGB.zip
    .venv/bin/python scripts/compare_near_scores.py runs/left EuroSAT_RGB.zip --part test

`runs/left` is what `scripts/measure_novelty … --keep runs/left` wrote. Prints, for each score and
each class left out, the area under the ROC curve by which that class's tiles are told from the
others', best mean first. The score is chosen on validation tiles.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn import functional as F

from geoclass.learn.dataset import TileSet, read_tiles
from geoclass.learn.finishing import MAX_TILES, augment_as_mapped, fit_gaussians, fit_neighbours
from geoclass.learn.splits import choose_part
from geoclass.model.checkpoint import load_model
from geoclass.model.ood import NEAREST, describe_pixels

DIMENSIONS = 16
"""Of features' directions, in which training tiles differ most (ViM)."""
BATCH_SIZE = 256


def measure_direction(features: Tensor, references: Tensor) -> Tensor:
    """How far each of (n, d) points away from its fifth nearest reference (Sun et al. 2022)."""
    one, other = (F.normalize(x, dim=1) for x in (features, references))
    near = torch.cat(
        [(part @ other.T).topk(NEAREST, dim=1).values[:, -1] for part in one.split(1024)]
    )
    return 1 - near


def measure_residual(features: Tensor, train: Tensor, logits: Tensor) -> Tensor:
    """ViM's virtual logit (Wang et al. 2022): what of features training tiles hardly have."""
    centre = train.mean(dim=0)
    _, directions = torch.linalg.eigh(torch.cov(train.T))
    rest = directions[:, :-DIMENSIONS]
    own, away = (((x - centre) @ rest).norm(dim=1) for x in (train, features))
    residual: Tensor = away * logits.amax(dim=1).mean() / own.mean()
    return residual


def join(energy: Tensor, other: Tensor, *, share: float = 1.0) -> Tensor:
    """Energy and the logarithm of another score, both counted in spreads between quartiles."""
    other = other.clamp(min=1e-6).log()
    one, two = (x.quantile(0.75) - x.quantile(0.25) for x in (energy, other))
    joined: Tensor = energy + share * one / two * other
    return joined


def measure_pixels(tiles: Tensor, known: Tensor, labels: Tensor) -> Tensor:
    """The pixel score of uint8 tiles (n, 3, s, s) by known ones, fitted as models have it."""
    generator = torch.Generator().manual_seed(0)
    some = torch.randperm(len(known), generator=generator)[:MAX_TILES]
    varied = augment_as_mapped(known[some], labels[some], generator)
    described = [
        torch.cat([describe_pixels(part.float()) for part in x.split(BATCH_SIZE)])
        for x in (varied, tiles)
    ]
    fitted = fit_neighbours(described[0])
    return torch.cat([fitted.distance(part) for part in described[1].split(1024)])


def compute_scores(
    arrays: dict[str, Tensor], part: str, tiles: Tensor, known: Tensor
) -> dict[str, Tensor]:
    """All scores that are tried, each (n,), of the tiles of a part."""
    train, labels = arrays["train_features"].float(), arrays["train_labels"]
    features, logits = arrays[f"{part}_features"].float(), arrays[f"{part}_logits"]
    some = train[torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:MAX_TILES]]
    energy = -logits.logsumexp(dim=1)
    gaussians = fit_gaussians(train, labels).distance(features)
    direction = measure_direction(features, some)
    pixels = measure_pixels(tiles, known, labels)
    residual = measure_residual(features, train, arrays["train_logits"])
    return {
        "energy": energy,
        "likeliest class": -torch.softmax(logits, dim=1).amax(dim=1),
        "entropy": torch.distributions.Categorical(logits=logits).entropy(),
        "features": gaussians,
        "direction": direction,
        "ViM": residual + energy,
        "pixels": pixels,
        "energy, half of pixels": join(energy, pixels, share=0.5),
        "energy, pixels": join(energy, pixels),
        "energy, twice pixels": join(energy, pixels, share=2),
        "energy, direction": join(energy, direction),
        "energy, features": join(energy, gaussians),
        "energy, pixels, direction": join(energy, pixels) + join(energy, direction) - energy,
        "energy, pixels, features": join(energy, pixels) + join(energy, gaussians) - energy,
        "ViM, pixels": join(residual + energy, pixels),
    }


def rate(file: Path, part: str, tiles: TileSet, chosen: dict[str, np.ndarray]) -> dict[str, float]:
    """The area under the ROC curve of each score for the class that a network lacks."""
    with np.load(file) as stored:
        arrays = {name: torch.from_numpy(stored[name]) for name in stored.files}
    label = tiles.classes.index(file.stem)
    images = torch.from_numpy(tiles.images)
    train = chosen["train"][tiles.labels[chosen["train"]] != label]
    scores = compute_scores(arrays, part, images[chosen[part]], images[train])
    strange = (arrays[f"{part}_labels"] == label).numpy()
    return {name: roc_auc_score(strange, score) for name, score in scores.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--part", choices=("validation", "test"), default="validation")
    args = parser.parse_args()
    tiles, contract = read_tiles(args.data), load_model().contract
    chosen = {part: choose_part(tiles, contract, part) for part in ("train", args.part)}
    files = sorted(args.folder.glob("*.npz"))
    rows = {file.stem: rate(file, args.part, tiles, chosen) for file in files}
    means = {
        score: float(np.mean([row[score] for row in rows.values()]))
        for score in next(iter(rows.values()))
    }
    print(f"| score | {' | '.join(rows)} | mean |")
    print("|---" * (len(rows) + 2) + "|")
    for score, mean in sorted(means.items(), key=lambda item: -item[1]):
        cells = " | ".join(f"{row[score]:.3f}" for row in rows.values())
        print(f"| {score} | {cells} | **{mean:.3f}** |")


if __name__ == "__main__":
    main()
