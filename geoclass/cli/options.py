"""Options of several commands."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import click

from geoclass.cli.generated import FILE, Decorated, Kind, options_of
from geoclass.cli.progress import be_quiet, echo, warn
from geoclass.errors import OutputError
from geoclass.files.writing import check_folder, check_new
from geoclass.mapping.settings import MapRequest
from geoclass.outside import DRIVERS_VARIABLE, TIMEOUT_VARIABLE
from geoclass.products.formats import check_not_input
from geoclass.scene.settings import FrameSettings, MaskSettings, RadiometrySettings

MAP = Kind("path", Path, "layer")
SCENE = Kind("text", str, "layer")
"""A path, a URL, the name of a subdataset, or red=FILE,green=FILE,blue=FILE."""

GEOPACKAGE = Kind("path", Path, "output", ".gpkg")
PICTURE = Kind("path", Path, "output", ".png", ".svg", ".pdf")

Lists = Annotated[tuple[Path, Path, Path], click.Tuple([FILE, FILE, FILE])]


READING = {
    each.name
    for settings in (FrameSettings, MaskSettings, RadiometrySettings)
    for each in fields(settings)
}
"""Fields of `MapSettings` about reading a scene."""

quiet = click.option(
    "-q",
    "--quiet",
    is_flag=True,
    expose_value=False,
    callback=be_quiet,
    help="Print only warnings and errors; no progress bar.",
)
overwrite = click.option(
    "--overwrite", is_flag=True, help="Replace existing files, whatever they contain."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def output_option(kind: Kind, text: str) -> Callable[[Decorated], Decorated]:
    """The option of the output."""
    return click.option("-o", "--output", type=kind, required=True, help=text)


ACCESS = {"timeout": TIMEOUT_VARIABLE, "driver": DRIVERS_VARIABLE}
"""Option → environment variable, which all processes of the program share."""


def _set_variable(_ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value:
        values = value if isinstance(value, tuple) else (value,)
        os.environ[ACCESS[str(param.name)]] = ",".join(map(str, values))


def access(command: Decorated) -> Decorated:
    """Hidden options of access to scenes; error messages name them."""
    hidden = functools.partial(
        click.option, hidden=True, expose_value=False, callback=_set_variable
    )
    positive = click.FloatRange(min=0, min_open=True)
    return hidden("--timeout", type=positive)(hidden("--driver", multiple=True)(command))


def reading(*, hidden: bool = False) -> Callable[[Decorated], Decorated]:
    """Options of reading a scene as one argument, `reading`, a MapRequest."""
    fields = {"bands", *READING}
    offer = options_of(MapRequest, "reading", only=fields, hidden=fields if hidden else ())
    return lambda command: access(offer(command))


def check_output(
    output: Path, *inputs: Path | None, suffix: str | None = None, overwrite: bool = False
) -> None:
    """OutputError for an input, another suffix, or an existing file without --overwrite."""
    check_not_input(output, *inputs)
    check_new(output, suffix=suffix or output.suffix.lower(), overwrite=overwrite)


def list_skipped(reasons: Sequence[str]) -> None:
    """Print skipped images and the reasons."""
    for reason in reasons:
        echo(f"skipped: {reason}", err=True)
    if reasons:
        warn(f"{len(reasons)} skipped")


def check_pictures(pictures: Sequence[Path | None], *inputs: Path | None) -> None:
    """GeoclassError for pictures that cannot be written or would replace an input."""
    from geoclass.report.charts import check_picture

    given = [picture for picture in pictures if picture is not None]
    for picture in given:
        check_picture(picture)
        check_folder(picture)
        check_not_input(picture, *inputs)
        for path in inputs:
            if path and path.is_dir() and picture.resolve().is_relative_to(path.resolve()):
                raise OutputError(
                    f"the picture {picture} would be among the tiles of {path}: give a path "
                    "outside it"
                )
    if len({picture.resolve() for picture in given}) < len(given):
        raise OutputError(f"two pictures are to be written to {given[0]}: give each its own name")
