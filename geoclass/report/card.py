"""A model card: what a model was trained on, what it demands, and what it cannot do."""

from __future__ import annotations

from geoclass.contract import Contract, SplitRecord

LIMITS = """\
- It labels what it knows. Clouds, snow, deserts and everything else get the likeliest of its
  classes.
- It looks at whole tiles: a tile of class Highway or River has a road or river in it.
- Confidence is calibrated on tiles like those it was trained on; elsewhere it is too high.
- Other radiometry (an offset not subtracted, atmospheric correction, other stretches) and other
  pixel sizes lower its accuracy, not its confidence."""


def format_card(*, arch: str, parameters: int, sha256: str, contract: Contract) -> str:
    """The card as Markdown."""
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
        (
            f"Data set {training.data_set}: {_format_split(training.split)}. "
            f"Weights of epoch {training.epoch}, the best on validation. The recipe:"
        ),
        recipe,
        "## Accuracy",
        (
            f"{training.validation_accuracy:.2%} on validation, which chose the epoch and fitted "
            f"the temperature ({contract.temperature:.3f}). For tiles that had no say: "
            "`geoclass evaluate`."
        ),
        "## Limits",
        LIMITS,
    )
    return "\n\n".join(sections)


def _format_split(split: SplitRecord) -> str:
    how = "split by lists" if split.kind == "lists" else f"split at random, seed {split.seed}"
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
