"""A campaign: from scenes to maps and a summary."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from geoclass.campaign.jobs import (
    Job,
    Outcome,
    Shard,
    Summary,
    check_summary,
    choose_shard,
    make_folder,
    name_summary,
    write_summary,
)
from geoclass.campaign.scenes import find_scenes, name_maps
from geoclass.errors import Cancelled, GeoclassError, SceneError
from geoclass.files.storage import StoredPath
from geoclass.files.writing import Target, parse_target, sweep_drafts
from geoclass.landcover import LandCoverMap
from geoclass.mapping.job import is_up_to_date, make_classifier, map_job, open_job
from geoclass.mapping.plan import check_settings
from geoclass.mapping.settings import MapRequest, MapSettings
from geoclass.model.checkpoint import Model, load_model
from geoclass.model.classifier import Classifier
from geoclass.outside import redact
from geoclass.products.files import check_form
from geoclass.scene.georeference.place import find_repeated, group_adjacent
from geoclass.scene.open.guard import is_remote
from geoclass.scene.open.source import SceneSource, is_unchanged
from geoclass.scene.radiometry.conversion import find_shared_haze
from geoclass.scene.read.pixels import read_dark

MAX_CHECKS = 8
"""Parallel checks of maps in storage, where each takes several requests."""

Result = TypeVar("Result")

Opened = Mapping[Job, SceneSource | Outcome]
"""Jobs with their opened scenes, or with the outcome if opening failed."""

Pending = Sequence[tuple[Job, SceneSource]]


def attempt(job: Job, work: Callable[..., Result], *args: Any) -> Result | Outcome:
    """Call `work`; an error becomes the outcome of the job."""
    started = time.perf_counter()
    try:
        return work(*args)
    except Cancelled:  # stops the campaign
        raise
    except Exception as error:
        return fail(job, error, started)


def fail(job: Job, error: Exception, started: float | None = None) -> Outcome:
    """The outcome of a failed job; `started` is of `time.perf_counter`."""
    reason = redact(" ".join(str(error).split()))
    if not isinstance(error, GeoclassError):  # a bug
        reason = f"unexpected {type(error).__name__}: {reason}"
    seconds = 0.0 if started is None else time.perf_counter() - started
    return Outcome(job=job, status="failed", reason=reason, seconds=seconds)


def check_jobs(
    opened: Opened, request: MapRequest, model: Model
) -> Iterator[tuple[Job, SceneSource | Outcome]]:
    """Each job in order, with its scene, or with its outcome if there is nothing to do."""

    def check(job: Job) -> SceneSource | Outcome:
        found = opened[job]
        if isinstance(found, Outcome):
            return found
        done = attempt(job, is_up_to_date, found, job.output, request, model)
        if isinstance(done, Outcome):
            return done
        return Outcome(job=job, status="up to date") if done else found

    stored = any(isinstance(job.output, StoredPath) for job in opened)
    threads = ThreadPoolExecutor(MAX_CHECKS if stored else 1)
    try:
        yield from zip(opened, threads.map(check, opened), strict=True)
    finally:
        threads.shutdown(cancel_futures=True)


def join_adjacent(opened: Opened, settings: MapSettings) -> dict[Job, SceneSource | Outcome]:
    """Add to each local scene the connected scenes of the same day, if haze is to be estimated."""
    joined = dict(opened)
    if settings.radiometry.haze != "auto" or settings.radiometry.scale is not None:
        return joined
    by_day: dict[tuple[str, str], list[tuple[Job, SceneSource]]] = {}
    for job, source in opened.items():
        if isinstance(source, SceneSource) and source.date and not is_remote(source.dataset):
            by_day.setdefault((source.date, source.dtype), []).append((job, source))
    for scenes in by_day.values():
        for group in group_adjacent([source for _, source in scenes], settings.frame):
            for i in group:
                job, source = scenes[i]
                others = tuple(scenes[other][1] for other in group if other != i)
                joined[job] = replace(source, adjacent=others)
    return joined


def note_repeated(opened: Opened, settings: MapSettings) -> dict[Job, str]:
    """What to say of scenes that show the ground of another one on the same day."""
    found = [(job, source) for job, source in opened.items() if isinstance(source, SceneSource)]
    repeated = find_repeated([source for _, source in found], settings.frame)
    return {
        found[i][0]: (
            f"it shows the ground of {found[first][1].name} on the same day, {found[i][1].date}; "
            "geoclass monitor, and map with one .gpkg for all scenes, take both maps as one"
        )
        for i, first in repeated.items()
    }


def share_haze(pending: Pending, settings: MapSettings) -> list[tuple[Job, SceneSource]]:
    """Set the common haze of each scene and its adjacent scenes."""
    dark: dict[str, np.ndarray] = {}
    shared = []
    for job, source in pending:
        if not source.adjacent:
            shared.append((job, source))
            continue
        scenes = (source, *source.adjacent)
        for scene in scenes:
            if scene.dataset not in dark:
                dark[scene.dataset] = read_dark(
                    scene, settings.radiometry, settings.masks, force=settings.frame.force
                )
        haze = find_shared_haze([dark[scene.dataset] for scene in scenes])
        shared.append((job, replace(source, haze=haze)))
    return shared


def run_job(
    job: Job,
    source: SceneSource,
    request: MapRequest,
    classifier: Classifier,
    on_cells: Callable[[int], object] = lambda _: None,
) -> Outcome:
    """Map an opened scene; errors become the outcome."""
    started = time.perf_counter()

    def work() -> LandCoverMap:
        scene = source
        if not is_unchanged(source):  # the campaign may have opened it hours ago
            scene = open_job(job.scene, job.output, request)
            scene = replace(scene, haze=source.haze, adjacent=source.adjacent)
        return map_job(scene, job.output, request, classifier, on_cells=on_cells)

    landcover = attempt(job, work)
    if isinstance(landcover, Outcome):
        return landcover
    return Outcome(
        job=job,
        status="mapped",
        cells=landcover.class_id.size,
        seconds=time.perf_counter() - started,
        warnings=landcover.provenance.warnings,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Callbacks, called in the process that started the campaign."""

    on_start: Callable[[int], object] = lambda _: None
    """Gets the number of scenes."""
    on_outcome: Callable[[Outcome], object] = lambda _: None
    """Gets the outcome of each scene."""
    on_cells: Callable[[int], object] = lambda _: None
    """Gets the number of newly classified cells of any scene."""


