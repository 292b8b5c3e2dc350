"""geoclass areas"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from geoclass.cli import kinds

if TYPE_CHECKING:
    from geoclass.monitor.zone_areas import ZoneAreas


@click.command("areas")
@click.argument("landcover", metavar="MAP", type=kinds.MAP)
@click.option("--zones", type=kinds.POLYGONS, help="Polygons; default: the whole map.")
@click.option(
    "--sample",
    type=kinds.MAP,
    help="Labelled sample of MAP (or table of counts): add estimates with 95 % intervals.",
)
@click.option("-o", "--output", type=kinds.FILE, help="Table (.csv) or zones (.gpkg) to write.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def command(
    landcover: Path, zones: Path | None, sample: Path | None, output: Path | None, as_json: bool
) -> None:
    """Sum hectares and shares of each group in MAP, by zone.

    Hectares are those of the map, errors included. For estimates draw a sample with `geoclass
    sample`, label it, and give --sample. Errors are assumed to be as frequent in each zone as in
    the whole map.
    """
    from geoclass.monitor.zone_areas import measure_zones, write_zone_areas
    from geoclass.products.files import read_map
    from geoclass.products.formats import check_not_input

    if output is not None:
        check_not_input(output, landcover, zones, sample)
    areas = measure_zones(read_map(landcover), zones, sample)
    if output is not None:
        write_zone_areas(areas, output)
    rows = [row.to_json() for row in areas.rows]
    click.echo(json.dumps(rows) if as_json else format_areas(areas))


def format_areas(areas: ZoneAreas) -> str:
    """A line for each zone and group that is there."""
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
