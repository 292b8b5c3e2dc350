"""A model card: what a model was trained on, what it demands, and what it cannot do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from geoclass.contract import Contract, SplitRecord, TestScores, TrainingRecord

if TYPE_CHECKING:
    from geoclass.model.checkpoint import Model

EUROSAT_LIMITS = """\
- It was trained on Europe, as one sensor saw it on clear days of 2015 to 2017."""

WAYS_LIMIT = """\
- A tile of class Highway or River has a road or river in it. Areas are for groups of classes."""

LIMITS = """\
- It looks at whole tiles: what fills less than half of one may be missed.
- Confidence is calibrated on tiles like those it was trained on; elsewhere it is too high."""

CELLS_LIMITS = """\
- Cells of 4×4 pixels have a class each; what is smaller is missed. Crops and grassland are
  confused.
- Confidence of tiles is calibrated on tiles like those it was trained on; elsewhere it is too
  high. That of cells has a temperature of its own."""

NEIGHBOURS_LIMITS = {
    "random": """\
- Tiles of a random test part often have neighbours among the training tiles; on ground far from
  any of them it is some points less right.""",
    "ground": """\
- Tiles of the test part share no ground with training tiles, as far as their places are known, but
  often touch them; on ground far from any of them it may be less right.""",
}

RADIOMETRY_LIMIT = """\
- Wrong radiometry (an offset not subtracted, bands in another order, another stretch) lowers its
  accuracy more than its confidence."""

NOTHING_UNKNOWN = """\
- It calls no tile unknown: clouds, snow, deserts and everything else get the likeliest class."""


def describe_model(model: Model) -> str:
    """The card of a model, as Markdown: training, demands, classes, accuracy, limits."""
    return format_card(
        arch=model.arch,
        parameters=sum(p.numel() for p in model.network.parameters()),
        sha256=model.sha256,
        contract=model.contract,
        knows_unknown=model.novelty is not None,
    )


def format_card(
    *, arch: str, parameters: int, sha256: str, contract: Contract, knows_unknown: bool
) -> str:
    """The card as Markdown; `knows_unknown` where the model tells tiles unlike its own."""
    training = contract.training
    recipe = "\n".join(f"- {key}: {value}" for key, value in training.recipe.items())
    sections = (
        f"# Model {arch} {sha256[:12]}",
        f"{parameters:,} parameters. SHA-256 {sha256}.",
        "## Demands",
        (
            f"Tiles of {contract.tile_size}×{contract.tile_size} pixels of {contract.gsd_m:g} m, "
            f"bands {', '.join(contract.bands)}, radiometry {contract.radiometry}."
        ),
        "## Classes",
        _format_classes(contract),
        "## Training",
        f"{_format_origin(training)} The recipe:",
        recipe,
        "## Accuracy",
        (
            f"{training.validation_accuracy:.2%} on validation, which chose the epoch and fitted "
            f"the temperature ({contract.temperature:.3f}){_format_cells(contract)}."
        ),
        _format_scores(contract.scores, training.recipe),
        "## Limits",
        _format_limits(contract, knows_unknown),
    )
    return "\n\n".join(sections)


def _format_cells(contract: Contract) -> str:
    if contract.cell_temperature is None:
        return ""
    return f"; that of cells is {contract.cell_temperature:.3f}"


def _format_limits(contract: Contract, knows_unknown: bool) -> str:
    limits = [EUROSAT_LIMITS] if contract.training.data_set.startswith("EuroSAT") else []
    if {"Highway", "River"} & set(contract.legend.names):
        limits.append(WAYS_LIMIT)
    limits.append(LIMITS if contract.cell_temperature is None else CELLS_LIMITS)
    if neighbours := NEIGHBOURS_LIMITS.get(contract.training.split.kind):
        limits.append(neighbours)
    limits.append(RADIOMETRY_LIMIT)
    if not knows_unknown:
        limits.append(NOTHING_UNKNOWN)
    return "\n".join(limits)


def _format_origin(training: TrainingRecord) -> str:
    sentences = [f"Data set {training.data_set}: {_format_split(training.split)}."]
    if training.skipped:
        sentences.append(f"Images and folders left out: {training.skipped}.")
    if start := training.recipe.get("start"):
        sentences.append(f"Training began with the weights of model {str(start)[:12]}.")
    if isinstance(pictures := training.recipe.get("unlabelled"), Mapping):
        sentences.append(
            f"It also learned from pictures without labels, {pictures.get('name')}, by agreeing "
            "with itself on them."
        )
    sentences.append(f"Weights of {_format_epoch(training)}, the best on validation.")
    return " ".join(sentences)


def _format_epoch(training: TrainingRecord) -> str:
    planned = training.recipe.get("epochs")
    if not isinstance(planned, int) or training.epoch >= planned:
        return f"epoch {training.epoch}"
    return f"epoch {training.epoch} of {planned} planned"


def _format_scores(scores: TestScores | None, recipe: Mapping[str, Any]) -> str:
    if scores is None:
        return "For tiles that had no say: `geoclass evaluate`."
    said = (
        f"On the {scores.tiles:,} tiles kept apart: accuracy {scores.accuracy:.2%}, macro-F1 "
        f"{scores.macro_f1:.4f}, calibration error {scores.calibration_error:.2%} (15 bins); "
        f"{scores.unknown_share:.2%} of them called unknown."
    )
    return f"{said}\n\n{_format_corrupted(scores, recipe)}" if scores.corrupted else said


def _format_corrupted(scores: TestScores, recipe: Mapping[str, Any]) -> str:
    from geoclass.learn.corruptions import NOT_COUNTED, is_seen

    lines = [
        "| the same tiles, corrupted | accuracy | training varied tiles so |",
        "|---|---|---|",
    ]
    lines += [
        f"| {name} | {accuracy:.2%} | {'yes' if is_seen(name, recipe) else 'no'} |"
        for name, accuracy in scores.corrupted.items()
    ]
    counted = [a for name, a in scores.corrupted.items() if name not in NOT_COUNTED]
    left_out = "; ".join(name for name in scores.corrupted if name in NOT_COUNTED)
    if counted:
        which = f" of all but {left_out}" if left_out else ""
        lines.append(f"| **mean**{which} | {sum(counted) / len(counted):.2%} | |")
    return "\n".join(lines)


def _format_split(split: SplitRecord) -> str:
    how = {
        "random": f"split at random, seed {split.seed}",
        "ground": f"split by blocks of ground, seed {split.seed}",
        "lists": "split by lists",
    }[split.kind]
    return (
        f"{how}, into {split.train:,} tiles to train, {split.validation:,} to choose and "
        f"{split.test:,} kept apart (SHA-256 of their names {split.test_sha256[:12]}…)"
    )


def _format_classes(contract: Contract) -> str:
    lines = [
        "| id | class | group | colour | share of training | recall on validation |",
        "|---|---|---|---|---|---|",
    ]
    for item in contract.legend.classes:
        row = contract.confusion[item.class_id]
        recall = row[item.class_id] / max(1, sum(row))
        share = contract.class_shares[item.class_id]
        lines.append(
            f"| {item.class_id} | {item.name} | {item.group} | {item.color} "
            f"| {share:.1%} | {recall:.1%} |"
        )
    return "\n".join(lines)
