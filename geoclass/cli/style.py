"""geoclass style"""

from __future__ import annotations

from pathlib import Path

import click

from geoclass.cli import options


@click.command("style")
@click.argument("path", metavar="FILE", type=options.FILE)
@click.option(
    "-o", "--output", "folder", type=options.FILE, help="Folder to write to.  [default: the file's]"
)
@options.legend
@click.option("--overwrite", is_flag=True, help="Replace styles that are there.")
@options.quiet
def command(
    path: Path, folder: Path | None, legend: Path | None, overwrite: bool, quiet: bool
) -> None:
    """Write the styles of FILE for QGIS (.qml) and for GeoServer and others (.sld).

    FILE is a map, change, monitor or sample file that geoclass wrote. QGIS finds the styles in
    them by itself; these are for other programs, other copies and other layers. With --legend a
    map's styles have other names and colours than the map.
    """
    from geoclass.products.style_files import write_styles

    for target in write_styles(path, folder, legend=legend, overwrite=overwrite):
        if not quiet:
            click.echo(f"wrote {target}")
