"""How the file of a map is written: the options that the commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from geoclass.cli.options import gather
from geoclass.products.formats import FORMAT_NAMES, FileSettings, MapFormat


def parse_format(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> MapFormat | None:
    """The format that goes by a name."""
    return None if value is None else FORMAT_NAMES[value]


map_format = click.option(
    "-f",
    "--format",
    "map_format",
    type=click.Choice(tuple(FORMAT_NAMES), case_sensitive=False),
    callback=parse_format,
    help="Format, whatever the suffix.",
)


def parse_pairs(
    _ctx: click.Context, _param: click.Parameter, values: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """`compress=zstd` → (COMPRESS, zstd)."""
    pairs = [value.partition("=") for value in values]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise click.BadParameter(f"{name + equals + value!r} is not of the form NAME=VALUE")
    return tuple((name.upper(), value) for name, _, value in pairs)


_FILE_OPTIONS = (
    click.option(
        "--probabilities",
        is_flag=True,
        help="A column for each class in files of polygons; GeoTIFF always has such bands.",
    ),
    click.option(
        "--dissolve/--no-dissolve",
        default=None,
        help="Neighbouring cells of one class as one polygon.  "
        "[default: in a GeoPackage of more than 250,000 cells]",
    ),
    click.option(
        "--co",
        "creation",
        metavar="NAME=VALUE",
        multiple=True,
        callback=parse_pairs,
        help="Creation option of GDAL's COG driver, for GeoTIFF; may be repeated.",
    ),
    click.option("--stac", is_flag=True, help="Write STAC items of map and model, too."),
)


def file_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of `FileSettings`, which reach the command as one argument, `form`."""
    return gather(command, "form", FileSettings, _FILE_OPTIONS)
