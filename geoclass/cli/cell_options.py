"""Options for the size of cells."""

from __future__ import annotations

import click

from geoclass.mapping.settings import Detail


def parse_detail(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Detail:
    """`none`, or pixels."""
    if value is None:
        return None
    if value == "none":
        return "none"
    try:
        return int(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither none nor a number of pixels") from None


stride = click.option(
    "--stride",
    type=int,
    metavar="PIXELS",
    help="Side of a cell: 64, 32, 16, 8 or 4, in about the same time.  [default: the tile's, 64]",
)
detail = click.option(
    "--detail",
    metavar="PIXELS|none",
    callback=parse_detail,
    help="Side of the smaller cells that go with the map.  [default: 4, 8 or 16, by its size]",
)
