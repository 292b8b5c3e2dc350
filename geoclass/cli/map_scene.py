"""geoclass map"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from geoclass.cli import map_options, options
from geoclass.cli.map_options import CampaignOptions, campaign_options
from geoclass.cli.one_map import Order, map_one
from geoclass.errors import SettingsError
from geoclass.mapping.settings import MapSettings
from geoclass.products.formats import FileSettings, MapFormat
from geoclass.products.writing import parse_target


@click.command("map")
@click.argument("scenes", metavar="SCENE...", type=options.SCENE, nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=options.RoleName("output", ".gpkg", ".tif", ".parquet", ".fgb", ".geojson"),
    required=True,
    help=(
        "Map to write, .gpkg, .tif, .parquet, .fgb or .geojson; "
        "or a folder for the maps of many scenes; also s3://BUCKET/…"
    ),
)
@map_options.map_format
@map_options.file_settings
@click.option("-m", "--model", type=options.FILE, help="Model file.  [default: shipped]")
@options.legend
@options.bands
@map_options.mapping
@options.device
@options.batch_size
@click.option(
    "--preview", type=options.PICTURE, help="Draw map and scene, too: .png, .svg or .pdf."
)
@click.option("--overwrite", is_flag=True, help="Replace the output, whatever it is.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
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
    """Label SCENE, every 64×64-pixel tile and smaller cells, and write a land-cover map.

    SCENE is a raster with red, green and blue bands: Sentinel-2 L1C or L2A, as numbers,
    reflectance or true colour, or 8-bit values stretched as EuroSAT's are. It is given as a
    file, a Sentinel-2 product (.SAFE or its zip), a STAC item, an address, the name of a
    subdataset, or red=FILE,green=FILE,blue=FILE. Scenes in degrees, or of other than 10 m
    pixels, are warped as they are read. The map is a GeoPackage with a polygon a cell, or a
    cloud-optimised GeoTIFF with a pixel a cell; both open styled in QGIS. GeoParquet,
    FlatGeobuf and GeoJSON are copies of the polygons for other programs.

    Where the output is a folder, SCENE may be many: files, folders of scenes, patterns,
    @list.txt with one a line, STAC ItemCollections. Each gets a map of its name; what is there
    and up to date is passed over, so that a run that was stopped goes on when it is started again.
    Where the output of many is one GeoPackage, their maps are merged in it, each place once.
    """
    if form.stac:
        from geoclass.model.checkpoint import find_model_file

        form = replace(form, model_file=find_model_file(model))
    order = Order(
        settings=settings,
        form=form,
        model=model,
        legend=legend,
        bands=bands,
        device=device,
        batch_size=batch_size,
        overwrite=overwrite,
        quiet=quiet,
    )
    from geoclass.campaign.scenes import find_scenes

    named = scenes if is_folder(output) else find_scenes(scenes)
    if is_folder(output) or len(named) > 1 or is_merged(scenes, named, output, campaign):
        from geoclass.cli.campaign import map_and_merge, map_scenes

        if dry_run or preview is not None:
            raise SettingsError("--dry-run and --preview are for one scene and one map of it")
        if is_folder(output):
            campaign.refuse_merging(output)
            map_scenes(scenes, parse_target(output), map_format or "gpkg", order, campaign)
        else:
            map_and_merge(named, Path(output), map_format, order, campaign)
        return
    campaign.refuse_any(output)
    map_one(named[0], parse_target(output), map_format, order, preview, dry_run=dry_run)


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
