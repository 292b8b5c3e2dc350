"""geoclass report"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from geoclass.cli import kinds


@click.command("report")
@click.argument("inputs", metavar="MAP…", type=kinds.MAP, nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=kinds.FileName("output", ".html"),
    required=True,
    help="Output page: .html.",
)
@click.option(
    "--scene",
    "scenes",
    type=kinds.SCENE,
    multiple=True,
    help="Show this local scene behind its map; can be repeated.",
)
@click.option("--title", help="Title of the page.  [default: its contents]")
@click.option("--overwrite", is_flag=True, help="Replace the output file.")
def command(
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
    from geoclass.files.writing import check_new
    from geoclass.outside import offline
    from geoclass.products.formats import check_not_input
    from geoclass.report.page.render import write_report
    from geoclass.scene.inputs import find_input

    with offline():
        files = [file for scene in scenes for file in find_input(scene).files]
    check_not_input(output, *inputs, *files)
    check_new(output, suffix=".html", overwrite=overwrite)
    write_report(inputs, output, scenes=scenes, title=title)
    click.echo(f"wrote {output}, {output.stat().st_size / 1e6:.1f} MB")
