#!/usr/bin/env python3
r"""Whether bfloat16 keeps the labels of float32: of maps at some strides, and of EuroSAT's tiles.

    .venv/bin/python scripts/compare_precisions.py SCENE … --eurosat EuroSAT_RGB.zip

A scene whose file does not say which bands are red, green and blue is written SCENE:1,2,3.
Of every set of tiles it also says how far bfloat16 is off before anything is computed again: the
distance between the two likeliest classes' logits, the energy, and the distance of features as a
share of its threshold. The margins in geoclass/model/second_look.py come from there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from geoclass.landcover import LandCoverMap
from geoclass.learn.dataset import read_tiles
from geoclass.learn.splits import PARTS, choose_part
from geoclass.mapping.pipeline import run_map
from geoclass.mapping.plan import plan_map
from geoclass.mapping.settings import MapSettings
from geoclass.model.checkpoint import Model, load_model
from geoclass.model.classifier import Classifier, Prediction
from geoclass.model.fused import FusedNetwork, fuse
from geoclass.model.novelty import Novelty

BATCH = 128
QUANTILES = (0.5, 0.99, 0.999, 1.0)
OF_THE_TRAINING_PART = 8
"""Of so many training tiles one is enough to see how errors are spread."""


class WatchedClassifier(Classifier):
    """Remembers its tiles, and how many of them were doubtful."""

    def __init__(self, model: Model, precision: str) -> None:
        super().__init__(model, device="cpu", precision=precision)
        self.tiles: list[np.ndarray] = []
        self.doubtful = 0

    def predict(self, images: np.ndarray) -> Prediction:
        self.tiles.append(images)
        return super().predict(images)

    def _look(self, network: FusedNetwork, tiles: torch.Tensor) -> object:
        look = super()._look(network, tiles)
        if network is self._network and self._exact is not None:
            self.doubtful += int(look.doubtful.sum())
        return look

    @property
    def looked_again(self) -> float:
        return self.doubtful / sum(map(len, self.tiles))


def compute_scores(model: Model, tiles: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
    """Logits, energy and distance of features, (n, classes + 2), as shares of their thresholds."""
    kind = {"mean": model.contract.mean, "std": model.contract.std}
    network = fuse(model.network, **kind, dtype=dtype, device=torch.device("cpu"))
    novelty: Novelty = model.novelty
    found = []
    with torch.inference_mode():
        for batch in torch.from_numpy(tiles).split(BATCH):
            features = network.features(batch)
            logits = network.decide(features)
            far = novelty.features.distance(features) / novelty.thresholds[1]
            energy = -logits.logsumexp(dim=1)
            found.append(torch.cat([logits, energy[:, None], far[:, None]], dim=1))
    return torch.cat(found)


def show_errors(name: str, model: Model, tiles: np.ndarray) -> None:
    full, half = (compute_scores(model, tiles, d) for d in (torch.float32, torch.bfloat16))
    best = half[:, :-2].topk(2, dim=1).indices
    first, second = (half - full).gather(1, best).unbind(dim=1)
    near = (full[:, -1] - 1).abs() < 0.5
    errors = {
        "logits": first - second,
        "energy": (half - full)[:, -2],
        "features, near their threshold": (half - full)[near, -1],
    }
    for what, error in errors.items():
        if len(error):
            shown = ", ".join(f"{q:.3f}" for q in error.abs().quantile(torch.tensor(QUANTILES)))
            print(f"  {name}: errors of {what} ({len(error)} tiles): {shown}")


def compare_parts(model: Model, archive: Path) -> None:
    tiles = read_tiles(archive, model.contract.tile_size)
    for part in PARTS:
        chosen = choose_part(tiles, model.contract, part, None)
        chosen = chosen[::OF_THE_TRAINING_PART] if part == "train" else chosen
        images, labels = tiles.images[chosen], tiles.labels[chosen]
        half = WatchedClassifier(model, "bf16")
        one, other = Classifier(model, device="cpu", precision="fp32"), half
        one, other = one.predict(images), other.predict(images)
        best = [p.probabilities.argmax(axis=1) for p in (one, other)]
        right = [f"{(b == labels).mean():.2%}" for b in best]
        same = (best[0] == best[1]) & (one.unknown == other.unknown)
        print(
            f"{part}: {same.sum()} of {len(same)} tiles have the same label; "
            f"right in float32 {right[0]}, in bf16 {right[1]}; "
            f"looked at again {half.looked_again:.2%}"
        )
        show_errors(part, model, images)


def map_in(
    scene: Path, bands: list[int] | None, stride: int, by: WatchedClassifier, model: Model
) -> LandCoverMap:
    settings = MapSettings(stride=stride, precision=by.precision)
    plan = plan_map(scene, model.contract, model.sha256, settings, bands=bands, classifier=by)
    by.tiles.clear()
    by.doubtful = 0
    return run_map(plan, by)


def compare_maps(model: Model, scene: Path, bands: list[int] | None, strides: list[int]) -> None:
    for stride in strides:
        by = {p: WatchedClassifier(model, p) for p in ("fp32", "bf16")}
        full, half = (map_in(scene, bands, stride, by[p], model) for p in by)
        differ = {
            name: int((getattr(full, name) != getattr(half, name)).sum())
            for name in ("class_id", "best_class")
        }
        print(
            f"{scene.name}, stride {stride}: of {full.class_id.size} cells {differ['class_id']} "
            f"have another label ({differ['class_id'] / full.class_id.size:.2%}), "
            f"{differ['best_class']} another likeliest class; "
            f"tiles looked at again {by['bf16'].looked_again:.2%}"
        )
    show_errors(scene.name, model, np.concatenate(by["bf16"].tiles))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", nargs="*", help="SCENE or SCENE:RED,GREEN,BLUE")
    parser.add_argument("--eurosat", type=Path, help="EuroSAT_RGB.zip")
    parser.add_argument("--strides", type=int, nargs="+", default=[64, 32, 16])
    args = parser.parse_args()
    model = load_model()
    for text in args.scenes:
        name, _, numbers = text.partition(":")
        bands = [int(n) for n in numbers.split(",")] if numbers else None
        compare_maps(model, Path(name), bands, args.strides)
    if args.eurosat:
        compare_parts(model, args.eurosat)


if __name__ == "__main__":
    main()
