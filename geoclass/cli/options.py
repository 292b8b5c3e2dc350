"""Options that several commands share, each defined once."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args

import click

from geoclass.cli.kinds import CRS, EXTENT, FILE, SCENE, RoleName, SceneName
from geoclass.contract import Precision
from geoclass.errors import OutputError, SettingsError
from geoclass.outside import DRIVERS_VARIABLE, TIMEOUT_VARIABLE, USUAL_TIMEOUT_S
from geoclass.scene.settings import (
    HAZES,
    PROFILES,
    RESAMPLINGS,
    Bounds,
    FrameSettings,
    Haze,
    MaskSettings,
    RadiometrySettings,
)

quiet = click.option(
    "-q", "--quiet", is_flag=True, help="Print only warnings and errors; no progress bar."
)
device = click.option(
    "--device", help="Device: cpu, cuda, cuda:1 …  [default: cuda if available, else cpu]"
)
batch_size = click.option(
    "--batch-size", type=int, help="Tiles per batch.  [default: depends on the device]"
)


legend = click.option(
    "--legend",
    type=FILE,
    help="JSON file with titles, colours and groups for classes; see docs/index.md.",
)
lists = click.option(
    "--lists",
    type=(FILE, FILE, FILE),
    metavar="TRAIN VALIDATION TEST",
    help="Three text files, one tile file name per line, instead of a random split.",
)


def parse_numbers(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> list[int] | None:
    """`3,2,1` → [3, 2, 1]."""
    if value is None:
        return None
    try:
        return [int(part) for part in value.split(",")]
    except ValueError:
        raise click.BadParameter(f"{value!r} is not of the form 3,2,1") from None


_BAND_OPTIONS = (
    click.option(
        "-b",
        "--bidx",
        "numbers",
        metavar="R,G,B",
        callback=parse_numbers,
        help="Numbers of the red, green and blue bands, such as 3,2,1.",
    ),
    click.option(
        "--bands", "names", metavar="R,G,B", help="Names of the three bands, such as B04,B03,B02."
    ),
)


def bands(command: Callable[..., Any]) -> Callable[..., Any]:
    """Numbers or names of three bands, which reach the command as one argument, `bands`."""

    @functools.wraps(command)
    def collect(*args: Any, **kwargs: Any) -> Any:
        numbers, names = kwargs.pop("numbers"), kwargs.pop("names")
        if numbers is not None and names is not None:
            raise SettingsError("both -b and --bands given: give one")
        chosen = names.split(",") if names is not None else numbers
        return command(*args, bands=chosen, **kwargs)

    for option in reversed(_BAND_OPTIONS):
        collect = option(collect)
    return collect


def parse_box(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Bounds | None:
    """`9.1,46.2,9.4,46.5` → four numbers; blanks will do for commas."""
    if value is None:
        return None
    try:
        west, south, east, north = map(float, value.replace(",", " ").split())
    except ValueError:
        raise click.BadParameter(f"{value!r} is not of the form W,S,E,N") from None
    return west, south, east, north


def parse_resolution(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> float | Literal["native"] | None:
    """`native`, or metres."""
    if value is None:
        return None
    if value == "native":
        return "native"
    try:
        return float(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither native nor a number of metres") from None


def parse_names(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[str, ...]:
    """`cloud,snow` → (cloud, snow); `none` → ()."""
    return () if value == "none" else tuple(name.strip() for name in value.split(","))


def set_timeout(_ctx: click.Context, _param: click.Parameter, value: float | None) -> float | None:
    """Seconds into the environment, which the program's processes share."""
    if value is not None:
        os.environ[TIMEOUT_VARIABLE] = str(value)
    return value


def set_drivers(
    _ctx: click.Context, _param: click.Parameter, value: Sequence[str]
) -> Sequence[str]:
    """Names into the environment, which the program's processes share."""
    if value:
        os.environ[DRIVERS_VARIABLE] = ",".join(value)
    return value


_OUTSIDE_OPTIONS = (
    click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        expose_value=False,
        callback=set_timeout,
        help=f"Longest that a read over a network may take.  [default: {USUAL_TIMEOUT_S:g}]",
    ),
    click.option(
        "--driver",
        metavar="NAME",
        multiple=True,
        expose_value=False,
        callback=set_drivers,
        help="Open scenes by this driver of GDAL, too; may be repeated.",
    ),
)

FRAME = FrameSettings()

_FRAME_OPTIONS = (
    *_OUTSIDE_OPTIONS,
    click.option(
        "--resolution",
        metavar="native|METRES",
        callback=parse_resolution,
        help="Pixel size of the map.  [default: the model's if the scene's differs by over 10 %]",
    ),
    click.option(
        "-r",
        "--resampling",
        type=click.Choice(RESAMPLINGS),
        help="Resampling of warped scenes.  [default: average when coarsening, else cubic]",
    ),
    click.option(
        "--crs", type=CRS, help="CRS of a scene with no or a wrong CRS, such as EPSG:32632."
    ),
    click.option(
        "--bounds",
        metavar="W,S,E,N",
        callback=parse_box,
        help="Bounds of a scene without georeferencing, in its CRS.",
    ),
    click.option(
        "--bbox", type=EXTENT, metavar="W,S,E,N", callback=parse_box, help="Map only this box."
    ),
    click.option(
        "--bbox-crs",
        default=FRAME.bbox_crs,
        show_default="EPSG:4326, longitude before latitude",
        help="CRS of --bbox.",
    ),
    click.option(
        "--aoi",
        type=RoleName("polygons"),
        metavar="FILE",
        help="Map only the polygons in this vector file.",
    ),
    click.option(
        "--snap", is_flag=True, help="Align cells to multiples of their size, so that dates match."
    ),
    click.option(
        "--force", is_flag=True, help="Map scenes that are refused as too coarse or out of range."
    ),
)


