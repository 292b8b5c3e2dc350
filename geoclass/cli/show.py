"""geoclass info, preview, report and style: what is in a file"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

import click

import geoclass
from geoclass.cli.generated import FILE, Kind, command
from geoclass.cli.options import (
    MAP,
    SCENE,
    as_json,
    check_output,
    output_option,
    overwrite,
    quiet,
    reading,
)
from geoclass.cli.progress import echo, list_areas, say
from geoclass.contract import SHIPPED
from geoclass.errors import OutputError, SettingsError
from geoclass.mapping.settings import MapRequest, MapSettings
from geoclass.outside import offline
from geoclass.products.formats import check_not_input


@command("info")
@click.argument("what", metavar="MODEL|MAP|SCENE", type=SCENE)
@reading(hidden=True)
@as_json
@click.option("--stac", "as_stac", is_flag=True, help="Print a model as a STAC item.")
def info_command(what: str, reading: MapRequest, as_json: bool, as_stac: bool) -> None:
    """Describe a file: the card of a model, a map, or how a scene would be read.

    `shipped` is the model in the package. For a scene, the options of `geoclass map` about area,
    masks and radiometry are accepted.
    """
    path = Path(what)
    if what == SHIPPED or path.suffix == ".safetensors" or _is_pickled(path):
        _print_model(path, as_json, as_stac)
        return
    if as_stac:
        raise SettingsError("--stac is for models: maps get an item by geoclass map --stac")
    from geoclass.products.files import holds_map
    from geoclass.products.mosaic import is_mosaic

    try:
        landcover = geoclass.read_map(path)
    except OutputError:
        # A copy for other programs, damaged, or merged.
        if holds_map(path) or (path.suffix == ".gpkg" and is_mosaic(path)):
            raise
        # Perhaps a scene.
        _print(describe_scene(what, reading), as_json)
    else:
        if as_json:
            areas = list_areas(landcover.areas())
            echo(json.dumps({**landcover.provenance.to_json(), "areas": areas}))
            return
        _print(describe_map(landcover), as_json)
        echo(f"\n{landcover.areas()}")


def _is_pickled(path: Path) -> bool:
    """Whether a file is one that `torch.save` writes: a pickle, or a zip around one."""
    from geoclass.model.checkpoint import PICKLE_HEADS, ZIP_HEAD
    from geoclass.outside import BAD_ZIP

    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(4)
        if head == ZIP_HEAD:  # scenes may be zips as well
            with zipfile.ZipFile(path) as archive:
                return any(PurePosixPath(n).name == "data.pkl" for n in archive.namelist())
    except (OSError, ValueError, *BAD_ZIP):  # reported when the file is read
        return False
    return head.startswith(PICKLE_HEADS)


def _print_model(path: Path, as_json: bool, as_stac: bool) -> None:
    model = geoclass.load_model(path)
    if as_stac:
        from geoclass.model.checkpoint import find_model_file
        from geoclass.products.stac import build_model_item

        file = find_model_file(path).absolute()
        echo(json.dumps(build_model_item(model.contract, model.sha256, file, file.as_uri())))
    elif as_json:
        data = {"arch": model.arch, "sha256": model.sha256, "contract": model.contract.to_json()}
        echo(json.dumps(data))
    else:
        echo(geoclass.describe_model(model))


def _print(facts: dict[str, Any], as_json: bool) -> None:
    """Facts as JSON, or one per line; lists take a line for each item."""
    if as_json:
        echo(json.dumps(facts))
        return
    for key, value in facts.items():
        for item in value if isinstance(value, (list, tuple)) else [value]:
            text = "unknown" if item is None else str(item)
            echo(f"{key:<12}{' '.join(text.splitlines())}")


def describe_map(landcover: geoclass.LandCoverMap) -> dict[str, Any]:
    """How a map was made; options with default values are omitted."""
    made, grid = landcover.provenance, landcover.grid
    detail = landcover.detail
    return {
        "scene": made.scene,
        "date": made.date,
        "map": f"{grid.cols} columns × {grid.rows} rows, cells of {grid.stride} pixels",
        "detail": "none" if detail is None else f"cells of {detail.grid.stride} pixels",
        "bands": f"{', '.join(map(str, made.bands))} as red, green, blue",
        "radiometry": f"{made.radiometry.get('name')}: {made.radiometry.get('reason')}",
        "masked": made.masked_by or "none",
        "options": list_changes(made.options) or "defaults",
        "model": made.model,
        "precision": made.precision,
        "geoclass": made.version,
        "command": made.command,
        "fingerprint": made.fingerprint,
        "attribution": made.attribution or "none",
        "warnings": made.warnings or "none",
    }


def list_changes(options: Any) -> list[str]:
    """Settings that are not the defaults, as NAME=VALUE."""

    def flatten(values: Any) -> dict[str, Any]:
        flat: dict[str, Any] = {}
        for name, value in values.items():
            flat |= flatten(value) if isinstance(value, dict) else {name: value}
        return flat

    usual = json.loads(json.dumps(flatten(asdict(MapSettings()))))
    return [f"{k}={v}" for k, v in flatten(options).items() if usual.get(k) != v]


def describe_scene(scene: str, reading: MapRequest) -> dict[str, Any]:
    """The decisions of `geoclass map` with the shipped model."""
    plan = geoclass.plan_scene(scene, settings=reading.settings, bands=reading.bands)
    source, grid = plan.source, plan.grid
    return {
        "scene": source.name,
        "size": f"{source.width}×{source.height} pixels",
        "warp": list(plan.frame.notes),
        "map": f"{grid.width}×{grid.height} pixels of {grid.gsd_m:.1f} m",
        "cells": int(plan.inside.sum()),
        "detail": "none" if plan.detail is None else f"cells of {plan.detail.stride} pixels",
        "type": source.dtype,
        "bands": list(source.bands),
        "level": source.facts.level,
        "baseline": source.facts.baseline,
        "date": source.date,
        "masked": list(plan.preprocessing.masks.notes),
        "radiometry": f"{plan.radiometry.name}: {plan.radiometry.reason}",
        "warnings": list(plan.warnings),
    }


@command("preview")
@click.argument("landcover", metavar="MAP", type=FILE)
@output_option(FILE, "Output picture: .png, .svg or .pdf.")
@click.option("--scene", type=SCENE, help="Draw this scene beside the map.")
@click.option("--title", help="Title of the picture.  [default: the scene's name]")
def preview_command(landcover: Path, output: Path, scene: str | None, title: str | None) -> None:
    """Draw MAP, a geoclass land-cover map, with legend, scale bar, north arrow and date."""
    from geoclass.report.charts import check_picture
    from geoclass.scene.open.inputs import find_input

    check_not_input(output, landcover, *(find_input(scene).files if scene else ()))
    check_picture(output)
    geoclass.draw_preview(geoclass.read_map(landcover), output, scene, title=title)
    say(f"wrote {output}")


@command("report")
@click.argument("inputs", metavar="MAP…", type=MAP, nargs=-1, required=True)
@output_option(Kind("path", Path, "output", ".html"), "Output page: .html.")
@click.option(
    "--scene",
    "scenes",
    type=SCENE,
    multiple=True,
    help="Show this local scene behind its map; can be repeated.",
)
@click.option("--title", help="Title of the page.  [default: its contents]")
@overwrite
def report_command(
    inputs: Sequence[Path],
    output: Path,
    scenes: Sequence[str],
    title: str | None,
    overwrite: bool,
) -> None:
    """Write one HTML page of maps, change and monitor files for any browser.

    A folder, as written by `geoclass map SCENES… -o FOLDER/`, adds all maps in it. A merged map
    adds the maps it was merged from.
    The page needs no network. It contains the maps with legend and scenes, a slider and a swipe
    for dates, areas, transitions, confidence, provenance and caveats.
    """
    from geoclass.scene.open.inputs import find_input

    with offline():
        files = [file for scene in scenes for file in find_input(scene).files]
    check_output(output, *inputs, *files, suffix=".html", overwrite=overwrite)
    geoclass.write_report(inputs, output, scenes=scenes, title=title)
    say(f"wrote {output}, {output.stat().st_size / 1e6:.1f} MB")


@command("style")
@click.argument("path", metavar="FILE", type=FILE)
@click.option(
    "-o", "--output", "folder", type=FILE, help="Output folder.  [default: the folder of FILE]"
)
@click.option("--legend", type=FILE, help="JSON file with titles, colours and groups for classes.")
@overwrite
@quiet
def style_command(path: Path, folder: Path | None, legend: Path | None, overwrite: bool) -> None:
    """Write the styles of FILE for QGIS (.qml) and for GeoServer and others (.sld).

    FILE is a map, change, monitor or sample file that geoclass wrote. QGIS reads the styles inside
    FILE; use this command for other programs and layers. --legend changes names and colours.
    """
    for target in geoclass.write_styles(path, folder, legend=legend, overwrite=overwrite):
        say(f"wrote {target}")
