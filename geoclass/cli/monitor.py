"""geoclass monitor"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from geoclass.cli import kinds, options
from geoclass.cli.dated import dated_options, read_dated
from geoclass.cli.one_map import type_command
from geoclass.mapping.settings import MapSettings
from geoclass.monitor.settings import (
    STATES,
    AlignSettings,
    MonitorSettings,
    SeriesSettings,
)

if TYPE_CHECKING:
    from geoclass.monitor.align import LeftOut
    from geoclass.monitor.history import Monitoring

DEFAULTS = MonitorSettings()


def parse_watch(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[str, ...]:
    """`forest,water` → ("forest", "water")."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


@click.command("monitor")
@click.argument("inputs", metavar="DATED…", type=kinds.SCENE, nargs=-1)
@click.option("-o", "--output", type=kinds.GEOPACKAGE, help="GeoPackage to write.")
@click.option("--update", type=kinds.FILE, help="Add the dates to this monitor file.")
@click.option(
    "--watch",
    default=",".join(DEFAULTS.watch),
    show_default=True,
    callback=parse_watch,
    help="Groups whose losses are reported, with commas between.",
)
@click.option(
    "--min-area",
    "min_area_ha",
    type=float,
    default=DEFAULTS.min_area_ha,
    show_default=True,
    metavar="HA",
    help="Leave out alerts whose cells cover fewer hectares.",
)
@click.option(
    "--min-probability",
    type=float,
    default=DEFAULTS.min_probability,
    show_default=True,
    help="Leave out losses less probable.",
)
@click.option(
    "--states",
    type=click.Choice(STATES),
    default=DEFAULTS.series.states,
    show_default=True,
    help="What is followed over time.",
)
@click.option("--zones", type=kinds.POLYGONS, help="Polygons for areas and alerts by zone.")
@click.option("--tables", type=kinds.FOLDER, metavar="DIR", help="Write tables as CSV, too.")
@click.option("--chart", type=kinds.PICTURE, help="Draw areas over time: .png, .svg or .pdf.")
@click.option(
    "--alerts",
    "raster",
    type=kinds.FileName("output", ".tif"),
    help="Alerts as GeoTIFF in GFW's coding.",
)
@click.option(
    "--chips",
    type=kinds.FOLDER,
    metavar="DIR",
    help="Write images of each alert, before and after.",
)
@dated_options
@click.option("--overwrite", is_flag=True, help="Replace the output, whatever it is.")
@options.quiet
def command(
    inputs: Sequence[str],
    output: Path | None,
    update: Path | None,
    watch: tuple[str, ...],
    min_area_ha: float,
    min_probability: float,
    zones: Path | None,
    tables: Path | None,
    chart: Path | None,
    raster: Path | None,
    chips: Path | None,
    days: Sequence[datetime],
    series: SeriesSettings,
    align: AlignSettings,
    model: Path | None,
    mapping: MapSettings,
    device: str | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Follow one place over the dates of several maps or scenes, and report what was lost.

    Errors of single dates are smoothed away; a loss is an alert, whose level says how many
    observations confirm it. Scenes that cannot be mapped, maps without a classified cell and
    maps that cannot be compared with most others are left out, with the reason; maps of one day
    are put together, each cell as the clearest of them shows it.

    A folder of maps, or one map of many scenes as `geoclass map` merges it, stands for all of its
    maps. With --update, new dates are added to a file that this command wrote, by the settings
    that it was written with.
    """
    from geoclass.errors import SettingsError
    from geoclass.monitor.files import (
        read_monitor,
        update_monitor,
        write_monitor,
        write_tables,
    )
    from geoclass.monitor.history import monitor_stack, stack_usable
    from geoclass.monitor.layers import write_alerts
    from geoclass.monitor.tables import read_zones
    from geoclass.products.formats import check_not_input
    from geoclass.products.writing import check_new

    say = (lambda _: None) if quiet else click.echo
    if (output is None) == (update is None):
        raise SettingsError("give either -o, a new file, or --update, a file to add dates to")
    target = output or update
    assert target is not None
    check_not_input(target, *map(Path, inputs), zones)
    check_new(target, suffix=".gpkg", overwrite=overwrite or update is not None)
    settings = MonitorSettings(
        watch=watch,
        min_area_ha=min_area_ha,
        min_probability=min_probability,
        series=series,
        align=align,
    )

    known = 0
    if update is not None:  # what is wrong with it is told before scenes are mapped
        known = len(read_monitor(update)[0].left_out)
    refused: list[LeftOut] = []
    maps = read_dated(
        inputs,
        days,
        model=model,
        settings=mapping,
        device=device,
        say=say,
        quiet=quiet,
        left_out=refused,
    )
    shown = [(item.day, item.landcover.provenance) for item in maps]
    if update is not None:
        result = update_monitor(update, maps, left_out=refused)
    else:
        stack = stack_usable(maps, settings, refused)
        maps.clear()  # the stack holds all of them once more
        result = monitor_stack(stack, settings)
    for item in result.stack.left_out[known:]:
        click.echo(f"Warning: left out {item}", err=True)
    for mismatch in result.stack.mismatches:
        click.echo(f"Warning: compared although {mismatch}", err=True)
    shares = None if zones is None else read_zones(zones, result.stack.grid)
    say(format_monitoring(result))
    started = time.perf_counter()
    pictures: dict[int, str] = {}
    if chips is not None:
        from geoclass.report.chips import draw_alerts

        pictures = draw_alerts(result, shown, chips, beside=target)
        say(f"drew {len(pictures)} of {len(result.alerts)} alerts")
    write_monitor(result, target, zones=shares, chips=pictures, command=type_command())
    if raster is not None:
        write_alerts(result, raster)
    if tables is not None:
        write_tables(result, tables, zones=shares)
    if chart is not None:
        from geoclass.report.charts import draw_timeline

        draw_timeline(result, chart)
    say(f"wrote {target} in {time.perf_counter() - started:.1f} s")


def format_monitoring(result: Monitoring) -> str:
    """Dates, what can be seen, areas at both ends, and the alerts."""
    from geoclass.monitor.tables import sum_areas

    stack = result.stack
    lines = [
        f"dates       {', '.join(str(day) for day in stack.dates)}",
        *([f"left out    {len(stack.left_out)} scenes or maps"] if stack.left_out else []),
        f"cells       {len(result.cells)} seen, {stack.observed.sum()} observations",
        "",
        f"{'group':<16}{stack.dates[0]!s:>14}{stack.dates[-1]!s:>14}",
    ]
    areas = sum_areas(result, {"all": 1 + 0 * result.area_ha})
    for group in dict.fromkeys(result.belief.groups):
        mine = areas["group"] == group
        first, last = (f"{ha:,.0f} ha" for ha in areas["area_ha"][mine][[0, -1]])
        lines.append(f"{group:<16}{first:>14}{last:>14}")
    lines += ["", *_format_alerts(result)]
    return "\n".join(lines)


def _format_alerts(result: Monitoring) -> list[str]:
    if not result.alerts:
        return [f"no loss of {', '.join(result.settings.watch)}"]
    lines = [
        (
            f"{'alert':>6} {'lost':<10}{'level':<9}{'last seen':<12}{'gone by':<12}{'became':<24}"
            f"{'hectares':>10}{'prob.':>7}"
        )
    ]
    lines += [
        f"{a.alert_id:>6} {a.group:<10}{a.level:<9}{a.last_seen!s:<12}{a.first_gone!s:<12}"
        f"{a.became:<24}{a.area_ha:>10,.1f}{a.probability:>7.2f}"
        for a in result.alerts
    ]
    return lines