_MASK_OPTIONS = (
    click.option("--nodata", type=float, help="Number that means: nothing here."),
    click.option(
        "--scl",
        type=SceneName("file"),
        metavar="FILE|BAND",
        help="Sen2Cor's scene classification.  [default: the product's own]",
    ),
    click.option(
        "--mask-classes",
        "masked_classes",
        metavar="NAMES",
        callback=parse_names,
        default=",".join(MaskSettings().masked_classes),
        show_default=True,
        help="What the scene classification masks; none: nothing.",
    ),
    click.option(
        "--mask",
        type=SCENE,
        metavar="FILE",
        help="Raster of which all but 0 is masked, or polygons.",
    ),
    click.option(
        "--mask-above",
        type=float,
        metavar="N",
        help="Of that raster, mask what is above N only; fractions need it.",
    ),
)


def parse_scale(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> tuple[float, float] | None:
    """`0,3000` → two numbers."""
    if value is None:
        return None
    try:
        low, high = map(float, value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not of the form LO,HI") from None
    return low, high


def parse_haze(_ctx: click.Context, _param: click.Parameter, value: str) -> Haze:
    """`auto`, `keep`, `remove`, or `225,225,442`."""
    known = next((haze for haze in HAZES if haze == value), None)
    if known is not None:
        return known
    try:
        red, green, blue = map(float, value.split(","))
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is neither {', '.join(HAZES)} nor of the form R,G,B"
        ) from None
    return red, green, blue


_RADIOMETRY_OPTIONS = (
    click.option(
        "--radiometry",
        "profile",
        type=click.Choice(PROFILES),
        default=RadiometrySettings().profile,
        show_default=True,
        help="What the numbers mean: Sentinel-2 L1C or L2A, true colour image, EuroSAT's 8 bits.",
    ),
    click.option(
        "--scale", metavar="LO,HI", callback=parse_scale, help="Numbers to be black and white."
    ),
    click.option(
        "--quantification",
        type=float,
        metavar="N",
        help="Number that stands for a reflectance of 1: 10000, 1000, 255 …",
    ),
    click.option("--dn-offset", type=float, metavar="N", help="Subtract N from the numbers first."),
    click.option(
        "--haze",
        metavar=f"{'|'.join(HAZES)}|R,G,B",
        callback=parse_haze,
        default=RadiometrySettings().haze,
        show_default=True,
        help="Light of haze: by the darkest pixels, auto removing much of it, or as much as "
        "reflectance × 10000 says.",
    ),
)


def radiometry(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of `RadiometrySettings`, which reach the command as one argument, `radiometry`."""
    return gather(command, "radiometry", RadiometrySettings, _RADIOMETRY_OPTIONS)


def masks(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of `MaskSettings`, which reach the command as one argument, `masks`."""
    return gather(command, "masks", MaskSettings, _MASK_OPTIONS)


def frame(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of `FrameSettings`, which reach the command as one argument, `frame`."""
    return gather(command, "frame", FrameSettings, _FRAME_OPTIONS)


def gather(
    command: Callable[..., Any],
    name: str,
    settings: type[Any],
    decorators: Sequence[Callable[[Any], Any]],
) -> Callable[..., Any]:
    """Options, named as the fields of a dataclass, that reach a command as one of it."""

    @functools.wraps(command)
    def collect(*args: Any, **kwargs: Any) -> Any:
        named = [field.name for field in fields(settings) if field.name in kwargs]
        wishes = {field: kwargs.pop(field) for field in named}
        return command(*args, **{name: settings(**wishes)}, **kwargs)

    for option in reversed(decorators):
        collect = option(collect)
    return collect


symmetries = click.option(
    "--symmetries",
    is_flag=True,
    help="Test-time augmentation: average eight rotations and mirrors; takes eight times as long.",
)
precision = click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    help="Precision of the network.  [default: bf16 if the device is faster with it]",
)
skip_bad = click.option("--skip-bad", is_flag=True, help="Skip unusable images and list them.")


def list_skipped(reasons: Sequence[str]) -> None:
    """Say which images were left out, and why."""
    for reason in reasons:
        click.echo(f"left out: {reason}", err=True)
    if reasons:
        click.echo(f"Warning: {len(reasons)} left out", err=True)


def check_pictures(pictures: Sequence[Path | None], *inputs: Path | None) -> None:
    """Refuse pictures that could not be drawn in the end, or would replace what is read."""
    from geoclass.files.writing import check_folder
    from geoclass.learn.tile_files import check_outside
    from geoclass.products.formats import check_not_input
    from geoclass.report.charts import check_picture

    given = [picture for picture in pictures if picture is not None]
    for picture in given:
        check_picture(picture)
        check_folder(picture)
        check_not_input(picture, *inputs)
        for path in inputs:
            if path is not None:
                check_outside(picture, path)
    if len({picture.resolve() for picture in given}) < len(given):
        raise OutputError(f"two pictures are to be written to {given[0]}: give each its own name")
