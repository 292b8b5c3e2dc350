"""geoclass change and monitor"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

import geoclass
from geoclass.cli.generated import Decorated, Kind, command, options_of
from geoclass.cli.options import (
    GEOPACKAGE,
    PICTURE,
    READING,
    SCENE,
    access,
    as_json,
    check_output,
    output_option,
    overwrite,
    quiet,
)
from geoclass.cli.progress import command_line, json_document, open_bar, record, say, warn
from geoclass.dates import find_day
from geoclass.errors import SceneError, SettingsError
from geoclass.mapping.settings import MapRequest, MapSettings
from geoclass.monitor.settings import AlignSettings, MonitorSettings, SeriesSettings
from geoclass.outside import hide_secrets

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedOptions:
    """Scenes: mapping of inputs that are scenes."""

    days: tuple[date, ...] = ()
    """Date of an input; give it once for each, in their order."""
    model: Path | None = None
    """Model file for scenes. None: the shipped model."""
    device: str | None = None
    """Device: cpu, cuda, cuda:1 … None: cuda if available, else cpu."""
    mapping: MapSettings = field(default_factory=MapSettings)


def dated_options(command: Decorated) -> Decorated:
    """Options of `DatedOptions` as one argument, `dated`; those about reading are hidden."""
    fields = {"days", "model", "device", "stride", "detail", *READING}
    return access(options_of(DatedOptions, "dated", only=fields, hidden=READING)(command))


def read_dated(
    inputs: Sequence[str], options: DatedOptions, left_out: list[geoclass.LeftOut] | None = None
) -> list[geoclass.DatedMap]:
    """The dated maps of all inputs; scenes are mapped first.

    A folder or a merged map stands for all of its maps. Existing scenes that cannot be mapped are
    added to `left_out`, or raise SceneError without it.
    """
    from geoclass.mapping.job import make_classifier, map_job

    if options.days and len(options.days) != len(inputs):
        raise SettingsError(
            f"{len(options.days)} dates were given for {len(inputs)} inputs: give --date once for "
            "each, or not at all"
        )
    # Snapped cells match those of other dates.
    mapping = replace(options.mapping, frame=replace(options.mapping.frame, snap=True))
    request = MapRequest(model=options.model, settings=mapping, device=options.device)
    maps, classifier = [], None
    with open_bar(total=len(inputs), unit="date", desc="dates", leave=False) as bar:
        for text, day in zip(inputs, options.days or [None] * len(inputs), strict=True):
            files = geoclass.find_maps(text)
            for file in files:
                landcover = geoclass.read_map(file)
                maps.append(geoclass.date_map(landcover, day=day, file_name=file.name))
            if not files:
                try:
                    if classifier is None:
                        classifier = make_classifier(geoclass.load_model(options.model), request)
                    landcover = map_job(text, None, request, classifier)
                except SceneError as error:
                    if left_out is None or not _exists(text):
                        raise
                    name = hide_secrets(text).rstrip("/").rpartition("/")[2]
                    reason = " ".join(str(error).split())
                    left_out.append(
                        geoclass.LeftOut(day=day or find_day(name), scene=name, reason=reason)
                    )
                else:
                    say(f"mapped {landcover.provenance.scene}")
                    name = Path(text).name
                    maps.append(geoclass.date_map(landcover, day=day, file_name=name))
            bar.update()
    return maps


def _exists(scene: str) -> bool:
    """Whether a scene exists, even if it cannot be mapped."""
    from geoclass.scene.open.inputs import find_input

    try:
        find_input(scene)
    except SceneError:
        return os.path.exists(scene)  # noqa: PTH110 of whatever text
    return True


@command("change")
@click.argument("old", type=SCENE)
@click.argument("new", type=SCENE)
@output_option(GEOPACKAGE, "GeoPackage to write.")
@dated_options
@options_of(SeriesSettings, "series", only=("rate", "pairs", "doubt", "error_days"))
@options_of(AlignSettings, "align")
@overwrite
@as_json
@quiet
def change_command(
    old: str,
    new: str,
    output: Path,
    dated: DatedOptions,
    series: SeriesSettings,
    align: AlignSettings,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Compare OLD and NEW, two maps or scenes of one place, cell by cell.

    Either may be a folder of maps of one day, which are merged. Scenes are mapped first; for
    other options of mapping, map them with `geoclass map --snap` before.

    Two maps differ in many unchanged cells, because both contain classification errors. The first
    line of the output says in how many. The probability of change accounts for these errors and
    for how rarely land changes.
    """
    from geoclass.monitor.align import stack_maps
    from geoclass.monitor.change import check_order, compare_dates

    check_output(output, Path(old), Path(new), suffix=".gpkg", overwrite=overwrite)
    with json_document(wanted=as_json):
        maps = read_dated([old, new], dated)
        dates = len({item.day for item in maps})
        if dates > 2:
            raise SettingsError(
                f"{old} and {new} hold maps of {dates} dates: compare two, or give all to geoclass "
                "monitor"
            )
        check_order(maps[0], maps[-1])
        change = compare_dates(stack_maps(maps, align), series)
        for mismatch in change.stack.mismatches:
            warn(f"compared although {mismatch}")
        facts = describe_change(change)
        record(output=str(output), **facts)
        say(format_change(change, facts))
        geoclass.write_change(change, output, command=command_line())
        say(f"wrote {output}")


