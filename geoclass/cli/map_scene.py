"""geoclass map"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from geoclass.cli import kinds, map_options, options
from geoclass.cli.map_options import CampaignOptions, campaign_options
from geoclass.cli.one_map import map_one, type_command
from geoclass.errors import SettingsError
from geoclass.files.writing import parse_target
from geoclass.mapping.settings import MapRequest, MapSettings
from geoclass.products.formats import FileSettings, MapFormat, find_format


@click.command("map")
@click.argument("scenes", metavar="SCENE...", type=kinds.SCENE, nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=kinds.RoleName("output", ".gpkg", ".tif", ".parquet", ".fgb", ".geojson"),
    required=True,
    help=(
        "Output map: .gpkg, .tif, .parquet, .fgb or .geojson; "
        "or a folder for many scenes; can be s3://, gs:// or az://BUCKET/…"
    ),
)
@map_options.map_format
@map_options.file_settings
@click.option("-m", "--model", type=kinds.FILE, help="Model file.  [default: the shipped model]")
@options.legend
@options.bands
@map_options.mapping
@options.device
@options.batch_size
@click.option("--preview", type=kinds.PICTURE, help="Also draw map and scene: .png, .svg or .pdf.")
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace existing files, whatever they contain, except maps that are up to date.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@campaign_options
@options.quiet
def command(
    scenes: tuple[str, ...],
    output: str,
    map_format: MapFormat | None,
    form: FileSettings,
    model: Path | None,
    legend: Path | None,
    bands: Sequence[int | str] | None,
    settings: MapSettings,
    device: str | None,
    batch_size: int | None,
    preview: Path | None,
    overwrite: bool,
    dry_run: bool,
    campaign: CampaignOptions,
    quiet: bool,
) -> None:
    """Classify every 64×64-pixel tile and smaller cells of SCENE and write a land-cover map.

    SCENE is a raster with red, green and blue bands: Sentinel-2 Level-1C or Level-2A (digital
    numbers, reflectance or true colour), or 8-bit values with EuroSAT's stretch. Give a file, a
    Sentinel-2 product (.SAFE or its zip), a STAC item, a URL, a subdataset name, or
    red=FILE,green=FILE,blue=FILE. Scenes in degrees or with other pixel sizes than 10 m are
    warped. The map is a GeoPackage with one polygon per cell or patch, or a cloud-optimised
    GeoTIFF with one pixel per cell; QGIS opens both with a style. GeoParquet, FlatGeobuf and
    GeoJSON are copies of the polygons for other programs.

    If the output is a folder, give any number of scenes: files, folders, patterns, @list.txt
    with one scene per line, STAC ItemCollections. Each scene gets a map of the same name. Maps
    that are up to date are skipped, so a stopped run resumes when you start it again. If the
    output for many scenes is one GeoPackage, their maps are merged into it, each place once.
    """
    from geoclass.campaign.scenes import find_scenes

    if form.stac:
        from geoclass.model.checkpoint import find_model_file

        form = replace(form, model_file=find_model_file(model))
    named = scenes if is_folder(output) else find_scenes(scenes)
    many = is_folder(output) or len(named) > 1 or is_merged(scenes, named, output, campaign)
    request = MapRequest(
        model=model,
        legend=legend,
        settings=settings,
        bands=None if bands is None else tuple(bands),
        device=device,
        batch_size=batch_size,
        map_format=map_format or ("gpkg" if many else find_format(parse_target(output))),
        form=form,
        redo=campaign.redo,
        overwrite=overwrite,
        command=type_command(),
    )
    if not many:
        campaign.refuse_any(output)
        target = parse_target(output)
        map_one(named[0], target, request, preview=preview, dry_run=dry_run, quiet=quiet)
        return
    from geoclass.cli.campaign import map_and_merge, map_scenes

    if dry_run or preview is not None:
        raise SettingsError("--dry-run and --preview are for one scene and one map of it")
    if is_folder(output):
        campaign.refuse_merging(output)
        map_scenes(scenes, parse_target(output), request, campaign, quiet=quiet)
    else:
        map_and_merge(named, Path(output), request, campaign, quiet=quiet)


def is_merged(
    scenes: Sequence[str], named: Sequence[str], output: str, campaign: CampaignOptions
) -> bool:
    """Whether one scene is but the first of many that a GeoPackage is to merge.

    What holds scenes, such as a folder or a list, may hold more of them tomorrow.
    """
    if not isinstance(parse_target(output), Path) or not output.lower().endswith(".gpkg"):
        return False
    wished = campaign.map_crs is not None or campaign.prefer != "confident"
    return wished or tuple(named) != tuple(dict.fromkeys(scenes))


def is_folder(output: str) -> bool:
    """Whether maps are to go into a folder: it is there, or its name ends as one's does."""
    return output.endswith(("/", os.sep)) or Path(output).is_dir()