Execute = Callable[[Pending, Model, MapRequest, Progress], None]
"""Runs jobs in any order and passes each outcome to `progress.on_outcome`."""


def execute_here(pending: Pending, model: Model, request: MapRequest, progress: Progress) -> None:
    """Run jobs one after the other in this process."""
    classifier = make_classifier(model, request)
    for job, source in pending:
        progress.on_outcome(run_job(job, source, request, classifier, progress.on_cells))


class _FailFast(Exception):  # noqa: N818
    """A scene failed, which ends the campaign."""


def run_campaign(
    inputs: Sequence[str],
    folder: Target | str,
    request: MapRequest | None = None,
    *,
    fail_fast: bool = False,
    shard: Shard | None = None,
    execute: Execute = execute_here,
    progress: Progress | None = None,
) -> Summary:
    """Map the scenes of `inputs` (see `find_scenes`) into `folder`, one map per scene.

    Scenes with an up-to-date map are skipped, so a stopped run resumes when started again. Scenes
    that cannot be mapped become failures in the summary; with `fail_fast` the first one ends the
    run. The summary is also written to `summary.json` and `failures.csv`. Raises GeoclassError if
    there is no scene, no model or no folder.
    """
    request, progress = request or MapRequest(), progress or Progress()
    folder, started = parse_target(folder), time.perf_counter()
    scenes = find_scenes(inputs)
    if not scenes:
        raise SceneError("no scene given: name files, folders, patterns or @list.txt")
    outputs = name_maps(scenes, folder, request.map_format)
    check_form(request.map_format, request.form)
    model = load_model(request.model, legend=request.legend)
    check_settings(request.settings, model.contract)
    make_folder(folder)
    check_summary(folder, shard, overwrite=request.overwrite)
    jobs = [Job(scene=s, output=o) for s, o in zip(scenes, outputs, strict=True)]
    opened = {job: attempt(job, open_job, job.scene, job.output, request) for job in jobs}
    opened = join_adjacent(opened, request.settings)
    notes = note_repeated(opened, request.settings)
    if shard is not None:
        sizes = [
            (job, 0 if isinstance(found, Outcome) else found.height * found.width)
            for job, found in opened.items()
        ]
        opened = {job: opened[job] for job in choose_shard(sizes, shard)}
    outcomes: dict[Job, Outcome] = {}

    def collect(outcome: Outcome) -> None:
        if outcome.status == "mapped" and (note := notes.get(outcome.job)):
            outcome = replace(outcome, warnings=(*outcome.warnings, note))
        outcomes[outcome.job] = outcome
        progress.on_outcome(outcome)
        if fail_fast and outcome.status == "failed":
            raise _FailFast

    try:
        progress.on_start(len(opened))
        pending = []
        sweep_drafts([*(job.output for job in opened), *name_summary(folder, shard)])
        for job, found in check_jobs(opened, request, model):
            if isinstance(found, Outcome):
                collect(found)
            else:
                pending.append((job, found))
        if pending:
            collecting = replace(progress, on_outcome=collect)
            execute(share_haze(pending, request.settings), model, request, collecting)
            sweep_drafts(job.output for job, _ in pending)  # of workers that died
    except _FailFast:
        pass
    finally:
        summary = Summary(
            outcomes=tuple(outcomes[job] for job in opened if job in outcomes),
            scenes=len(opened),
            model_sha256=model.sha256,
            command=request.command,
            seconds=time.perf_counter() - started,
        )
        write_summary(summary, folder, shard)
    return summary
