"""geoclass change"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from geoclass.cli import kinds, options
from geoclass.cli.dated import dated_options, read_dated
from geoclass.cli.one_map import type_command
from geoclass.mapping.settings import MapSettings
from geoclass.monitor.settings import AlignSettings, SeriesSettings

if TYPE_CHECKING:
    from geoclass.monitor.change import Change


@click.command("change")
@click.argument("old", type=kinds.SCENE)
@click.argument("new", type=kinds.SCENE)
@click.option("-o", "--output", type=kinds.GEOPACKAGE, required=True, help="GeoPackage to write.")
@dated_options
@click.option("--overwrite", is_flag=True, help="Replace the output file.")
@options.quiet
def command(
    old: str,
    new: str,
    output: Path,
    days: Sequence[datetime],
    series: SeriesSettings,
    align: AlignSettings,
    model: Path | None,
    mapping: MapSettings,
    device: str | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Compare OLD and NEW, two maps or scenes of one place, cell by cell.

    Either may be a folder of maps of one day, which are merged.

    Two maps differ in many unchanged cells, because both contain classification errors. The first
    line of the output says in how many. The probability of change accounts for these errors and
    for how rarely land changes.
    """
    from geoclass.errors import SettingsError
    from geoclass.files.writing import check_new
    from geoclass.monitor.align import stack_maps
    from geoclass.monitor.change import check_order, compare_dates, write_change
    from geoclass.products.formats import check_not_input

    say = (lambda _: None) if quiet else click.echo
    check_not_input(output, Path(old), Path(new))
    check_new(output, suffix=".gpkg", overwrite=overwrite)
    mapped: list[str] = []
    maps = read_dated(
        [old, new],
        days,
        model=model,
        settings=mapping,
        device=device,
        say=mapped.append,
        quiet=quiet,
    )
    dates = len({item.day for item in maps})
    if dates > 2:
        raise SettingsError(
            f"{old} and {new} hold maps of {dates} dates: compare two, or give all to geoclass "
            "monitor"
        )
    check_order(maps[0], maps[-1])
    change = compare_dates(stack_maps(maps, align), series)
    for mismatch in change.stack.mismatches:
        click.echo(f"Warning: compared although {mismatch}", err=True)
    say(format_change(change))
    write_change(change, output, command=type_command())
    say(f"wrote {output}")


def format_change(change: Change) -> str:
    """The warning first, then from class × to class."""
    from geoclass.monitor.change import CHANGED, compare_areas

    changed = change.probability[change.compared] > CHANGED
    start, end = change.stack.dates
    lines = [
        (
            f"labels differ in {change.raw_share:.1%} of {changed.size} cells; misclassification "
            f"alone would make {change.expected_share:.1%} differ"
        ),
        f"{start} to {end}: {int(changed.sum())} cells ({changed.mean():.1%}) probably changed",
        f"{'from':<24}{'to':<24}{'cells':>7}{'hectares':>12}{'likely':>12}",
    ]
    table = compare_areas(change)
    order = table["area_ha"].argsort()[::-1]
    titles = {c.name: c.title for c in change.stack.contract.legend.classes}
    for i in order:
        old, new = table["from_class"][i], table["to_class"][i]
        if old != new:
            lines.append(
                f"{titles[old]:<24}{titles[new]:<24}{table['cells'][i]:>7}"
                f"{table['area_ha'][i]:>12,.1f}{table['likely_ha'][i]:>12,.1f}"
            )
    return "\n".join(lines)
