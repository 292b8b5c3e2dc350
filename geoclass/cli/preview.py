"""geoclass preview"""

from __future__ import annotations

from pathlib import Path

import click

from geoclass.cli import kinds


@click.command("preview")
@click.argument("landcover", metavar="MAP", type=kinds.FILE)
@click.option(
    "-o", "--output", type=kinds.FILE, required=True, help="Output picture: .png, .svg or .pdf."
)
@click.option("--scene", type=kinds.SCENE, help="Draw this scene beside the map.")
@click.option("--title", help="Title of the picture.  [default: the scene's name]")
def command(landcover: Path, output: Path, scene: str | None, title: str | None) -> None:
    """Draw MAP, a geoclass land-cover map, with legend, scale bar, north arrow and date."""
    from geoclass.products.files import read_map
    from geoclass.products.formats import check_not_input
    from geoclass.report.charts import check_picture
    from geoclass.report.preview import draw_preview
    from geoclass.scene.inputs import find_input

    check_not_input(output, landcover, *(find_input(scene).files if scene else ()))
    check_picture(output)
    draw_preview(read_map(landcover), output, scene, title=title)
    click.echo(f"wrote {output}")
