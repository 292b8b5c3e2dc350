"""geoclass qgis"""

from __future__ import annotations

from pathlib import Path

import click

from geoclass.cli import kinds

ACTIONS = ("install", "uninstall", "zip")


@click.command("qgis")
@click.argument("action", type=click.Choice(ACTIONS))
@click.option(
    "--profile", metavar="NAME", help="Profile of QGIS.  [default: the one that QGIS starts with]"
)
@click.option(
    "-o", "--output", type=kinds.FileName("output", ".zip"), help="File to write, with zip."
)
def command(action: str, profile: str | None, output: Path | None) -> None:
    """Put geoclass's algorithms into QGIS: Processing toolbox, models, batch, qgis_process.

    install copies the plugin into a profile of QGIS, switches it on, and notes where this program
    is, which the algorithms run. uninstall removes it. zip writes the plugin as a file for another
    machine: Plugins > Install from ZIP there, and the program is then chosen in the settings.
    """
    from geoclass.cli.qgis_files import find_profiles, install, uninstall, write_zip
    from geoclass.errors import SettingsError

    if (output is not None) != (action == "zip"):
        raise SettingsError(
            "-o, the file to write, goes with zip: geoclass qgis zip -o geoclass.zip"
        )
    if output is not None:
        write_zip(output)
        click.echo(f"wrote {output}")
        return
    for folder in find_profiles(profile):
        if action == "install":
            click.echo(f"installed {install(folder)}")
        else:
            removed = uninstall(folder)
            click.echo(f"removed {removed}" if removed else f"there is no plugin in {folder}")
    if action == "install":
        click.echo("start QGIS anew: Processing > Toolbox > geoclass")
