"""geoclass report"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from geoclass.cli import options


@click.command("report")
@click.argument("inputs", metavar="MAP…", type=options.MAP, nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=options.FileName("output", ".html"),
    required=True,
    help="Page to write: .html.",
)
@click.option(
    "--scene",
    "scenes",
    type=options.SCENE,
    multiple=True,
    help="Lay this scene behind its map; give it once for each.  "
    "[default: the scenes that maps name, where they are still there]",
)
@click.option("--title", help="Title of the page.  [default: what it shows]")
@click.option("--overwrite", is_flag=True, help="Replace the output, whatever it is.")
def command(
    inputs: Sequence[Path],
    output: Path,
    scenes: Sequence[str],
    title: str | None,
    overwrite: bool,
) -> None:
    """Make one page of maps, change and monitor files, to look at in any browser.

    A folder, such as `geoclass map SCENES… -o FOLDER/` writes, stands for all maps in it, and one
    map of many scenes for those that it was merged from.
    The page needs no network: the maps with legend and scenes, dates to slide and swipe through,
    areas, transitions, confidence, provenance and caveats are all inside the file.
    """
    from geoclass.products.formats import check_not_input
    from geoclass.products.writing import check_new
    from geoclass.report.page.render import write_report
    from geoclass.scene.inputs import find_input

    check_not_input(output, *inputs, *(file for s in scenes for file in find_input(s).files))
    check_new(output, suffix=".html", overwrite=overwrite)
    write_report(inputs, output, scenes=scenes, title=title)
    click.echo(f"wrote {output}, {output.stat().st_size / 1e6:.1f} MB")
