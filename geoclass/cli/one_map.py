"""geoclass map SCENE -o FILE: options of maps, and one scene"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from geoclass.cli.progress import in_json, list_areas, open_bar, record, say, warn
from geoclass.errors import SettingsError
from geoclass.files.writing import Target, sweep_drafts
from geoclass.landcover import AreaRow
from geoclass.legend import MASKED, NODATA, UNKNOWN
from geoclass.mapping.settings import MapRequest
from geoclass.products.formats import Preference, check_not_input

if TYPE_CHECKING:
    from geoclass.grid import Grid
    from geoclass.mapping.plan import MapPlan


MUCH_UNKNOWN = 0.5
"""Fraction of the cells with data; above it, something is wrong with the scene or the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignOptions:
    """Many scenes: how they are worked through, and merged."""

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

    def refuse_any(self, output: str) -> None:
        """SettingsError where one was given for a single map."""
        if self != CampaignOptions():
            raise SettingsError(
                "--fail-fast, --workers, --memory, --shard, --ray, --map-crs and --prefer are for "
                f"many scenes: give a folder as output instead of {output}"
            )

    def refuse_merging(self, output: str) -> None:
        """SettingsError where maps in a folder were to be merged."""
        if self.map_crs is not None or self.prefer != "confident":
            raise SettingsError(
                "--map-crs and --prefer are for many scenes in one map: give a .gpkg as output "
                f"instead of the folder {output}"
            )


def type_command() -> str:
    """The command as typed, without secrets."""
    from geoclass.outside import hide_secrets

    return hide_secrets(shlex.join(["geoclass", *sys.argv[1:]]))


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
        if in_json() and request.map_format in ("gpkg", "tif"):  # the others are not read back
            record(areas=list_areas(read_map(output).areas()))
        if preview is not None and not dry_run:
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
    with open_bar(total=cells, unit="tile", desc=plan.source.name) as bar:
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
    looked_at = sum(n for class_id, n in cells.items() if class_id not in (MASKED, NODATA))
    if cells.get(UNKNOWN, 0) > MUCH_UNKNOWN * looked_at:
        warn(
            f"{cells[UNKNOWN] / looked_at:.0%} of the classified cells are out-of-distribution, "
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
        *(f"masks       {note}" for note in plan.looks.masks.notes),
        f"map         {grid.width}×{grid.height} {pixels}",
        f"cells       {cells}",
        *(describe_detail(detail) for detail in [plan.detail] if detail is not None),
    ]
    return "\n".join(lines)


def describe_detail(detail: Grid) -> str:
    """The smaller cells that are stored with a map."""
    return (
        f"detail      cells of {detail.stride} pixels ({detail.cols} columns × {detail.rows} rows)"
    )
