#!/usr/bin/env python3
"""How often a model is right on tiles labelled by eye, under each reading of their numbers.

    .venv/bin/python scripts/measure_radiometry.py SCENES [MODEL] [--haze keep]

SCENES is a folder in which the scenes of docs/eye-labels.csv are found by name, however deep.
Tiles labelled `mixed` are left out: no single class would be honest for them.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter, defaultdict
from pathlib import Path

from geoclass.landcover import LandCoverMap
from geoclass.mapping.pipeline import run_map
from geoclass.mapping.plan import plan_map
from geoclass.mapping.settings import MapRequest, MapSettings
from geoclass.model.checkpoint import Model, load_model
from geoclass.model.classifier import Classifier
from geoclass.scene.settings import HAZES, Haze, MaskSettings, Profile, RadiometrySettings

LABELS = Path(__file__).parents[1] / "docs" / "eye-labels.csv"
READINGS: tuple[Profile, ...] = ("auto", "l1c", "l2a")

Labels = dict[str, dict[tuple[int, int], str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("model", type=Path, nargs="?", default=Path("shipped"))
    parser.add_argument("--haze", choices=HAZES, default="auto", help="as of `geoclass map`")
    args = parser.parse_args()
    model = load_model(args.model)
    classifier = Classifier(model)
    print(f"model {model.sha256[:12]}\n")
    print("| scene | tiles | reading | right | unknown | group right | confused most |")
    print("|---|---|---|---|---|---|---|")
    totals: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for name, cells in read_labels().items():
        (path,) = args.folder.rglob(name)
        for reading in READINGS:
            landcover, chosen = map_labelled(path, model, classifier, reading, haze=args.haze)
            score, wrong = compare(landcover, cells)
            totals["L2A" if "l2a" in name else "L1C", reading] += score
            shown = reading if reading != "auto" else f"auto: {chosen}"
            print(f"| {path.stem[:18]} | {write(shown, score)} | {wrong} |")
    for (level, reading), score in totals.items():
        print(f"| all {level} | {write(reading, score)} | |")


def read_labels() -> Labels:
    """Labels by scene and cell, without the mixed ones."""
    labels: Labels = defaultdict(dict)
    with LABELS.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["label"] != "mixed":
                labels[row["scene"]][int(row["row"]), int(row["col"])] = row["label"]
    return labels


def map_labelled(
    path: Path, model: Model, classifier: Classifier, reading: Profile, *, haze: Haze
) -> tuple[LandCoverMap, str]:
    settings = MapSettings(
        radiometry=RadiometrySettings(profile=reading, haze=haze),
        # The labels are of all that the eye can see.
        masks=MaskSettings(masked_classes=()),
    )
    request = MapRequest(settings=settings, bands=(1, 2, 3))
    plan = plan_map(path, model.contract, model.sha256, request, classifier)
    return run_map(plan, classifier), plan.radiometry.name


def compare(landcover: LandCoverMap, cells: dict[tuple[int, int], str]) -> tuple[Counter[str], str]:
    legend = landcover.legend
    names, groups = legend.names, {c.name: c.group for c in legend.classes}
    score, wrong = Counter[str](tiles=len(cells)), Counter[str]()
    for (row, col), label in cells.items():
        code = int(landcover.class_id[row, col])
        if code >= len(names):  # unknown or masked
            score["unknown"] += 1
            continue
        found = names[code]
        score["right"] += found == label
        score["group"] += groups[found] == groups[label]
        if found != label:
            wrong[f"{label} as {found}"] += 1
    return score, ", ".join(f"{n} {text}" for text, n in wrong.most_common(3))


def write(reading: str, score: Counter[str]) -> str:
    classified = max(1, score["tiles"] - score["unknown"])
    return (
        f"{score['tiles']} | {reading} | {score['right'] / classified:.1%} | "
        f"{score['unknown'] / max(1, score['tiles']):.1%} | {score['group'] / classified:.1%}"
    )


if __name__ == "__main__":
    main()
