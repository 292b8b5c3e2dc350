"""geoclass preview, report and style"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

import geoclass
from geoclass.cli.generated import FILE, Kind, command
from geoclass.cli.options import MAP, SCENE, check_output, output_option, overwrite, quiet
from geoclass.cli.progress import say
from geoclass.outside import offline
from geoclass.products.formats import check_not_input


@command("preview")
@click.argument("landcover", metavar="MAP", type=FILE)
@output_option(FILE, "Output picture: .png, .svg or .pdf.")
@click.option("--scene", type=SCENE, help="Draw this scene beside the map.")
@click.option("--title", help="Title of the picture.  [default: the scene's name]")
def preview_command(landcover: Path, output: Path, scene: str | None, title: str | None) -> None:
    """Draw MAP, a geoclass land-cover map, with legend, scale bar, north arrow and date."""
    from geoclass.report.charts import check_picture
    from geoclass.scene.open.inputs import find_input

    check_not_input(output, landcover, *(find_input(scene).files if scene else ()))
    check_picture(output)
    geoclass.draw_preview(geoclass.read_map(landcover), output, scene, title=title)
    say(f"wrote {output}")


@command("report")
@click.argument("inputs", metavar="MAP…", type=MAP, nargs=-1, required=True)
@output_option(Kind("path", Path, "output", ".html"), "Output page: .html.")
@click.option(
    "--scene",
    "scenes",
    type=SCENE,
    multiple=True,
    help="Show this local scene behind its map; can be repeated.",
)
@click.option("--title", help="Title of the page.  [default: its contents]")
@overwrite
def report_command(
    inputs: Sequence[Path],
    output: Path,
    scenes: Sequence[str],
    title: str | None,
    overwrite: bool,
) -> None:
    """Write one HTML page of maps, change and monitor files for any browser.

    A folder, as written by `geoclass map SCENES… -o FOLDER/`, adds all maps in it. A merged map
    adds the maps it was merged from.
    The page needs no network. It contains the maps with legend and scenes, a slider and a swipe
    for dates, areas, transitions, confidence, provenance and caveats.
    """
    from geoclass.scene.open.inputs import find_input

    with offline():
        files = [file for scene in scenes for file in find_input(scene).files]
    check_output(output, *inputs, *files, suffix=".html", overwrite=overwrite)
    geoclass.write_report(inputs, output, scenes=scenes, title=title)
    say(f"wrote {output}, {output.stat().st_size / 1e6:.1f} MB")


@command("style")
@click.argument("path", metavar="FILE", type=FILE)
@click.option(
    "-o", "--output", "folder", type=FILE, help="Output folder.  [default: the folder of FILE]"
)
@click.option("--legend", type=FILE, help="JSON file with titles, colours and groups for classes.")
@overwrite
@quiet
def style_command(path: Path, folder: Path | None, legend: Path | None, overwrite: bool) -> None:
    """Write the styles of FILE for QGIS (.qml) and for GeoServer and others (.sld).

    FILE is a map, change, monitor or sample file that geoclass wrote. QGIS reads the styles inside
    FILE; use this command for other programs and layers. --legend changes names and colours.
    """
    for target in geoclass.write_styles(path, folder, legend=legend, overwrite=overwrite):
        say(f"wrote {target}")
