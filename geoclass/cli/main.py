"""The command line: its commands and the output of errors.

Modules of commands are imported when they run, which keeps `geoclass --help` fast.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import logging
import os
import platform
import sys
from typing import Any

import click
from click.shell_completion import CompletionItem

from geoclass._version import __version__
from geoclass.errors import GeoclassError

COMMANDS = {
    "map": ("map_scene", "Map the land cover of one or many scenes."),
    "preview": ("show", "Draw a map as a picture."),
    "report": ("show", "Write an HTML page of maps, change and monitor files."),
    "style": ("show", "Write style files for QGIS and GeoServer."),
    "change": ("monitor", "Compare two maps or scenes of one place."),
    "monitor": ("monitor", "Follow a place over several dates and report losses."),
    "plots": ("accuracy", "Report which plots lost forest since a date."),
    "sample": ("accuracy", "Draw a random sample of cells to label by eye."),
    "assess": ("accuracy", "Estimate accuracy and areas from a labelled sample."),
    "areas": ("accuracy", "Sum areas by zone and group."),
    "info": ("show", "Describe a model, map or scene."),
    "predict": ("score", "Label single images."),
    "download": ("tiles", "Download and verify a data set of labelled tiles."),
    "tiles": ("tiles", "Cut labelled training tiles from a scene."),
    "dataset": ("tiles", "Check a data set of labelled tiles."),
    "train": ("train", "Train a network on labelled tiles."),
    "evaluate": ("score", "Score a model on held-out tiles."),
    "export": ("score", "Export a model as ONNX."),
    "qgis": ("qgis", "Install or uninstall the QGIS plugin."),
    "demo": ("map_scene", "Map the sample scene."),
    "schema": ("qgis", "Describe commands and options as JSON."),
    "completion": ("qgis", "Print shell completion for bash, zsh or fish."),
}
"""Command → its module in geoclass.cli and its line in the help, in order of use."""


class LazyGroup(click.Group):
    """Commands that are imported when they are called, and the output of errors."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """All names, in order of use."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"geoclass.cli.{COMMANDS[cmd_name][0]}")
        return getattr(module, f"{cmd_name}_command")

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
        """Run a command; errors that the user can fix are printed on one line."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # detects a full disk
            return result
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EIO):
                raise
            with contextlib.suppress(OSError), open(os.devnull, "w") as nowhere:  # noqa: PTH123
                os.dup2(nowhere.fileno(), 1)
            click.echo(f"Error: cannot print ({error.strerror}): make room", err=True)
            ctx.exit(1)
        except GeoclassError as error:
            if ctx.params.get("debug"):
                raise
            self._end(ctx, str(error))
        except UnicodeEncodeError as error:
            # File names that are not UTF-8 contain lone surrogates.
            if ctx.params.get("debug") or error.reason != "surrogates not allowed":
                raise
            self._end(ctx, f"the name {error.object} is not UTF-8: rename the file, or its folder")

    def _end(self, ctx: click.Context, text: str) -> None:
        message = " ".join(text.split()).encode(errors="backslashreplace").decode()
        click.echo(f"Error: {message}", err=True)
        ctx.exit(1)


def show_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    """Print versions and device, and exit."""
    if value and not ctx.resilient_parsing:
        click.echo(f"geoclass {__version__}")
        click.echo(f"Python   {platform.python_version()}, {platform.platform()}")
        click.echo(f"GDAL     {_describe('geoclass.scene.open.gdal', 'describe_gdal')}")
        click.echo(f"torch    {_describe('geoclass.model.device', 'describe_torch')}")
        ctx.exit()


def _describe(module: str, function: str) -> str:
    """Version of a library, or the error if it cannot be loaded."""
    try:
        return str(getattr(importlib.import_module(module), function)())
    except (ImportError, OSError) as error:
        return f"cannot be loaded: {error}"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=show_version,
    help="Print versions and device; include them in bug reports.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option(
    "--progress",
    type=click.Choice(("bar", "json")),
    default="bar",
    show_default=True,
    help="A bar on a terminal, or JSON lines on standard error for programs, which stop the work "
    "by closing standard input.",
)
def main(debug: bool, progress: str) -> None:
    """Land-cover maps from satellite scenes."""
    for stream in (sys.stdout, sys.stderr):  # on Windows a pipe's encoding may lack characters
        if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors="replace")
    if progress == "json":
        from geoclass.cli.progress import stop_at_end_of_input

        stop_at_end_of_input()
    if not debug:
        # Errors of geoclass include GDAL's messages; its threads write them to CPL_LOG as well.
        os.environ.setdefault("CPL_LOG", os.devnull)
        for library in ("rasterio", "pyogrio"):
            logging.getLogger(library).setLevel(logging.CRITICAL)
        if sys.unraisablehook is sys.__unraisablehook__:  # not one of a calling program
            sys.unraisablehook = print_unraisable


def print_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """As Python does, except for messages of GDAL that rasterio cannot decode."""
    if not isinstance(unraisable.exc_value, UnicodeDecodeError):
        sys.__unraisablehook__(unraisable)
