"""geoclass map"""

from __future__ import annotations

import math
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from tqdm import tqdm

from geoclass.cli import calm_options, file_options, options
from geoclass.cli.campaign_options import CampaignOptions, campaign_options
from geoclass.contract import Precision
from geoclass.errors import SettingsError
from geoclass.landcover import AreaRow
from geoclass.mapping.settings import MapSettings
from geoclass.products.formats import FileSettings, MapFormat, check_not_input, find_format

if TYPE_CHECKING:
    from geoclass.mapping.plan import MapPlan
    from geoclass.mapping.settings import CalmSettings
    from geoclass.scene.settings import FrameSettings, MaskSettings, RadiometrySettings

DEFAULTS = MapSettings()


@click.command("map")
@click.argument("scenes", metavar="SCENE...", type=options.SCENE, nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=click.STRING,
    required=True,
    help=(
        "Map to write, .gpkg, .tif, .parquet, .fgb or .geojson; "
        "or a folder for the maps of many scenes."
    ),
)
@file_options.map_format
@file_options.file_settings
@click.option("-m", "--model", type=options.FILE, help="Model file.  [default: the one that ships]")
@options.legend
@options.bands
@click.option(
    "--min-valid",
    "min_valid_share",
    type=float,
    default=DEFAULTS.min_valid_share,
    show_default=True,
    help="Least share of valid pixels of a cell that is classified.",
)
@click.option("--keep-unknown", is_flag=True, help="Give unknown cells their likeliest class.")
@options.stride
@calm_options.calm
@options.frame
@options.masks
@options.radiometry
@options.symmetries
@options.precision
@options.device
@options.batch_size
@click.option("--preview", type=options.FILE, help="Draw map and scene, too: .png, .svg or .pdf.")
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
    min_valid_share: float,
    keep_unknown: bool,
    stride: int | None,
    calm: CalmSettings,
    frame: FrameSettings,
    masks: MaskSettings,
    radiometry: RadiometrySettings,
    symmetries: bool,
    precision: Precision | None,
    device: str | None,
    batch_size: int | None,
    preview: Path | None,
    overwrite: bool,
    dry_run: bool,
    campaign: CampaignOptions,
    quiet: bool,
) -> None:
    """Label every 64×64-pixel tile of SCENE and write a land-cover map.

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
    """
    settings = MapSettings(
        min_valid_share=min_valid_share,
        keep_unknown=keep_unknown,
        symmetries=symmetries,
        precision=precision,
        stride=stride,
        calm=calm,
        frame=frame,
        masks=masks,
        radiometry=radiometry,
    )
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
    if is_folder(output):
        from geoclass.cli.campaign import map_scenes

        if dry_run or preview is not None:
            raise SettingsError("--dry-run and --preview are for one scene: give a file as output")
        map_scenes(scenes, Path(output), map_format or "gpkg", order, campaign)
        return
    campaign.refuse_any(output)
    if len(scenes) > 1:
        raise SettingsError(
            f"{len(scenes)} scenes cannot become one map {output}: "
            f"give a folder, such as {Path(output).stem}/"
        )
    map_one(scenes[0], Path(output), map_format, order, preview, dry_run=dry_run)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What was asked for, whether of one scene or of many."""

    settings: MapSettings
    form: FileSettings
    model: Path | None
    legend: Path | None
    bands: Sequence[int | str] | None
    device: str | None
    batch_size: int | None
    overwrite: bool
    quiet: bool


def is_folder(output: str) -> bool:
    """Whether maps are to go into a folder: it is there, or its name ends as one's does."""
    return output.endswith(("/", os.sep)) or Path(output).is_dir()


def type_command() -> str:
    """The command as typed, without secrets."""
    from geoclass.scene.dataset import hide_secrets

    return hide_secrets(shlex.join(["geoclass", *sys.argv[1:]]))


