"""geoclass plots"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from geoclass.cli import kinds, options
from geoclass.monitor.settings import CUT_OFF, PlotSettings


@click.command("plots")
@click.argument("plots", type=kinds.FILE)
@click.argument("monitor", type=kinds.FILE)
@click.option(
    "-o",
    "--output",
    type=kinds.FILE,
    required=True,
    help="Verdicts to write: .geojson, .gpkg or .csv.",
)
@click.option(
    "--forest-on",
    type=click.DateTime(["%Y-%m-%d"]),
    default=str(CUT_OFF),
    show_default=True,
    help="The day whose forest counts, and after which its loss does.",
)
@click.option(
    "--radius",
    "radius_m",
    type=float,
    metavar="METRES",
    help="Of the circle that a plot is which was handed in as a point.",
)
@click.option(
    "--id",
    "id_column",
    metavar="COLUMN",
    help="Column that names a plot.  [default: external_id, id, plot_id, ProductionPlace or name]",
)
@click.option("--overwrite", is_flag=True, help="Replace the output, whatever it is.")
@options.quiet
def command(
    plots: Path,
    monitor: Path,
    output: Path,
    forest_on: datetime,
    radius_m: float | None,
    id_column: str | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Say for each of PLOTS whether its forest was lost since a day, by a MONITOR file.

    PLOTS are polygons or points of any vector file. Each gets a verdict, with the reason in
    words: no loss detected, loss detected, or cannot tell, where the plot is too small for the
    method, was never seen clearly, or lies outside the maps or the model's region. Plots that
    are damaged are put right, with a message, or rejected one by one. The verdicts are no legal
    determination.
    """
    from geoclass.files.writing import check_new
    from geoclass.monitor.plot_files import DISCLAIMER, check_verdict_file, write_verdicts
    from geoclass.monitor.plots import assess_plots
    from geoclass.products.formats import check_not_input

    check_not_input(output, plots, monitor)
    check_verdict_file(output)
    check_new(output, suffix=output.suffix.lower(), overwrite=overwrite)
    settings = PlotSettings(forest_on=forest_on.date(), radius_m=radius_m, id_column=id_column)
    verdicts = assess_plots(plots, monitor, settings=settings)
    for message in verdicts.messages:
        click.echo(f"Warning: {message}", err=True)
    write_verdicts(verdicts, output)
    if not quiet:
        for answer, count in verdicts.counts.items():
            click.echo(f"{answer:<18}{count:>8}")
        click.echo(DISCLAIMER)
        click.echo(f"wrote {output}")
