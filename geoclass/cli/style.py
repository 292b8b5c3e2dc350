"""geoclass style"""

from __future__ import annotations

from pathlib import Path

import click

from geoclass.cli import kinds, options


@click.command("style")
@click.argument("path", metavar="FILE", type=kinds.FILE)
@click.option(
    "-o",
    "--output",
    "folder",
    type=kinds.FILE,
    help="Output folder.  [default: the folder of FILE]",
)
@options.legend
@click.option("--overwrite", is_flag=True, help="Replace existing styles.")
@options.quiet
def command(
    path: Path, folder: Path | None, legend: Path | None, overwrite: bool, quiet: bool
) -> None:
    """Write the styles of FILE for QGIS (.qml) and for GeoServer and others (.sld).

    FILE is a map, change, monitor or sample file that geoclass wrote. QGIS reads the styles inside
    FILE; use this command for other programs and layers. --legend changes names and colours.
    """
    from geoclass.products.style_files import write_styles

    for target in write_styles(path, folder, legend=legend, overwrite=overwrite):
        if not quiet:
            click.echo(f"wrote {target}")