def list_rows(table: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """A table of columns as rows."""
    columns = (column.tolist() for column in table.values())
    return [dict(zip(table, row, strict=True)) for row in zip(*columns, strict=True)]


def describe_change(change: geoclass.Change) -> dict[str, Any]:
    """The result as JSON data."""
    from geoclass.monitor.change import CHANGED, compare_areas

    changed = change.probability[change.compared] > CHANGED
    return {
        "dates": change.stack.dates,
        "cells": changed.size,
        "changed_cells": int(changed.sum()),
        "differing_share": float(change.raw_share),
        "expected_differing_share": float(change.expected_share),
        "areas": list_rows(compare_areas(change)),
    }


def format_change(change: geoclass.Change, facts: Mapping[str, Any]) -> str:
    """Fractions of differing labels, then areas by class before and after."""
    start, end = facts["dates"]
    share = facts["changed_cells"] / facts["cells"] if facts["cells"] else float("nan")
    lines = [
        (
            f"labels differ in {facts['differing_share']:.1%} of {facts['cells']} cells; "
            f"misclassification alone would make {facts['expected_differing_share']:.1%} differ"
        ),
        f"{start} to {end}: {facts['changed_cells']} cells ({share:.1%}) probably changed",
        f"{'from':<24}{'to':<24}{'cells':>7}{'hectares':>12}{'likely':>12}",
    ]
    titles = {c.name: c.title for c in change.stack.contract.legend.classes}
    lines += [
        f"{titles[row['from_class']]:<24}{titles[row['to_class']]:<24}{row['cells']:>7}"
        f"{row['area_ha']:>12,.1f}{row['likely_ha']:>12,.1f}"
        for row in sorted(facts["areas"], key=lambda row: -row["area_ha"])
        if row["from_class"] != row["to_class"]
    ]
    return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorFiles:
    """Options: input and output files."""

    output: Annotated[Path, GEOPACKAGE] | None = None
    """GeoPackage to write."""
    update: Path | None = None
    """Add the dates to this monitor file."""
    zones: Annotated[Path, Kind("path", Path, "polygons")] | None = None
    """Polygons for areas and alerts by zone."""
    tables: Annotated[Path, Kind("path", Path, "folder")] | None = None
    """Folder for tables as CSV."""
    chart: Annotated[Path, PICTURE] | None = None
    """Draw areas over time: .png, .svg or .pdf."""
    raster: Annotated[Path, Kind("path", Path, "output", ".tif")] | None = None
    """Alerts as GeoTIFF in GFW's coding."""
    chips: Annotated[Path, Kind("path", Path, "folder")] | None = None
    """Folder for images of each alert, before and after."""
    overwrite: bool = False
    """Replace existing files, whatever they contain."""


@command("monitor")
@click.argument("inputs", metavar="DATED…", type=SCENE, nargs=-1)
@options_of(MonitorFiles, "files")
@options_of(MonitorSettings, "settings")
@dated_options
@as_json
@quiet
def monitor_command(
    inputs: Sequence[str],
    files: MonitorFiles,
    settings: MonitorSettings,
    dated: DatedOptions,
    as_json: bool,
) -> None:
    """Follow one place over the dates of several maps or scenes, and report losses.

    Errors of single dates are smoothed; a loss is an alert, whose level says how many observations
    confirm it. Scenes that cannot be mapped, maps without a classified cell and maps that cannot
    be compared with most others are skipped, with the reason. Maps of one day are merged: each
    cell is taken from the clearest of them.

    A folder of maps, or one map of many scenes as merged by `geoclass map`, stands for all of its
    maps. Scenes are mapped first; for other options of mapping, map them with `geoclass map
    --snap` before. With --update, new dates are added to a file that this command wrote, with the
    settings of that file.
    """
    from geoclass.monitor.history import monitor_stack, stack_usable

    update, target = files.update, files.output or files.update
    if target is None or (files.output and update):
        raise SettingsError("give either -o, a new file, or --update, a file to add dates to")
    replaced = files.overwrite or update is not None
    check_output(target, *map(Path, inputs), files.zones, suffix=".gpkg", overwrite=replaced)
    # A broken file is reported before scenes are mapped.
    known = 0 if update is None else len(geoclass.read_monitor(update)[0].left_out)
    with json_document(wanted=as_json):
        refused: list[geoclass.LeftOut] = []
        maps = read_dated(inputs, dated, refused)
        shown = [(item.day, item.landcover.provenance) for item in maps]
        if update is not None:
            result = geoclass.update_monitor(update, maps, left_out=refused)
        else:
            result = monitor_stack(stack_usable(maps, settings, refused), settings)
        for item in result.stack.left_out[known:]:
            warn(f"skipped {item}")
        for mismatch in result.stack.mismatches:
            warn(f"compared although {mismatch}")
        zones = files.zones
        shares = None if zones is None else geoclass.read_zones(zones, result.stack.grid)
        facts = describe_monitoring(result)
        record(output=str(target), **facts)
        say(format_monitoring(result, facts))
        started = time.perf_counter()
        chips: dict[int, str] = {}
        if files.chips is not None:
            from geoclass.report.chips import draw_alerts

            chips = draw_alerts(result, shown, files.chips, beside=target)
            say(f"drew {len(chips)} of {len(result.alerts)} alerts")
        geoclass.write_monitor(result, target, zones=shares, chips=chips, command=command_line())
        if files.raster is not None:
            geoclass.write_alerts(result, files.raster)
        if files.tables is not None:
            geoclass.write_tables(result, files.tables, zones=shares)
        if files.chart is not None:
            geoclass.draw_timeline(result, files.chart)
        say(f"wrote {target} in {time.perf_counter() - started:.1f} s")


def describe_monitoring(result: geoclass.Monitoring) -> dict[str, Any]:
    """The result as JSON data."""
    from geoclass.monitor.tables import sum_areas

    names = ("alert_id", "group", "level", "last_seen", "first_gone", "became", "area_ha",
             "probability")  # fmt: skip
    return {
        "dates": result.stack.dates,
        "skipped": [str(item) for item in result.stack.left_out],
        "cells": len(result.cells),
        "observations": int(result.stack.observed.sum()),
        "areas": list_rows(sum_areas(result)),
        "alerts": [{name: getattr(each, name) for name in names} for each in result.alerts],
    }


ALERTS_HEAD = (
    f"{'alert':>6} {'lost':<10}{'level':<9}{'last seen':<12}{'gone by':<12}{'became':<24}"
    f"{'hectares':>10}{'prob.':>7}"
)


def format_monitoring(result: geoclass.Monitoring, facts: Mapping[str, Any]) -> str:
    """Dates, observations, first and last areas, and the alerts."""
    first, last = facts["dates"][0], facts["dates"][-1]
    lines = [
        f"dates       {', '.join(map(str, facts['dates']))}",
        *([f"skipped     {len(facts['skipped'])} scenes or maps"] if facts["skipped"] else []),
        f"cells       {facts['cells']} seen, {facts['observations']} observations",
        "",
        f"{'group':<16}{first!s:>14}{last!s:>14}",
    ]
    for group in result.stack.contract.legend.groups:
        mine = [row["area_ha"] for row in facts["areas"] if row["group"] == group]
        lines.append(f"{group:<16}{f'{mine[0]:,.0f} ha':>14}{f'{mine[-1]:,.0f} ha':>14}")
    if not facts["alerts"]:
        return "\n".join([*lines, "", f"no loss of {', '.join(result.settings.watch)}"])
    lines += ["", ALERTS_HEAD]
    lines += [
        f"{a.alert_id:>6} {a.group:<10}{a.level:<9}{a.last_seen!s:<12}{a.first_gone!s:<12}"
        f"{a.became:<24}{a.area_ha:>10,.1f}{a.probability:>7.2f}"
        for a in result.alerts
    ]
    return "\n".join(lines)
