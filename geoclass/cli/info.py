"""geoclass info"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from geoclass.cli import kinds, map_options, options
from geoclass.contract import SHIPPED
from geoclass.errors import SettingsError

if TYPE_CHECKING:
    from geoclass.landcover import Provenance
    from geoclass.mapping.settings import MapSettings
    from geoclass.model.checkpoint import Model


@click.command("info")
@click.argument("what", metavar="MODEL|MAP|SCENE", type=kinds.SCENE)
@options.bands
@map_options.reading
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.option("--stac", "as_stac", is_flag=True, help="Print a model as a STAC item.")
def command(
    what: str,
    bands: Sequence[int | str] | None,
    settings: MapSettings,
    as_json: bool,
    as_stac: bool,
) -> None:
    """Describe a file: a model's card, how a map was made, or how a scene would be read.

    `shipped` is the model in the package.
    """
    path = Path(what)
    if what == SHIPPED or path.suffix == ".safetensors" or _is_pickled(path):
        from geoclass.model.checkpoint import load_model  # which says why not, where it is pickled

        model = load_model(path)
        if as_stac:
            _print_item(model, path)
        else:
            _print_model(model, as_json)
        return
    if as_stac:
        raise SettingsError("--stac is for models: maps get an item by geoclass map --stac")
    from geoclass.errors import OutputError
    from geoclass.products.files import holds_map, read_map
    from geoclass.products.mosaic import is_mosaic

    try:
        provenance = read_map(path).provenance
    except OutputError:
        # A copy that is not read back, damaged, or merged.
        if holds_map(path) or (path.suffix == ".gpkg" and is_mosaic(path)):
            raise
        # No map, so perhaps a scene; its own error says more.
        _print_scene(what, bands, settings, as_json)
    else:
        _print_map(provenance, as_json)


def _is_pickled(path: Path) -> bool:
    """Whether a file is one that `torch.save` writes: a pickle, or a zip around one."""
    from geoclass.model.checkpoint import PICKLE_HEADS, ZIP_HEAD
    from geoclass.outside import BAD_ZIP

    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(4)
        if head == ZIP_HEAD:  # scenes come in zips, too
            with zipfile.ZipFile(path) as archive:
                return any(PurePosixPath(n).name == "data.pkl" for n in archive.namelist())
    except (OSError, ValueError, *BAD_ZIP):  # what reads it will say what is wrong
        return False
    return head.startswith(PICKLE_HEADS)


def _print_model(model: Model, as_json: bool) -> None:
    from geoclass.report.card import describe_model

    if as_json:
        data = {"arch": model.arch, "sha256": model.sha256, "contract": model.contract.to_json()}
        click.echo(json.dumps(data))
        return
    click.echo(describe_model(model))


def _print_item(model: Model, path: Path) -> None:
    from geoclass.model.checkpoint import find_model_file
    from geoclass.products.stac import build_model_item

    file = find_model_file(path).absolute()
    click.echo(json.dumps(build_model_item(model.contract, model.sha256, file, file.as_uri())))


def _print_map(provenance: Provenance, as_json: bool) -> None:
    data = provenance.to_json()
    if as_json:
        click.echo(json.dumps(data))
        return
    for key, value in data.items():
        click.echo(f"{key:<12}{json.dumps(value, ensure_ascii=False)}")


def _print_scene(
    scene: str, bands: Sequence[int | str] | None, settings: MapSettings, as_json: bool
) -> None:
    """What `geoclass map` would decide with the model that ships; its errors are the same."""
    from geoclass.mapping.job import plan_scene

    plan = plan_scene(scene, settings=settings, bands=bands)
    source, grid = plan.source, plan.grid
    data = {
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
        "masked": list(plan.looks.masks.notes),
        "radiometry": f"{plan.radiometry.name}: {plan.radiometry.reason}",
        "warnings": list(plan.warnings),
    }
    if as_json:
        click.echo(json.dumps(data))
        return
    for key, value in data.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        click.echo(f"{key:<12}{text}")
