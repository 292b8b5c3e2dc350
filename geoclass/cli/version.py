"""geoclass --version: what a report of a bug should say."""

from __future__ import annotations

import platform
from collections.abc import Callable

import click

import geoclass


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
    from geoclass.scene.libraries import describe_gdal

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
