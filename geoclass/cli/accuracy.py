"""geoclass sample, assess and plots"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import click

import geoclass
from geoclass.cli.generated import FILE, Kind, command, options_of
from geoclass.cli.options import (
    GEOPACKAGE,
    MAP,
    SCENE,
    as_json,
    check_output,
    output_option,
    overwrite,
    quiet,
)
from geoclass.cli.progress import echo, say, warn
from geoclass.monitor.settings import PlotSettings, SampleSettings


@command("sample")
@click.argument("landcover", metavar="MAP", type=MAP)
@output_option(GEOPACKAGE, "GeoPackage to write.")
@click.option(
    "--since",
    type=MAP,
    help="Older map; the strata are then loss, gain, stable and other of one group.",
)
@click.option("--watch", default="forest", show_default=True, help="Group for --since.")
@options_of(SampleSettings, "settings")
@click.option("--scene", type=SCENE, help="Write an image of each cell from this scene.")
@overwrite
@quiet
def sample_command(
    landcover: Path,
    output: Path,
    since: Path | None,
    watch: str,
    settings: SampleSettings,
    scene: str | None,
    overwrite: bool,
) -> None:
    """Draw a stratified random sample of the cells of MAP to label by eye.

    Open the output in QGIS and choose the class of each cell in its form. Then run
    `geoclass assess` to estimate accuracy and areas. The layer does not show the map's class.
    """
    check_output(output, landcover, since, suffix=".gpkg", overwrite=overwrite)
    read = geoclass.read_map(landcover)
    if since is None:
        sample = geoclass.sample_map(read, settings=settings)
    else:
        old = geoclass.date_map(geoclass.read_map(since), file_name=since.name)
        new = geoclass.date_map(read, file_name=landcover.name)
        sample = geoclass.sample_map(new, since=old, watch=watch, settings=settings)
    chips: dict[int, str] = {}
    if scene is not None:
        from geoclass.report.chips import draw_chips

        folder = output.with_name(f"{output.stem}_chips")
        names = draw_chips(scene, read, sample.rows, sample.cols, folder)
        chips = dict(enumerate(names, start=1))
    geoclass.write_sample(sample, output, chips=chips)
    say(format_sample(sample))
    say(f"wrote {output}")


def format_sample(sample: geoclass.Sample) -> str:
    """Strata with their numbers of cells and samples."""
    import numpy as np

    strata = sample.strata
    n = len(strata.names)
    drawn = np.bincount(strata.stratum[sample.rows, sample.cols], minlength=n)
    cells = strata.cells
    lines = [f"{'stratum':<28}{'cells':>9}{'drawn':>8}"]
    lines += [
        f"{title:<28}{all_:>9}{some:>8}"
        for title, all_, some in zip(strata.titles, cells, drawn, strict=True)
    ]
    single = [name for name, count in zip(strata.titles, cells, strict=True) if count == 1]
    if single:
        lines.append(f"{', '.join(single)}: a single cell, which is always drawn")
    if strata.left_out_ha:
        lines.append(describe_left_out(float(strata.area_ha.sum()), strata.left_out_ha))
    return "\n".join(lines)


def describe_left_out(sampled_ha: float, left_out_ha: Mapping[str, float]) -> str:
    """The part of a map that a sample represents."""
    all_ha = sampled_ha + sum(left_out_ha.values())
    parts = ", ".join(f"{ha:,.0f} ha {name}" for name, ha in left_out_ha.items())
    return f"valid for {sampled_ha:,.0f} of {all_ha:,.0f} ha: not for {parts}"


@command("assess")
@click.argument("sample", metavar="SAMPLE", type=MAP)
@click.option("--partial", is_flag=True, help="Ignore samples that have no label.")
@as_json
def assess_command(sample: Path, partial: bool, as_json: bool) -> None:
    """Estimate accuracy and areas from SAMPLE, with 95 % intervals.

    SAMPLE is a labelled output of `geoclass sample`, or a CSV table of counts: one row per map
    class, with the columns stratum, area_ha, and one column per reference class. Totals are
    checked and not counted.
    """
    result = geoclass.assess_sample(sample, partial=partial)
    if result.unlabelled:
        warn(f"{result.unlabelled} samples have no label and are ignored")
    echo(json.dumps(result.to_json()) if as_json else format_assessment(result))


def format_assessment(result: geoclass.Assessment) -> str:
    """Accuracies and areas, then the error matrix as fractions of the area."""
    overall = result.overall
    left_out = result.left_out_ha
    width = max(12, *(len(c.name) + 2 for c in result.classes))
    lines = [
        f"{result.samples} samples; ± is half of a 95 % interval",
        f"overall accuracy {overall.value:.3f} ± {overall.margin:.3f}",
        *([describe_left_out(result.area_ha, left_out)] if left_out else []),
        "",
        f"{'class':<{width}}{'users':>16}{'producers':>16}{'hectares':>24}{'mapped':>14}",
    ]
    for c in result.classes:
        users = f"{c.users.value:.3f} ± {c.users.margin:.3f}"
        producers = f"{c.producers.value:.3f} ± {c.producers.margin:.3f}"
        area = f"{c.area_ha.value:,.0f} ± {c.area_ha.margin:,.0f}"
        lines.append(f"{c.name:<{width}}{users:>16}{producers:>16}{area:>24}{c.mapped_ha:>14,.0f}")
    lines += ["", "fractions of the area; rows: map, columns: reference"]
    lines += [
        f"{c.name:<{width}}" + "".join(f"{share:>9.4f}" for share in row)
        for c, row in zip(result.classes, result.matrix, strict=True)
    ]
    return "\n".join(lines)


@command("plots")
@click.argument("plots", type=FILE)
@click.argument("monitor", type=FILE)
@output_option(FILE, "Verdicts to write: .geojson, .gpkg or .csv.")
@options_of(PlotSettings, "settings")
@overwrite
@quiet
def plots_command(
    plots: Path, monitor: Path, output: Path, settings: PlotSettings, overwrite: bool
) -> None:
    """Report for each of PLOTS whether its forest was lost since a day, from a MONITOR file.

    PLOTS are polygons or points of any vector file. Each gets a verdict, with the reason in
    words: no loss detected, loss detected, or cannot tell, where the plot is too small for the
    method, was not observed clearly, or lies outside the maps or the model's region. Faulty plots
    are repaired, with a message, or rejected one by one. The verdicts are not a legal
    determination.
    """
    from geoclass.monitor.plots import DISCLAIMER, check_verdict_file

    check_verdict_file(output)
    check_output(output, plots, monitor, overwrite=overwrite)
    verdicts = geoclass.assess_plots(plots, monitor, settings=settings)
    for message in verdicts.messages:
        warn(message)
    geoclass.write_verdicts(verdicts, output)
    for answer, count in verdicts.counts.items():
        say(f"{answer:<18}{count:>8}")
    say(DISCLAIMER)
    say(f"wrote {output}")


@command("areas")
@click.argument("landcover", metavar="MAP", type=MAP)
@click.option("--zones", type=Kind("path", Path, "polygons"), help="Polygons; default: the map.")
@click.option(
    "--sample",
    type=MAP,
    help="Labelled sample of MAP (or table of counts): add estimates with 95 % intervals.",
)
@click.option("-o", "--output", type=FILE, help="Table (.csv) or zones (.gpkg) to write.")
@overwrite
@as_json
def areas_command(
    landcover: Path,
    zones: Path | None,
    sample: Path | None,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Sum hectares and shares of each group in MAP, by zone.

    Hectares are those of the map, errors included. For estimates draw a sample with `geoclass
    sample`, label it, and give --sample. Errors are assumed to be as frequent in each zone as in
    the whole map.
    """
    if output is not None:
        check_output(output, landcover, zones, sample, overwrite=overwrite)
    areas = geoclass.measure_zones(geoclass.read_map(landcover), zones, sample)
    if output is not None:
        geoclass.write_zone_areas(areas, output)
    rows = [row.to_json() for row in areas.rows]
    echo(json.dumps(rows) if as_json else format_areas(areas))


def format_areas(areas: geoclass.ZoneAreas) -> str:
    """One line per zone and group."""
    width = max(12, *(len(row.zone) + 2 for row in areas.rows))
    estimated = any(row.estimate_ha is not None for row in areas.rows)
    last = f"{'estimate, 95 %':>26}" if estimated else ""
    lines = [f"{'zone':<{width}}{'group':<12}{'hectares':>14}{'share':>9}{last}"]
    for row in areas.rows:
        estimate = row.estimate_ha
        if not row.area_ha and (estimate is None or not estimate.value):
            continue
        text = "" if estimate is None else f"{estimate.value:,.1f} ± {estimate.margin:,.1f}"
        line = f"{row.zone:<{width}}{row.group:<12}{row.area_ha:>14,.1f}{row.share:>9.1%}"
        lines.append(line + (f"{text:>26}" if text else ""))
    return "\n".join(lines)
