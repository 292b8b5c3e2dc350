"""geoclass map and demo"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from geoclass.cli.generated import Kind, Option, command, options_of
from geoclass.cli.options import PICTURE, SCENE, access, as_json, output_option, quiet
from geoclass.cli.progress import (
    command_line,
    echo,
    in_json,
    json_document,
    list_areas,
    open_bar,
    record,
    say,
    warn,
)
from geoclass.errors import OutputError, SceneError, SettingsError
from geoclass.files.writing import Target, parse_target, sweep_drafts
from geoclass.landcover import AreaRow
from geoclass.legend import MASKED, NODATA, UNKNOWN
from geoclass.mapping.settings import MapRequest
from geoclass.products.formats import (
    FORMAT_NAMES,
    MapFormat,
    Preference,
    check_not_input,
    find_format,
)

if TYPE_CHECKING:
    from geoclass.mapping.plan import MapPlan

OUTPUT = Kind("text", str, "output", ".gpkg", ".tif", ".parquet", ".fgb", ".geojson")

MAX_UNKNOWN = 0.5
"""Fraction of unknown cells above which scene and model do not match."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignOptions:
    """Many scenes: how they are mapped and merged."""

    workers: int = 1
    """Number of processes."""
    memory: int | None = None
    """Memory for all processes, such as 3GB."""
    fail_fast: bool = False
    """Stop at the first scene that fails."""
    shard: tuple[int, int] | None = None
    """Map only part I of N."""
    ray: str | None = None
    """Map on a Ray cluster; without an address, start one on this machine."""
    map_crs: str | None = None
    """CRS of a merged map. None: the most common one."""
    prefer: Preference = "confident"
    """Which overlapping cell a merged map keeps."""

    @property
    def merges(self) -> bool:
        """Whether an option for merging is given."""
        return self.map_crs is not None or self.prefer != "confident"


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

    if request.form.stac:
        from geoclass.model.checkpoint import find_model_file

        form = replace(request.form, model_file=find_model_file(request.model))
        request = replace(request, form=form)
    target = parse_target(output)
    into_folder = output.endswith(("/", os.sep)) or Path(output).is_dir()
    named = scenes if into_folder else find_scenes(scenes)
    # The map of a pattern or list of one scene is merged as well: a later run may add scenes.
    may_grow = campaign.merges or tuple(named) != tuple(dict.fromkeys(scenes))
    mergeable = isinstance(target, Path) and target.suffix.lower() == ".gpkg"
    many = into_folder or len(named) > 1 or (may_grow and mergeable)
    map_format = map_format or ("gpkg" if many else find_format(target))
    request = replace(request, map_format=map_format, command=command_line())
    if many and (dry_run or preview is not None):
        raise SettingsError("--dry-run and --preview are for one scene and one map of it")
    if not many and campaign != CampaignOptions():
        raise SettingsError(
            "--fail-fast, --workers, --memory, --shard, --ray, --map-crs and --prefer are for "
            f"many scenes: give a folder as output instead of {output}"
        )
    if into_folder and campaign.merges:
        raise SettingsError(
            "--map-crs and --prefer are for many scenes in one map: give a .gpkg as output "
            f"instead of the folder {output}"
        )
    with json_document(wanted=as_json):
        if not many:
            map_one(named[0], target, request, preview=preview, dry_run=dry_run)
            return
        from geoclass.cli.campaign import map_and_merge, map_scenes

        if into_folder:
            map_scenes(scenes, target, request, campaign)
        else:
            map_and_merge(named, Path(output), request, campaign)


