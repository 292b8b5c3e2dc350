"""Options of maps, and of many scenes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import click

from geoclass.cli import options
from geoclass.errors import SettingsError
from geoclass.mapping.settings import CalmSettings, Detail, MapSettings
from geoclass.products.formats import FORMAT_NAMES, PREFERENCES, FileSettings, MapFormat, Preference

_CALM_OPTIONS = (
    click.option(
        "--min-area",
        "min_area_ha",
        type=float,
        metavar="HA",
        help="Merge patches smaller than this into their largest neighbour.",
    ),
    click.option(
        "--smooth",
        type=float,
        metavar="STRENGTH",
        help="Smooth neighbouring probabilities (empirical Bayes, as in sits); try 20.",
    ),
    click.option(
        "--smooth-window",
        type=int,
        default=CalmSettings().smooth_window,
        show_default=True,
        metavar="CELLS",
        help="Window size for --smooth.",
    ),
)


def calm(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of `CalmSettings`, which reach the command as one argument, `calm`."""
    return options.gather(command, "calm", CalmSettings, _CALM_OPTIONS)


def parse_format(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> MapFormat | None:
    """The format that goes by a name."""
    return None if value is None else FORMAT_NAMES[value]


map_format = click.option(
    "-f",
    "--format",
    "map_format",
    type=click.Choice(tuple(FORMAT_NAMES), case_sensitive=False),
    callback=parse_format,
    help="Output format; overrides the suffix.",
)


def parse_pairs(
    _ctx: click.Context, _param: click.Parameter, values: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """`compress=zstd` → (COMPRESS, zstd)."""
    pairs = [value.partition("=") for value in values]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise click.BadParameter(f"{name + equals + value!r} is not of the form NAME=VALUE")
    return tuple((name.upper(), value) for name, _, value in pairs)


_FILE_OPTIONS = (
    click.option(
        "--probabilities",
        is_flag=True,
        help="Add a probability column per class to polygon files; GeoTIFF always has such bands.",
    ),
    click.option(
        "--dissolve/--no-dissolve",
        default=None,
        help="Merge neighbouring cells of one class into one polygon.  "
        "[default: in a GeoPackage of more than 250,000 cells]",
    ),
    click.option(
        "--co",
        "creation",
        metavar="NAME=VALUE",
        multiple=True,
        callback=parse_pairs,
        help="Creation option of GDAL's COG driver, for GeoTIFF; can be repeated.",
    ),
    click.option("--stac", is_flag=True, help="Also write STAC items of map and model."),
)


def file_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of `FileSettings`, which reach the command as one argument, `form`."""
    return options.gather(command, "form", FileSettings, _FILE_OPTIONS)


def parse_detail(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Detail:
    """`none`, or pixels."""
    if value is None:
        return None
    if value == "none":
        return "none"
    try:
        return int(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither none nor a number of pixels") from None


stride = click.option(
    "--stride",
    type=int,
    metavar="PIXELS",
    help="Cell size: 64, 32, 16, 8 or 4; the run time is about the same.  [default: 64, a tile]",
)
detail = click.option(
    "--detail",
    metavar="PIXELS|none",
    callback=parse_detail,
    help="Size of the smaller cells stored with the map.  [default: 4, 8 or 16, by map size]",
)

_MAP_OPTIONS = (
    click.option(
        "--min-valid",
        "min_valid_share",
        type=float,
        default=MapSettings().min_valid_share,
        show_default=True,
        help="Minimum valid fraction of a cell to be classified.",
    ),
    click.option("--keep-unknown", is_flag=True, help="Give unknown cells their top-1 class."),
    stride,
    detail,
    calm,
    options.frame,
    options.masks,
    options.radiometry,
    options.symmetries,
    options.precision,
)


def mapping(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of `MapSettings`, which reach the command as one argument, `settings`."""
    return options.gather(command, "settings", MapSettings, _MAP_OPTIONS)


def reading(command: Callable[..., Any]) -> Callable[..., Any]:
    """Those options of `MapSettings` that say how a scene is read, as `settings`, too."""
    ways = (options.frame, options.masks, options.radiometry)
    return options.gather(command, "settings", MapSettings, ways)


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignOptions:
    """How many scenes are worked through."""

    redo: bool = False
    fail_fast: bool = False
    workers: int = 1
    memory: int | None = None
    shard: tuple[int, int] | None = None
    ray: str | None = None
    """Address of a Ray cluster; `local`: one that is started here."""
    map_crs: str | None = None
    prefer: Preference = "confident"

    def refuse_any(self, output: str) -> None:
        """SettingsError where one that a single map cannot have was given for it."""
        if replace(self, redo=False) != CampaignOptions():
            raise SettingsError(
                "--fail-fast, --workers, --memory, --shard, --ray, --map-crs and --prefer are for "
                f"many scenes: give a folder as output instead of {output}"
            )

    def refuse_merging(self, output: str) -> None:
        """SettingsError where maps that stay apart were to be merged."""
        if self.map_crs is not None or self.prefer != "confident":
            raise SettingsError(
                "--map-crs and --prefer are for many scenes in one map: give a .gpkg as output "
                f"instead of the folder {output}"
            )


def parse_bytes(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """`3GB`, `800 MB`, `3G` or a plain number of bytes."""
    if value is None:
        return None
    units = {"": 1.0}
    for power, letter in enumerate("kmgt", start=1):
        units |= dict.fromkeys((letter, f"{letter}b"), 1000**power) | {f"{letter}ib": 1024**power}
    found = re.fullmatch(r"([0-9.]+)\s*([a-z]*)", value.strip().lower())
    try:
        number, unit = found.groups() if found else ("", "")
        return int(float(number) * units[unit])
    except (ValueError, KeyError, OverflowError):
        raise click.BadParameter(f"{value!r} is not of the form 3GB or 800MB") from None


def parse_shard(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> tuple[int, int] | None:
    """`2/5` → (2, 5)."""
    if value is None:
        return None
    found = re.fullmatch(r"([0-9]+)/([0-9]+)", value)
    if not found:
        raise click.BadParameter(f"{value!r} is not of the form I/N, such as 2/5")
    return int(found[1]), int(found[2])


_OPTIONS = (
    click.option("--redo", is_flag=True, help="Map again and replace older maps of geoclass."),
    click.option("--fail-fast", is_flag=True, help="Stop at the first scene that fails."),
    click.option("--workers", type=int, default=1, show_default=True, help="Number of processes."),
    click.option(
        "--memory",
        metavar="BYTES",
        callback=parse_bytes,
        help="Memory for all processes, such as 3GB.",
    ),
    click.option("--shard", metavar="I/N", callback=parse_shard, help="Map only part I of N."),
    click.option(
        "--ray",
        metavar="ADDRESS",
        is_flag=False,
        flag_value="local",
        help="Map on a Ray cluster; without an address, start one on this machine.",
    ),
    click.option("--map-crs", help="CRS of a merged map.  [default: the most common one]"),
    click.option(
        "--prefer",
        type=click.Choice(PREFERENCES),
        default="confident",
        show_default=True,
        help="Which overlapping cell a merged map keeps.",
    ),
)


def campaign_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options for many scenes, which reach the command as one argument, `campaign`."""
    return options.gather(command, "campaign", CampaignOptions, _OPTIONS)
