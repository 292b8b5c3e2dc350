"""What change and monitor share: dated inputs, which may be maps or scenes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geoclass.cli import kinds, map_options, options
from geoclass.cli.progress import open_bar
from geoclass.mapping.settings import MapRequest, MapSettings
from geoclass.monitor.settings import AlignSettings, PairRate, SeriesSettings

if TYPE_CHECKING:
    from geoclass.model.classifier import Classifier
    from geoclass.monitor.align import DatedMap, LeftOut

DEFAULTS = SeriesSettings()


def parse_rates(
    _ctx: click.Context, _param: click.Parameter, values: Sequence[str]
) -> tuple[PairRate, ...]:
    """`forest:water=0.001` → a PairRate."""
    pairs = []
    for value in values:
        names, equals, rate = value.partition("=")
        old, colon, new = names.partition(":")
        try:
            if not (equals and colon):
                raise ValueError
            pairs.append(PairRate(old=old, new=new, rate=float(rate)))
        except ValueError:
            raise click.BadParameter(f"{value!r} is not of the form OLD:NEW=RATE") from None
    return tuple(pairs)


_SERIES_OPTIONS = (
    click.option(
        "--rate",
        type=float,
        default=DEFAULTS.rate,
        show_default=True,
        help="Changes of class a year and cell, believed before anything is seen.",
    ),
    click.option(
        "--rate-of",
        "pairs",
        multiple=True,
        metavar="OLD:NEW=RATE",
        callback=parse_rates,
        help="Another rate for two classes or groups.",
    ),
    click.option(
        "--doubt",
        type=float,
        default=DEFAULTS.doubt,
        show_default=True,
        help="Share of what the network says that is spread as validation errs.",
    ),
    click.option(
        "--error-days",
        type=float,
        default=DEFAULTS.error_days,
        show_default=True,
        help="How long errors last: dates closer together say little new.",
    ),
)
_ALIGN_OPTIONS = (
    click.option(
        "--allow-mismatch",
        is_flag=True,
        help="Compare maps of other models or radiometries all the same.",
    ),
    click.option(
        "--resample",
        is_flag=True,
        help="Where cells do not coincide, take the nearest cell.",
    ),
)
_MAP_OPTIONS = (
    map_options.stride,
    map_options.detail,
    options.frame,
    options.masks,
    options.radiometry,
)


def dated_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What commands that compare dates are told: days, and `series`, `align`, `mapping`, gathered.

    Further options that are named as their fields are gathered, too.
    """
    command = options.device(command)
    command = options.gather(command, "mapping", MapSettings, _MAP_OPTIONS)
    command = click.option(
        "-m", "--model", type=kinds.FILE, help="Model for scenes.  [default: shipped]"
    )(command)
    command = options.gather(command, "align", AlignSettings, _ALIGN_OPTIONS)
    command = options.gather(command, "series", SeriesSettings, _SERIES_OPTIONS)
    return click.option(
        "--date",
        "days",
        multiple=True,
        type=click.DateTime(["%Y-%m-%d"]),
        help="Day of an input; give it once for each, in their order.",
    )(command)


def read_dated(
    inputs: Sequence[str],
    days: Sequence[datetime],
    *,
    model: Path | None,
    settings: MapSettings,
    device: str | None,
    say: Callable[[str], object],
    quiet: bool,
    left_out: list[LeftOut] | None = None,
) -> list[DatedMap]:
    """Maps as they are, scenes mapped first; each with its day.

    A folder of maps, or a file that many were merged in, stands for all of them. Scenes that are
    there, but cannot be mapped, go to `left_out`; without it, they raise SceneError.
    """
    from geoclass.errors import SceneError, SettingsError
    from geoclass.mapping.job import map_job
    from geoclass.monitor.align import date_map
    from geoclass.products.files import read_map
    from geoclass.products.mosaic import find_maps

    if days and len(days) != len(inputs):
        raise SettingsError(
            f"{len(days)} dates were given for {len(inputs)} inputs: give --date once for each, "
            "or not at all"
        )
    given: list[date | None] = [day.date() for day in days] or [None] * len(inputs)
    maps, prepared = [], None
    with open_bar(quiet=quiet, total=len(inputs), unit="date", desc="dates", leave=False) as bar:
        for text, day in zip(inputs, given, strict=True):
            files = find_maps(text)
            maps += [date_map(read_map(file), day=day, file_name=file.name) for file in files]
            if not files:
                try:
                    prepared = prepared or _prepare(model, settings, device)
                    landcover = map_job(text, None, *prepared)
                except SceneError as error:
                    if left_out is None or not _is_there(text):
                        raise
                    left_out.append(_leave_out(text, day, error))
                else:
                    say(f"mapped {landcover.provenance.scene}")
                    maps.append(date_map(landcover, day=day, file_name=Path(text).name))
            bar.update()
    return maps


def _is_there(scene: str) -> bool:
    """Whether a scene that cannot be mapped is one at all; a name may be misspelt."""
    from geoclass.errors import SceneError
    from geoclass.scene.inputs import find_input

    try:
        find_input(scene)
    except SceneError:
        return os.path.exists(scene)  # noqa: PTH110 of whatever text
    return True


def _leave_out(scene: str, day: date | None, error: Exception) -> LeftOut:
    from geoclass.dates import find_day
    from geoclass.monitor.align import LeftOut
    from geoclass.outside import hide_secrets

    name = hide_secrets(scene).rstrip("/").rpartition("/")[2]
    return LeftOut(day=day or find_day(name), scene=name, reason=" ".join(str(error).split()))


def _prepare(
    model: Path | None, settings: MapSettings, device: str | None
) -> tuple[MapRequest, Classifier]:
    """What maps the scenes among the inputs, once for all of them."""
    from geoclass.mapping.job import make_classifier
    from geoclass.model.checkpoint import load_model

    # Cells that begin at whole multiples of their side match those of every other date.
    settings = replace(settings, frame=replace(settings.frame, snap=True))
    request = MapRequest(model=model, settings=settings, device=device)
    return request, make_classifier(load_model(model), request)
