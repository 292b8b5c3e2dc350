"""geoclass map"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from geoclass.cli.generated import Kind, Option, command, options_of
from geoclass.cli.one_map import CampaignOptions, map_one, type_command
from geoclass.cli.options import PICTURE, SCENE, access, as_json, output_option, quiet
from geoclass.cli.progress import json_document
from geoclass.errors import SettingsError
from geoclass.files.writing import parse_target
from geoclass.mapping.settings import MapRequest
from geoclass.products.formats import FORMAT_NAMES, MapFormat, find_format

OUTPUT = Kind("text", str, "output", ".gpkg", ".tif", ".parquet", ".fgb", ".geojson")


@command("map")
@click.argument("scenes", metavar="SCENE...", type=SCENE, nargs=-1, required=True)
@output_option(
    OUTPUT,
    "Output map: .gpkg, .tif, .parquet, .fgb or .geojson; or a folder for many scenes; can be "
    "s3://, gs:// or az://BUCKET/…",
)
@options_of(MapRequest, "request", hidden={"batch_size"})
@click.option(
    "-f",
    "--format",
    "map_format",
    cls=Option,
    group="Output files",
    type=click.Choice(tuple(FORMAT_NAMES), case_sensitive=False),
    callback=lambda _ctx, _param, value: FORMAT_NAMES.get(value),
    help="Output format; overrides the suffix.",
)
@access
@quiet
@click.option("--preview", type=PICTURE, help="Also draw map and scene: .png, .svg or .pdf.")
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@as_json
@options_of(CampaignOptions, "campaign")
def map_command(
    scenes: tuple[str, ...],
    output: str,
    map_format: MapFormat | None,
    request: MapRequest,
    preview: Path | None,
    dry_run: bool,
    as_json: bool,
    campaign: CampaignOptions,
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

    form = request.form
    if form.stac:
        from geoclass.model.checkpoint import find_model_file

        form = replace(form, model_file=find_model_file(request.model))
    named = scenes if is_folder(output) else find_scenes(scenes)
    many = is_folder(output) or len(named) > 1 or is_merged(scenes, named, output, campaign)
    request = replace(
        request,
        form=form,
        map_format=map_format or ("gpkg" if many else find_format(parse_target(output))),
        command=type_command(),
    )
    if not many:
        campaign.refuse_any(output)
        with json_document(wanted=as_json):
            map_one(named[0], parse_target(output), request, preview=preview, dry_run=dry_run)
        return
    from geoclass.cli.campaign import map_and_merge, map_scenes

    if dry_run or preview is not None:
        raise SettingsError("--dry-run and --preview are for one scene and one map of it")
    with json_document(wanted=as_json):
        if is_folder(output):
            campaign.refuse_merging(output)
            map_scenes(scenes, parse_target(output), request, campaign)
        else:
            map_and_merge(named, Path(output), request, campaign)


def is_merged(
    scenes: Sequence[str], named: Sequence[str], output: str, campaign: CampaignOptions
) -> bool:
    """Whether one scene is only the first of many that are merged into a GeoPackage.

    A folder or a list of scenes may contain more of them tomorrow.
    """
    if not isinstance(parse_target(output), Path) or not output.lower().endswith(".gpkg"):
        return False
    wished = campaign.map_crs is not None or campaign.prefer != "confident"
    return wished or tuple(named) != tuple(dict.fromkeys(scenes))


def is_folder(output: str) -> bool:
    """Whether maps go into a folder: it exists, or the name ends like a folder's."""
    return output.endswith(("/", os.sep)) or Path(output).is_dir()