def map_one(
    scene: str,
    output: Target,
    request: MapRequest,
    *,
    preview: Path | None = None,
    dry_run: bool = False,
) -> None:
    """Map one scene and print plan, areas and paths."""
    from geoclass.mapping.job import is_up_to_date, make_classifier, map_job, open_job, plan_job
    from geoclass.mapping.pipeline import estimate_work
    from geoclass.model.checkpoint import load_model
    from geoclass.model.device import describe_device
    from geoclass.products.files import read_map

    record(output=str(output), preview=None if preview is None else str(preview))
    check_not_input(output, request.model, request.legend)
    if preview is not None:
        from geoclass.report.charts import check_picture
        from geoclass.report.preview import draw_preview

        check_picture(preview)
    model = load_model(request.model, legend=request.legend)
    source = open_job(scene, output, request)
    if preview is not None:
        check_not_input(preview, output, request.model, *source.files)
    sweep_drafts([output])
    if is_up_to_date(source, output, request, model):
        say(f"{output} is up to date")
        record(status="up to date")
        readable = request.map_format in ("gpkg", "tif")
        if in_json() and readable:
            record(areas=list_areas(read_map(output).areas()))
        if preview is not None and not dry_run:
            if not readable:
                raise SettingsError(
                    f"{output} is up to date, but a preview cannot be drawn from a "
                    f"{request.map_format} file: give --redo to map the scene again"
                )
            draw_preview(read_map(output), preview, scene)
            say(f"wrote {preview}")
        return
    classifier = make_classifier(model, request)
    plan = plan_job(source, output, request, classifier)
    for warning in plan.warnings:
        warn(warning)
    record(scene=plan.source.name, date=plan.source.date, cells=int(plan.inside.sum()))
    say(describe_plan(plan))
    say(f"model       {model.arch} {model.sha256[:12]}, {len(model.contract.legend)} classes")
    work = f"{classifier.precision}, batches of {classifier.batch_size}"
    say(f"device      {describe_device(classifier.device)}, {work}")
    if dry_run:
        estimate = estimate_work(plan, classifier, request.map_format, request.form)
        record(status="dry run", seconds=estimate.seconds, bytes=estimate.output_bytes)
        say(f"time        about {estimate.seconds:.0f} s")
        say(f"output      {output}, about {estimate.output_bytes / 1e6:.1f} MB")
        return
    cells = plan.grid.rows * plan.grid.cols
    with open_bar(total=cells, unit="cell", desc=plan.source.name) as bar:
        landcover = map_job(plan, output, request, classifier, on_cells=bar.update)
    for note in landcover.provenance.masked_by or ():
        say(f"masked      {note}")
    areas = landcover.areas()
    record(status="mapped", areas=list_areas(areas))
    say(str(areas))
    warn_of_unknown(areas)
    say(f"wrote {output}")
    if preview is not None:
        draw_preview(landcover, preview, scene)
        say(f"wrote {preview}")


def warn_of_unknown(rows: Sequence[AreaRow]) -> None:
    """Warn if most cells are unknown to the model."""
    cells = {row.class_id: row.cells for row in rows}
    classified = sum(n for class_id, n in cells.items() if class_id not in (MASKED, NODATA))
    if cells.get(UNKNOWN, 0) > MAX_UNKNOWN * classified:
        warn(
            f"{cells[UNKNOWN] / classified:.0%} of the classified cells are out-of-distribution, "
            "unlike the tiles that the model was trained on, and therefore unknown: train the "
            "model on tiles of such scenes, or give --keep-unknown to label them anyway"
        )


def describe_plan(plan: MapPlan) -> str:
    """The plan of a map, one decision per line."""
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
        *(f"masks       {note}" for note in plan.preprocessing.masks.notes),
        f"map         {grid.width}×{grid.height} {pixels}",
        f"cells       {cells}",
    ]
    if (detail := plan.detail) is not None:
        size = f"{detail.cols} columns × {detail.rows} rows"
        lines.append(f"detail      cells of {detail.stride} pixels ({size})")
    return "\n".join(lines)


SAMPLE = "sample_scenes/havelland_20170216_l1c.tif"
"""In an installed package, or beside the package in its source."""


@command("demo")
@click.option(
    "-o",
    "--output",
    "folder",
    type=Kind("path", Path, "folder"),
    default=Path("geoclass_demo"),
    show_default=True,
    help="Output folder; results of an earlier demo in it are replaced.",
)
@click.pass_context
def demo_command(context: click.Context, folder: Path) -> None:
    """Map the sample scene, which comes with geoclass, and write a report.

    Prints each command before it runs.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {folder}: {error.strerror or error}") from error
    package = Path(__file__).parents[1]
    scene = next(filter(Path.is_file, (package / SAMPLE, package.parent / SAMPLE)), None)
    if scene is None:
        raise SceneError(f"the sample scene {SAMPLE} is missing: install geoclass again")
    landcover, report = str(folder / "landcover.gpkg"), str(folder / "report.html")
    steps = (
        ("map", str(scene), "-o", landcover, "--overwrite"),
        ("report", landcover, "--scene", str(scene), "-o", report, "--overwrite"),
    )
    program = context.find_root().command
    for step in steps:
        echo(f"$ geoclass {shlex.join(step)}")
        if code := program.main(step, "geoclass", standalone_mode=False):
            context.exit(code)
    echo(
        f"\nOpen {landcover} in QGIS: drag the file into the window.\n"
        f"Without QGIS, open {report} in a browser."
    )
