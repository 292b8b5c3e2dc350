"""geoclass sample"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from geoclass.cli import kinds, options
from geoclass.cli.assess import tell_left_out
from geoclass.monitor.settings import ALLOCATIONS, Allocation, SampleSettings

if TYPE_CHECKING:
    from geoclass.monitor.sampling import Sample

DEFAULTS = SampleSettings()


@click.command("sample")
@click.argument("landcover", metavar="MAP", type=kinds.MAP)
@click.option("-o", "--output", type=kinds.GEOPACKAGE, required=True, help="GeoPackage to write.")
@click.option(
    "--since",
    type=kinds.MAP,
    help="Older map; the strata are then loss, gain, stable and other of one group.",
)
@click.option("--watch", default="forest", show_default=True, help="Group for --since.")
@click.option(
    "--per-class",
    type=int,
    default=DEFAULTS.per_class,
    show_default=True,
    help="Cells per stratum; other allocations have the same total.",
)
@click.option(
    "--allocation",
    type=click.Choice(ALLOCATIONS),
    default=DEFAULTS.allocation,
    show_default=True,
    help="Allocation of cells to strata.",
)
@click.option(
    "--seed", type=int, default=DEFAULTS.seed, show_default=True, help="Seed of the random sample."
)
@click.option("--scene", type=kinds.SCENE, help="Write an image of each cell from this scene.")
@click.option("--overwrite", is_flag=True, help="Replace the output file.")
@options.quiet
def command(
    landcover: Path,
    output: Path,
    since: Path | None,
    watch: str,
    per_class: int,
    allocation: Allocation,
    seed: int,
    scene: str | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Draw a stratified random sample of the cells of MAP to label by eye.

    Open the output in QGIS and choose the class of each cell in its form. Then run
    `geoclass assess` to estimate accuracy and areas. The layer does not show the map's class.
    """
    from geoclass.files.writing import check_new
    from geoclass.monitor.align import date_map
    from geoclass.monitor.sampling import sample_map, write_sample
    from geoclass.products.files import read_map
    from geoclass.products.formats import check_not_input

    check_not_input(output, landcover, since)
    check_new(output, suffix=".gpkg", overwrite=overwrite)
    settings = SampleSettings(per_class=per_class, allocation=allocation, seed=seed)
    read = read_map(landcover)
    if since is None:
        sample = sample_map(read, settings=settings)
    else:
        old = date_map(read_map(since), file_name=since.name)
        new = date_map(read, file_name=landcover.name)
        sample = sample_map(new, since=old, watch=watch, settings=settings)
    chips: dict[int, str] = {}
    if scene is not None:
        from geoclass.report.chips import draw_chips

        folder = output.with_name(f"{output.stem}_chips")
        names = draw_chips(scene, read, sample.rows, sample.cols, folder)
        chips = dict(enumerate(names, start=1))
    write_sample(sample, output, chips=chips)
    if not quiet:
        click.echo(format_sample(sample))
        click.echo(f"wrote {output}")


def format_sample(sample: Sample) -> str:
    """Strata, their cells and how many were drawn."""
    import numpy as np

    strata = sample.strata
    n = len(strata.names)
    drawn = np.bincount(strata.stratum[sample.rows, sample.cols], minlength=n)
    cells = np.bincount(strata.stratum[strata.stratum >= 0], minlength=n)
    lines = [f"{'stratum':<28}{'cells':>9}{'drawn':>8}"]
    lines += [
        f"{title:<28}{all_:>9}{some:>8}"
        for title, all_, some in zip(strata.titles, cells, drawn, strict=True)
    ]
    single = [name for name, count in zip(strata.titles, cells, strict=True) if count == 1]
    if single:
        lines.append(f"{', '.join(single)}: a single cell, which is taken for certain")
    if strata.left_out_ha:
        sampled = float(strata.grid.areas_ha()[strata.stratum >= 0].sum())
        lines.append(tell_left_out(sampled, strata.left_out_ha))
    return "\n".join(lines)
