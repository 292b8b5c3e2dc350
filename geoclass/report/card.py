"""Model card: training data, input requirements, accuracy and limits."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import jinja2

if TYPE_CHECKING:
    from geoclass.model.checkpoint import Model


def describe_model(model: Model) -> str:
    """The card of a model, as Markdown: training, demands, classes, accuracy, limits."""
    from geoclass.learn.corruptions import NOT_COUNTED, is_seen

    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 Markdown
    )
    environment.filters["percent"] = lambda share, digits: f"{share:.{digits}%}"
    text = (resources.files("geoclass.report") / "card.md").read_text(encoding="utf-8")
    card = environment.from_string(text)
    training = model.contract.training
    return card.render(
        arch=model.arch,
        parameters=sum(p.numel() for p in model.network.parameters()),
        sha256=model.sha256,
        contract=model.contract,
        training=training,
        split=training.split,
        recipe=training.recipe,
        scores=model.contract.scores,
        knows_unknown=model.ood_detector is not None,
        not_counted=NOT_COUNTED,
        is_seen=is_seen,
    ).rstrip()
