"""geoclass download, tiles and dataset"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

import geoclass
from geoclass.cli.generated import FILE, command, options_of
from geoclass.cli.options import SCENE, as_json, check_pictures, quiet, reading
from geoclass.cli.progress import echo, open_bar, say, warn
from geoclass.mapping.settings import MIN_TILE_SHARE, MapRequest

LISTED = 10


@command("download")
@click.argument("name", type=click.Choice(["eurosat"]))
@click.option(
    "-o",
    "--output",
    type=FILE,
    default=Path(),
    show_default="current folder",
    help="Folder for the download.",
)
@click.option("--url", help="Download the same file from another URL.")
@click.option(
    "--unpack", "unpacked", is_flag=True, help="Also unpack the zip; geoclass does not need this."
)
@quiet
def download_command(name: str, output: Path, url: str | None, unpacked: bool) -> None:
    """Download and verify the data set NAME; a stopped download resumes.

    eurosat is EuroSAT RGB, 27,000 JPEG tiles in 95 MB, from Zenodo record 7711810.
    """
    from geoclass.learn.download import SOURCES

    with open_bar(unit="B", unit_scale=True, desc=SOURCES[name].file) as bar:

        def show(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        path = geoclass.fetch_dataset(name, output, url=url, unpacked=unpacked, on_bytes=show)
    say(f"{path} is complete and has the published checksum")


@dataclass(frozen=True, slots=True, kw_only=True)
class TilesOptions:
    """Options: labels and output."""

    labels: Path
    """Polygons with a class: GeoPackage, GeoJSON, shapefile …"""
    output: Path
    """Output folder."""
    column: str = "class"
    """Column with the class of a polygon."""
    layer: str | None = None
    """Layer of the labels. None: the only one with the column."""
    min_share: float = MIN_TILE_SHARE
    """Minimum fraction of a tile that its class covers."""
    add: bool = False
    """Add to a folder with tiles of other scenes."""


@command("tiles")
@click.argument("scene", type=SCENE)
@options_of(TilesOptions, "options", flat=True)
@reading()
@quiet
def tiles_command(scene: str, options: dict[str, Any], reading: MapRequest) -> None:
    """Cut labelled training tiles from SCENE, for `geoclass train`.

    A tile gets the class whose polygons cover at least --min-share of it. Tiles with missing
    pixels, or without exactly one such class, are skipped. SCENE and its preprocessing are the
    same as for `geoclass map`. `places.csv` in the folder stores the places of the tiles, so
    that training can keep tiles of one place together. For several dates of a place, give --snap.
    """
    with open_bar(unit="tile") as bar:

        def on_plan(plan: geoclass.MapPlan) -> None:
            for warning in plan.warnings:
                warn(warning)
            bar.set_description(plan.source.name)
            bar.reset(plan.grid.rows * plan.grid.cols)

        cut = geoclass.cut_scene(
            scene,
            settings=reading.settings,
            bands=reading.bands,
            on_plan=on_plan,
            on_cells=bar.update,
            **options,
        )
    skipped = {
        "(skipped: several classes)": cut.mixed,
        "(skipped: partly labelled)": cut.partly,
        "(skipped: missing pixels)": cut.hidden,
    }
    for name, count in (cut.counts | skipped).items():
        say(f"{name:<24}{count:>8}")
    say(f"wrote {options['output']}")


@command("dataset")
@click.argument("data", type=FILE)
@click.option("--sheet", type=FILE, help="Draw the first ten tiles per class: .png, .svg …")
@as_json
def dataset_command(data: Path, sheet: Path | None, as_json: bool) -> None:
    """Check DATA, a zip or folder of class folders: classes, sizes, problems.

    The output lists everything that `geoclass train` would refuse: images that cannot be decoded
    or are not 64×64 pixels, class folders without images, an invalid legend. It also lists images
    outside class folders and duplicate images. The exit code is 0 even if there are problems.
    """
    check_pictures([sheet], data)
    found = geoclass.inspect_tiles(data)
    echo(json.dumps(found.to_json()) if as_json else format_inspection(found))
    if sheet is not None and found.samples:
        geoclass.draw_samples(found.samples, sheet)


def format_inspection(found: geoclass.Inspection) -> str:
    """Counts, then problems, at most ten lines of each kind."""
    lines = [f"images      {found.images} in {len(found.classes)} classes"]
    lines += [f"  {name:<22}{count:>7}" for name, count in found.classes.items()]
    sizes = ", ".join(f"{size} ({count})" for size, count in found.sizes.items())
    lines.append(f"sizes       {sizes or 'none could be decoded'}")
    lines.append(f"placed      {found.placed or 'none'}, by places.csv")
    groups = [" = ".join(group) for group in found.duplicates]
    for title, items in (
        ("unusable", list(found.unusable)),
        ("not used", list(found.unused)),
        ("duplicates", groups),
    ):
        lines.append(f"{title:<12}{len(items) or 'none'}")
        lines += [f"  {item}" for item in items[:LISTED]]
        if len(items) > LISTED:
            lines.append(f"  and {len(items) - LISTED} more; --json lists them all")
    return "\n".join(lines)
