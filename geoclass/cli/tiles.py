"""geoclass tiles"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from geoclass.cli import kinds, map_options, options
from geoclass.cli.progress import open_bar
from geoclass.mapping.settings import MIN_TILE_SHARE, MapSettings


@click.command("tiles")
@click.argument("scene", type=kinds.SCENE)
@click.option(
    "--labels",
    type=kinds.FILE,
    required=True,
    help="Polygons with a class: GeoPackage, GeoJSON, shapefile …",
)
@click.option(
    "--column", default="class", show_default=True, help="Column with the class of a polygon."
)
@click.option("--layer", help="Layer of the labels.  [default: the only one with the column]")
@click.option("-o", "--output", type=kinds.FILE, required=True, help="Output folder.")
@click.option(
    "--min-share",
    type=float,
    default=MIN_TILE_SHARE,
    show_default=True,
    help="Minimum fraction of a tile that its class covers.",
)
@click.option("--add", is_flag=True, help="Add to a folder with tiles of other scenes.")
@options.bands
@map_options.reading
@options.quiet
def command(
    scene: str,
    labels: Path,
    column: str,
    layer: str | None,
    output: Path,
    min_share: float,
    add: bool,
    bands: Sequence[int | str] | None,
    settings: MapSettings,
    quiet: bool,
) -> None:
    """Cut labelled training tiles from SCENE, for `geoclass train`.

    A tile gets the class whose polygons cover at least --min-share of it. Tiles with missing
    pixels, or without exactly one such class, are skipped. SCENE and its preprocessing are the
    same as for `geoclass map`. `places.csv` in the folder stores where the tiles lie, so that
    training can keep tiles of one place together. For several dates of a place, give --snap.
    """
    from geoclass.learn.cutting import cut_labelled_tiles
    from geoclass.mapping.plan import plan_map
    from geoclass.model.checkpoint import load_model
    from geoclass.scene.region import read_labels

    ground = read_labels(labels, column, layer)
    model = load_model()
    plan = plan_map(scene, model.contract, model.sha256, settings, bands=bands)
    for warning in plan.warnings:
        click.echo(f"Warning: {warning}", err=True)
    cells = plan.grid.rows * plan.grid.cols
    with open_bar(quiet=quiet, total=cells, unit="tile", desc=plan.source.name) as bar:
        cut = cut_labelled_tiles(
            plan, ground, output, min_share=min_share, add=add, on_cells=bar.update
        )
    if not quiet:
        for name, count in cut.counts.items():
            click.echo(f"{name:<24}{count:>8}")
        click.echo(f"{'(of several classes)':<24}{cut.mixed:>8}")
        click.echo(f"{'(partly labelled)':<24}{cut.partly:>8}")
        click.echo(f"{'(with missing pixels)':<24}{cut.hidden:>8}")
        click.echo(f"wrote {output}")