def map_one(
    scene: str,
    output: Path,
    map_format: MapFormat | None,
    order: Order,
    preview: Path | None,
    *,
    dry_run: bool,
) -> None:
    """Map one scene and print what there is to know."""
    from geoclass.mapping.estimate import estimate_bytes, estimate_work
    from geoclass.mapping.pipeline import run_map
    from geoclass.mapping.plan import plan_map
    from geoclass.model.checkpoint import load_model
    from geoclass.model.classifier import Classifier, describe_device
    from geoclass.products.files import check_placed, check_room, check_target, read_map, write_map

    def say(text: str) -> None:
        if not order.quiet:
            click.echo(text)

    map_format = map_format or find_format(output)
    check_not_input(output, order.model, order.legend)
    if preview is not None:
        from geoclass.report.charts import check_picture
        from geoclass.report.preview import draw_preview

        check_picture(preview)
    loaded = load_model(order.model, legend=order.legend)
    classifier = Classifier(
        loaded,
        device=order.device,
        batch_size=order.batch_size,
        symmetries=order.settings.symmetries,
        precision=order.settings.precision,
    )
    plan = plan_map(
        scene,
        loaded.contract,
        loaded.sha256,
        order.settings,
        bands=order.bands,
        command=type_command(),
        classifier=classifier,
    )
    check_not_input(output, *plan.source.files)
    if preview is not None:
        check_not_input(preview, output, order.model, *plan.source.files)
    mark = plan.provenance.fingerprint
    if check_target(output, map_format, mark, settings=order.form, overwrite=order.overwrite):
        say(f"{output} is up to date")
        if preview is not None and not dry_run:
            draw_preview(read_map(output), preview, scene)
            say(f"wrote {preview}")
        return
    check_placed(plan.grid, map_format, settings=order.form)
    wide = order.form.probabilities
    check_room(output, estimate_bytes(plan, map_format, probabilities=wide))
    for warning in plan.warnings:
        click.echo(f"Warning: {warning}", err=True)
    say(describe_plan(plan))
    say(f"model       {loaded.arch} {loaded.sha256[:12]}, {len(loaded.contract.legend)} classes")
    work = f"{classifier.precision}, batches of {classifier.batch_size}"
    say(f"device      {describe_device(classifier.device)}, {work}")
    if dry_run:
        estimate = estimate_work(plan, classifier, map_format, probabilities=wide)
        say(f"time        about {estimate.seconds:.0f} s")
        say(f"output      {output}, about {estimate.output_bytes / 1e6:.1f} MB")
        return
    # `disable=None` is tqdm's word for: only on a terminal.
    with tqdm(
        total=plan.grid.rows * plan.grid.cols,
        unit="tile",
        desc=plan.source.name,
        disable=order.quiet or None,
    ) as bar:
        landcover = run_map(plan, classifier, on_cells=bar.update)
    write_map(landcover, output, map_format, settings=order.form)
    say(format_areas(landcover.areas()))
    say(f"wrote {output}")
    if preview is not None:
        draw_preview(landcover, preview, scene)
        say(f"wrote {preview}")


def describe_plan(plan: MapPlan) -> str:
    """What was decided, a line each."""
    grid, source = plan.grid, plan.source
    pixels = f"pixels of {grid.gsd_m:.1f} m" if grid.crs else "pixels"
    size = f"{source.width}×{source.height} pixels"
    inside = int(plan.inside.sum())
    cells = f"{inside} ({grid.cols} columns × {grid.rows} rows)"
    lines = [
        f"scene       {source.name}, {size}, {source.date or 'date unknown'}",
        f"bands       {', '.join(map(str, source.bands))} as red, green, blue",
        f"radiometry  {plan.radiometry.name}: {plan.radiometry.reason}",
        *(f"warp        {note}" for note in plan.frame.notes),
        *(f"masks       {note}" for note in plan.looks.masks.notes),
        f"map         {grid.width}×{grid.height} {pixels}",
        f"cells       {cells}",
    ]
    return "\n".join(lines)


def format_areas(rows: Sequence[AreaRow]) -> str:
    """A table of class, cells, hectares and share."""
    lines = [f"{'class':<24}{'cells':>9}{'hectares':>14}{'share':>9}"]
    lines += [
        f"{row.title:<24}{row.cells:>9}{_format_ha(row.area_ha):>14}{row.share:>9.1%}"
        for row in rows
        if row.cells or row.group is None
    ]
    total_cells, total_ha = sum(r.cells for r in rows), sum(r.area_ha for r in rows)
    lines.append(f"{'all':<24}{total_cells:>9}{_format_ha(total_ha):>14}")
    return "\n".join(lines)


def _format_ha(area_ha: float) -> str:
    return "unknown" if math.isnan(area_ha) else f"{area_ha:,.1f}"
