"""geoclass map"""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from tqdm import tqdm

from geoclass.cli import options
from geoclass.landcover import AreaRow
from geoclass.mapping.settings import MapSettings
from geoclass.products.formats import MAP_FORMATS, MapFormat, check_not_input, find_format

if TYPE_CHECKING:
    from geoclass.mapping.plan import MapPlan
    from geoclass.scene.settings import FrameSettings, MaskSettings, RadiometrySettings

DEFAULTS = MapSettings()


@click.command("map")
@click.argument("scene", type=options.SCENE)
@click.option(
    "-o", "--output", type=options.FILE, required=True, help="Map to write: .gpkg or .tif."
)
@click.option(
    "-f",
    "--format",
    "map_format",
    type=click.Choice(MAP_FORMATS),
    help="Format, whatever the suffix.",
)
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
@options.frame
@options.masks
@options.radiometry
@options.symmetries
@options.device
@options.batch_size
@click.option("--preview", type=options.FILE, help="Draw map and scene, too: .png, .svg or .pdf.")
@click.option("--overwrite", is_flag=True, help="Replace the output, whatever it is.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@options.quiet
def command(
    scene: str,
    output: Path,
    map_format: MapFormat | None,
    model: Path | None,
    legend: Path | None,
    bands: Sequence[int | str] | None,
    min_valid_share: float,
    keep_unknown: bool,
    stride: int | None,
    frame: FrameSettings,
    masks: MaskSettings,
    radiometry: RadiometrySettings,
    symmetries: bool,
    device: str | None,
    batch_size: int | None,
    preview: Path | None,
    overwrite: bool,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Label every 64×64-pixel tile of SCENE and write a land-cover map.

    SCENE is a raster with red, green and blue bands: Sentinel-2 L1C or L2A, as numbers,
    reflectance or true colour, or 8-bit values stretched as EuroSAT's are. It is given as a
    file, a Sentinel-2 product (.SAFE or its zip), a STAC item, an address, the name of a
    subdataset, or red=FILE,green=FILE,blue=FILE. Scenes in degrees, or of other than 10 m
    pixels, are warped as they are read. The map is a GeoPackage with a polygon a cell, or a
    GeoTIFF with a pixel a cell; both open styled in QGIS.
    """
    from geoclass.mapping.estimate import estimate_bytes, estimate_work
    from geoclass.mapping.pipeline import run_map
    from geoclass.mapping.plan import plan_map
    from geoclass.model.checkpoint import load_model
    from geoclass.model.classifier import Classifier, describe_device
    from geoclass.products.files import check_placed, check_room, check_target, read_map, write_map
    from geoclass.report.charts import check_picture
    from geoclass.report.preview import draw_preview
    from geoclass.scene.dataset import hide_secrets

    def say(text: str) -> None:
        if not quiet:
            click.echo(text)

    map_format = map_format or find_format(output)
    check_not_input(output, model, legend)
    if preview is not None:
        check_picture(preview)
    settings = MapSettings(
        min_valid_share=min_valid_share,
        keep_unknown=keep_unknown,
        symmetries=symmetries,
        stride=stride,
        frame=frame,
        masks=masks,
        radiometry=radiometry,
    )
    loaded = load_model(model, legend=legend)
    classifier = Classifier(loaded, device=device, batch_size=batch_size, symmetries=symmetries)
    plan = plan_map(
        scene,
        loaded.contract,
        loaded.sha256,
        settings,
        bands=bands,
        command=hide_secrets(shlex.join(["geoclass", *sys.argv[1:]])),
        classifier=classifier,
    )
    check_not_input(output, *plan.source.files)
    if preview is not None:
        check_not_input(preview, output, model, *plan.source.files)
    if check_target(output, map_format, plan.provenance.fingerprint, overwrite=overwrite):
        say(f"{output} is up to date")
        if preview is not None and not dry_run:
            draw_preview(read_map(output), preview, scene)
            say(f"wrote {preview}")
        return
    check_placed(plan.grid, map_format)
    check_room(output, estimate_bytes(plan, map_format))
    for warning in plan.warnings:
        click.echo(f"Warning: {warning}", err=True)
    say(describe_plan(plan))
    say(f"model       {loaded.arch} {loaded.sha256[:12]}, {len(loaded.contract.legend)} classes")
    say(f"device      {describe_device(classifier.device)}, batches of {classifier.batch_size}")
    if dry_run:
        estimate = estimate_work(plan, classifier, map_format)
        say(f"time        about {estimate.seconds:.0f} s")
        say(f"output      {output}, about {estimate.output_bytes / 1e6:.1f} MB")
        return
    # `disable=None` is tqdm's word for: only on a terminal.
    with tqdm(
        total=plan.grid.rows * plan.grid.cols,
        unit="tile",
        desc=plan.source.name,
        disable=quiet or None,
    ) as bar:
        landcover = run_map(plan, classifier, on_cells=bar.update)
    write_map(landcover, output, map_format)
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
