#!/usr/bin/env python3
"""Monitor simulated landscapes whose losses are known, and print how well they are found.

    python scripts/simulate_change.py tests/monitor/error_pool.npz --seeds 100 120

Landscapes of patches, six yearly dates, one in a hundred forest cells lost a year in clearings
of several cells. Each date's class probabilities are drawn from what a real model said of test
tiles of the true class that it had never seen; errors persist: half of the variance of what a
cell draws is the cell's own for all dates. One cell in five is under cloud.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from affine import Affine
from pyproj import CRS
from scipy.ndimage import gaussian_filter
from scipy.stats import norm

from geoclass.contract import Contract, SplitRecord, TrainingRecord
from geoclass.grid import Grid
from geoclass.landcover import LandCoverMap, Provenance
from geoclass.legend import EUROSAT, MASKED
from geoclass.monitor.alerts import find_levels
from geoclass.monitor.align import DatedMap
from geoclass.monitor.history import Monitoring, monitor_maps
from geoclass.monitor.settings import MonitorSettings

DATES = tuple(date(2018 + i, 7, 1) for i in range(6))
FOREST = 1
# AnnualCrop, HerbaceousVegetation, Industrial, Pasture, PermanentCrop: what forest is cleared for.
BECOMES, BECOMES_SHARE = (0, 2, 4, 5, 6), (0.25, 0.4, 0.05, 0.2, 0.1)
SHARES = (0.18, 0.33, 0.1, 0.02, 0.03, 0.14, 0.06, 0.06, 0.02, 0.06)
"""Of the landscape, by class: rural, a third of it forest."""
NEIGHBOURHOOD = 24
"""Tiles that are equally hard; which of them is drawn decides what they are confused with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPool:
    """What a model says of tiles that it has not seen."""

    probabilities: np.ndarray
    """uint8 (n, classes), in 1/250."""
    labels: np.ndarray
    contract: Contract

    @property
    def accuracy(self) -> float:
        return float((self.probabilities.argmax(axis=1) == self.labels).mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is on the ground."""

    truth: np.ndarray
    """uint8 (dates, rows, cols)."""
    lost_at: np.ndarray
    """int64 (rows, cols): number of the first date without the forest, -1 if it stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How one landscape's losses were found; counts of cells unless said otherwise."""

    raw_called: int
    """Cells that two neighbouring dates' labels call lost forest, over all pairs."""
    raw_right: int
    called: int
    """Cells in alerts of any level."""
    called_high: int
    right_high: int
    right: int
    lost: int
    found: int
    lost_clear: int
    """Losses with two or more clear observations after them."""
    found_clear: int
    dated: int
    """Found losses whose date is right to one observation."""
    area_true: float
    area_labels: float
    """Hectares that counting labels would give."""
    area_smoothed: float
    """Hectares by the smoothed posteriors."""
    cells: int


def read_pool(path: Path) -> ErrorPool:
    """The error pool that make_error_pool.py wrote."""
    data = np.load(path)
    split = SplitRecord(
        kind="lists", seed=None, test_sha256="0" * 64, train=1, validation=1, test=1
    )
    training = TrainingRecord(
        data_set="pool", split=split, recipe={}, epoch=1, validation_accuracy=0.0
    )
    contract = Contract(
        legend=EUROSAT,
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        temperature=1.0,
        confusion=tuple(map(tuple, data["confusion"].tolist())),
        class_shares=tuple(data["class_shares"].tolist()),
        training=training,
    )
    return ErrorPool(probabilities=data["probabilities"], labels=data["labels"], contract=contract)


def make_world(rng: np.random.Generator, side: int, yearly_loss: float) -> World:
    """Patches of classes, and clearings of one to nine cells in the forest, year by year."""
    fields = np.stack([gaussian_filter(rng.standard_normal((side, side)), 4) for _ in SHARES])
    fields /= fields.std(axis=(1, 2), keepdims=True)
    fields += _find_biases(fields)[:, None, None]
    land = fields.argmax(axis=0).astype(np.uint8)
    truth = [land]
    lost_at = np.full((side, side), -1)
    for number in range(1, len(DATES)):
        land = land.copy()
        quota = round(yearly_loss * (land == FOREST).sum())
        while quota > 0:
            cleared = _grow_clearing(rng, land, min(quota, int(rng.integers(1, 10))))
            land[cleared] = rng.choice(BECOMES, p=BECOMES_SHARE)
            lost_at[cleared] = number
            quota -= len(cleared[0])
        truth.append(land)
    return World(truth=np.stack(truth), lost_at=lost_at)


def _find_biases(fields: np.ndarray) -> np.ndarray:
    """What to add to each class's field so that it covers its share."""
    bias = np.log(SHARES)
    for _ in range(30):
        won = (fields + bias[:, None, None]).argmax(axis=0)
        shares = np.bincount(won.ravel(), minlength=len(SHARES)) / won.size
        bias += 0.3 * (np.log(SHARES) - np.log(np.maximum(shares, 1e-4)))
    return bias


def _grow_clearing(
    rng: np.random.Generator, land: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of up to `size` connected forest cells."""
    rows, cols = np.nonzero(land == FOREST)
    start = rng.integers(len(rows))
    cells = {(int(rows[start]), int(cols[start]))}
    edge = list(cells)
    while len(cells) < size and edge:
        row, col = edge.pop(int(rng.integers(len(edge))))
        for r, c in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)):
            inside = 0 <= r < land.shape[0] and 0 <= c < land.shape[1]
            if inside and len(cells) < size and land[r, c] == FOREST and (r, c) not in cells:
                cells.add((r, c))
                edge.append((r, c))
    together = np.array(sorted(cells))
    return together[:, 0], together[:, 1]


def observe(
    rng: np.random.Generator, world: World, pool: ErrorPool, cloud: float, persistent: float = 0.5
) -> list[DatedMap]:
    """A map a date, with the model's errors."""
    side = world.truth.shape[1]
    classes = len(EUROSAT)
    own = rng.standard_normal((2, classes, side, side))
    maps = []
    for number, truth in enumerate(world.truth):
        fresh = rng.standard_normal((2, side, side))
        mine = np.take_along_axis(own, truth[None, None].astype(int), axis=1)[:, 0]
        rank = norm.cdf(np.sqrt(persistent) * mine + np.sqrt(1 - persistent) * fresh)
        drawn = np.zeros((side, side, classes), dtype=np.uint8)
        for label in range(classes):
            here = truth == label
            drawn[here] = _draw(pool, label, rank[:, here])
        maps.append(_make_map(number, drawn, rng.random((side, side)) < cloud, pool.contract))
    return maps


def _draw(pool: ErrorPool, label: int, rank: np.ndarray) -> np.ndarray:
    """Uint8 (n, classes): test tiles of a class, by how hard and how confused they are."""
    tiles = pool.probabilities[pool.labels == label]
    tiles = tiles[np.argsort(tiles[:, label], kind="stable")]
    rivals = tiles.copy()
    rivals[:, label] = 0
    rival = rivals.argmax(axis=1)
    n = len(tiles)
    place = rank[0] * n
    start = np.clip(place - NEIGHBOURHOOD / 2, 0, n - NEIGHBOURHOOD).astype(int)
    # Within a neighbourhood, tiles stand in order of what they are taken for.
    order = np.argsort(
        np.lib.stride_tricks.sliding_window_view(rival, NEIGHBOURHOOD), axis=1, kind="stable"
    )
    within = (rank[1] * NEIGHBOURHOOD).astype(int).clip(0, NEIGHBOURHOOD - 1)
    chosen: np.ndarray = tiles[start + order[start, within]]
    return chosen


def _make_map(number: int, drawn: np.ndarray, clouded: np.ndarray, contract: Contract) -> DatedMap:
    side = drawn.shape[0]
    grid = Grid(
        height=64 * side, width=64 * side, transform=Affine(10, 0, 3e5, 0, -10, 58e5),
        crs=CRS.from_epsg(32633).to_wkt(),
    )  # fmt: skip
    best = drawn.argmax(axis=2).astype(np.uint8)
    provenance = Provenance(
        scene=f"simulated_{DATES[number]:%Y%m%d}.tif", date=DATES[number].isoformat(),
        source={}, bands=(1, 2, 3), radiometry={"name": "l1c"}, model="simulated", options={},
        version="0", command="simulate_change", fingerprint=f"simulated {number}",
    )  # fmt: skip
    drawn[clouded] = 0
    return DatedMap(
        day=DATES[number],
        landcover=LandCoverMap(
            grid=grid,
            contract=contract,
            provenance=provenance,
            class_id=np.where(clouded, MASKED, best).astype(np.uint8),
            best_class=np.where(clouded, 255, best).astype(np.uint8),
            probabilities=drawn,
            valid_share=np.full(best.shape, 250, dtype=np.uint8),
            mask_reason=clouded.astype(np.uint8),
        ),
    )


def score(world: World, maps: Sequence[DatedMap], result: Monitoring) -> Score:
    """Compare what was found with what is on the ground."""
    lost_at = world.lost_at.ravel()
    labels = np.stack([m.landcover.class_id.ravel() for m in maps])
    observed = labels < len(EUROSAT)
    raw_called = raw_right = 0
    for t in range(1, len(DATES)):
        raw = (labels[t - 1] == FOREST) & observed[t] & (labels[t] != FOREST)
        raw_called += int(raw.sum())
        raw_right += int((raw & (lost_at == t)).sum())
    cell_ha = result.area_ha[0]
    called = {}
    high = set()
    for alert in result.alerts:
        losses = alert.losses
        levels = find_levels(losses, result.stack.dates)
        for cell, first, level in zip(
            losses.cell.tolist(), losses.first_gone.tolist(), levels.tolist(), strict=True
        ):
            called[cell] = first
            if level >= 1:
                high.add(cell)
    lost = np.flatnonzero(lost_at >= 0)
    clear_after = np.array([observed[lost_at[c] :, c].sum() for c in lost])
    found = np.array([c in called for c in lost.tolist()], dtype=bool)
    # The number of observations between the first date without the forest and the date given.
    off = np.array(
        [
            abs(int(observed[: called[c], c].sum()) - int(observed[: lost_at[c], c].sum()))
            for c in lost[found].tolist()
        ]
    )
    inside = result.belief.inside("forest")
    smoothed = result.smoothed.flows_ha[:, inside][:, :, ~inside].sum()
    first, last = labels[0], labels[-1]
    both = observed[0] & observed[-1]
    counted = (both & (first == FOREST) & (last != FOREST)).sum() / max(1, both.sum())
    return Score(
        raw_called=raw_called,
        raw_right=raw_right,
        called=len(called),
        called_high=len(high),
        right_high=sum(lost_at[c] >= 0 for c in high),
        right=sum(lost_at[c] >= 0 for c in called),
        lost=len(lost),
        found=int(found.sum()),
        lost_clear=int((clear_after >= 2).sum()),
        found_clear=int((found & (clear_after >= 2)).sum()),
        dated=int((off <= 1).sum()),
        area_true=len(lost) * cell_ha,
        area_labels=float(counted * lost_at.size * cell_ha),
        area_smoothed=float(smoothed),
        cells=lost_at.size,
    )


def run(
    pool: ErrorPool,
    seed: int,
    *,
    side: int = 150,
    yearly_loss: float = 0.01,
    cloud: float = 0.2,
    settings: MonitorSettings | None = None,
) -> Score:
    """One landscape, monitored."""
    rng = np.random.default_rng(seed)
    world = make_world(rng, side, yearly_loss)
    maps = observe(rng, world, pool, cloud)
    return score(world, maps, monitor_maps(maps, settings=settings))


def summarise(scores: Sequence[Score]) -> dict[str, float]:
    """Ratios over all landscapes."""
    total = {name: sum(getattr(s, name) for s in scores) for name in Score.__slots__}

    def ratio(above: str, below: str) -> float:
        return total[above] / total[below] if total[below] else float("nan")

    return {
        "precision of labels compared pair by pair": ratio("raw_right", "raw_called"),
        "precision, level high and above": ratio("right_high", "called_high"),
        "precision, all levels": ratio("right", "called"),
        "recall, two or more clear observations after": ratio("found_clear", "lost_clear"),
        "recall, all losses": ratio("found", "lost"),
        "date right to one observation": ratio("dated", "found"),
        "area of loss by smoothed posteriors / true": ratio("area_smoothed", "area_true"),
        "area of loss by counting labels / true": ratio("area_labels", "area_true"),
        "share of all cells alerted": ratio("called", "cells"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pool", type=Path)
    parser.add_argument("--seeds", type=int, nargs=2, default=(100, 120), metavar=("FROM", "TO"))
    parser.add_argument("--side", type=int, default=150, help="cells a side")
    args = parser.parse_args()
    pool = read_pool(args.pool)
    print(f"accuracy of a date's labels over the pool: {pool.accuracy:.3f}")
    for name, loss in (("1 % of the forest lost a year", 0.01), ("no change at all", 0.0)):
        scores = [run(pool, s, side=args.side, yearly_loss=loss) for s in range(*args.seeds)]
        print(f"\n{name}, {len(scores)} landscapes of {args.side}×{args.side} cells")
        for what, value in summarise(scores).items():
            print(f"  {what:<48}{value:8.4f}")


if __name__ == "__main__":
    main()
