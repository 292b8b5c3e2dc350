"""Options against speckle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from geoclass.cli import options
from geoclass.mapping.settings import CalmSettings

_OPTIONS = (
    click.option(
        "--min-area",
        "min_area_ha",
        type=float,
        metavar="HA",
        help="Give smaller patches of a class to their largest neighbour.",
    ),
    click.option(
        "--smooth",
        type=float,
        metavar="STRENGTH",
        help="Smooth neighbouring probabilities (empirical Bayes, as sits does); 20 is usual.",
    ),
    click.option(
        "--smooth-window",
        type=int,
        default=CalmSettings().smooth_window,
        show_default=True,
        metavar="CELLS",
        help="Side of the square that is smoothed over.",
    ),
)


def calm(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of `CalmSettings`, which reach the command as one argument, `calm`."""
    return options.gather(command, "calm", CalmSettings, _OPTIONS)
