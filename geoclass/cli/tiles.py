"""geoclass tiles"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from geoclass.cli import map_options, options
from geoclass.cli.progress import open_bar
from geoclass.mapping.settings import MIN_TILE_SHARE, MapSettings


@click.command("tiles")
@click.argument("scene", type=options.SCENE)
@click.option(
    "--labels",
    type=options.FILE,
    required=True,
    help="Polygons with a class each: GeoPackage, GeoJSON, shapefile …",
)
@click.option("--column", default="class", show_default=True, help="Names the polygon's class.")
@click.option("--layer", help="Of the labels.  [default: the only one that has the column]")
@click.option("-o", "--output", type=options.FILE, required=True, help="Folder to write.")
@click.option(
    "--min-share",
    type=float,
    default=MIN_TILE_SHARE,
    show_default=True,
    help="Least share of a tile that its class covers.",
)
@click.option("--add", is_flag=True, help="Add to a folder that holds tiles of other scenes.")
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
    """Cut labelled training tiles out of SCENE, for `geoclass train`.

    A tile gets the class whose polygons cover at least --min-share of it; tiles that miss pixels
    or that no class, or more than one, covers so far are left out. SCENE is whatever
    `geoclass map` takes, and its pixels become what the networks know in the same way.
    `places.csv` in the folder says where the tiles lie, so that training can keep those of one
    ground together; give --snap for several dates of it.
    """
    from geoclass.mapping.cutting import cut_labelled_tiles
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
