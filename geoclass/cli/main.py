"""The command line: which commands there are, and how errors reach a person.

A command's module is imported when the command runs, so that `geoclass --help` is quick.
"""

from __future__ import annotations

import importlib
import logging
import os
import platform
from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem

import geoclass
from geoclass.errors import GeoclassError

COMMANDS = {
    "map": ("map_scene", "Label every tile of a scene and write a land-cover map."),
    "preview": ("preview", "Draw a map beside its scene as a picture."),
    "report": ("report", "Make a page of maps, change and monitor files."),
    "style": ("style", "Write a map's styles for QGIS, GeoServer and others."),
    "change": ("change", "Compare two maps or scenes, false change accounted for."),
    "monitor": ("monitor", "Follow a place over several dates and report losses."),
    "plots": ("plots", "Say which plots lost their forest since a day."),
    "sample": ("sample", "Draw cells of a map to be labelled by eye."),
    "assess": ("assess", "Estimate accuracies and areas from a labelled sample."),
    "info": ("info", "Say what a model, map or scene is."),
    "predict": ("predict", "Label single images."),
    "download": ("download", "Fetch and check a data set of labelled tiles."),
    "tiles": ("tiles", "Cut labelled training tiles out of a scene."),
    "dataset": ("dataset", "Describe labelled tiles: classes, sizes, what is wrong."),
    "train": ("train", "Train a network on labelled tiles."),
    "evaluate": ("evaluate", "Score a model on tiles that it has not seen."),
    "export": ("export", "Write a model for other programs (ONNX)."),
    "completion": ("completion", "Let the shell complete commands, options and files."),
}
"""Name of the command → its module in this room and its line in the help, in order of use."""


class LazyGroup(click.Group):
    """Commands that are imported when they are called, and one place for errors."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """All names, in order of use."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"geoclass.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Names and help lines, without importing a command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names and help lines, without importing a command."""
        named = [
            CompletionItem(name, help=text)
            for name, (_, text) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*named, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error that a person can put right becomes one line."""
        try:
            return super().invoke(ctx)
        except GeoclassError as error:
            if ctx.params.get("debug"):
                raise
            message = " ".join(str(error).split())
            click.echo(f"Error: {message}", err=True)
            ctx.exit(1)


def show_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    """Print versions and device, and end the program."""
    if value and not ctx.resilient_parsing:
        click.echo(describe_program())
        ctx.exit()


def describe_program() -> str:
    """The versions of what a map depends on, and the device that it would be made on."""
    return "\n".join(
        (
            f"geoclass {geoclass.__version__}",
            f"Python   {platform.python_version()}, {platform.platform()}",
            f"GDAL     {_try(_describe_gdal)}",
            f"torch    {_try(_describe_torch)}",
        )
    )


def _describe_gdal() -> str:
    from geoclass.scene.dataset import describe_gdal

    return describe_gdal()


def _describe_torch() -> str:
    from geoclass.model.device import describe_torch

    return describe_torch()


def _try(describe: Callable[[], str]) -> str:
    """What a library says of itself; a broken one is worth reporting, too."""
    try:
        return describe()
    except (ImportError, OSError) as error:
        return f"cannot be loaded: {error}"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=show_version,
    help="Say versions and device, for reports of bugs.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Land-cover maps from satellite scenes."""
    if not debug:
        # What GDAL has to say reaches a person as part of our own messages.
        # Its threads, which no handler of rasterio's knows, write to CPL_LOG.
        os.environ.setdefault("CPL_LOG", os.devnull)
        for library in ("rasterio", "pyogrio"):
            logging.getLogger(library).setLevel(logging.CRITICAL)


if __name__ == "__main__":
    main()
