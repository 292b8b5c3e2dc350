"""Model card: training data, input requirements, accuracy and limits."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import jinja2

from geoclass.contract import Contract

if TYPE_CHECKING:
    from geoclass.model.checkpoint import Model


def describe_model(model: Model) -> str:
    """The card of a model, as Markdown: training, demands, classes, accuracy, limits."""
    return format_card(
        arch=model.arch,
        parameters=sum(p.numel() for p in model.network.parameters()),
        sha256=model.sha256,
        contract=model.contract,
        knows_unknown=model.ood_detector is not None,
    )


def format_card(
    *, arch: str, parameters: int, sha256: str, contract: Contract, knows_unknown: bool
) -> str:
    """The card as Markdown; `knows_unknown` if the model has an unknown class."""
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
    return card.render(
        arch=arch,
        parameters=parameters,
        sha256=sha256,
        contract=contract,
        training=contract.training,
        split=contract.training.split,
        recipe=contract.training.recipe,
        scores=contract.scores,
        knows_unknown=knows_unknown,
        not_counted=NOT_COUNTED,
        is_seen=is_seen,
    ).rstrip()
