"""A campaign from its scenes to its summary."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

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
from geoclass.scene.adjacent import find_repeated, find_shared_haze, group_adjacent, read_dark
from geoclass.scene.guard import is_remote
from geoclass.scene.source import SceneSource, is_unchanged

CHECKS_AT_ONCE = 8
"""Of maps in storage, which takes some requests a map, answered from far away."""

Done = TypeVar("Done")


def attempt(job: Job, work: Callable[..., Done], *args: Any) -> Done | Outcome:
    """What a piece of work at a job comes to; whatever goes wrong is the job's outcome."""
    started = time.perf_counter()
    try:
        return work(*args)
    except Cancelled:  # the caller wants an end, of all scenes
        raise
    except Exception as error:
        return fail(job, error, started)


def fail(job: Job, error: Exception, started: float | None = None) -> Outcome:
    """The outcome of a job that ended in `error`; `started` by `time.perf_counter`, if known."""
    reason = redact(" ".join(str(error).split()))
    if not isinstance(error, GeoclassError):  # a fault of ours, or of a library
        reason = f"unexpected {type(error).__name__}: {reason}"
    seconds = 0.0 if started is None else time.perf_counter() - started
    return Outcome(job=job, status="failed", reason=reason, seconds=seconds)


def check_jobs(
    opened: Mapping[Job, SceneSource | Outcome], request: MapRequest, model: Model
) -> Iterator[tuple[Job, SceneSource | Outcome]]:
    """Each job, in order, with its scene where it is to be done, else with its outcome."""

    def check(job: Job) -> SceneSource | Outcome:
        found = opened[job]
        if isinstance(found, Outcome):
            return found
        done = attempt(job, is_up_to_date, found, job.output, request, model)
        if isinstance(done, Outcome):
            return done
        return Outcome(job=job, status="up to date") if done else found

    stored = any(isinstance(job.output, StoredPath) for job in opened)
    threads = ThreadPoolExecutor(CHECKS_AT_ONCE if stored else 1)
    try:
        yield from zip(opened, threads.map(check, opened), strict=True)
    finally:
        threads.shutdown(cancel_futures=True)  # where a failure, or someone, stops the campaign


Opened = Mapping[Job, SceneSource | Outcome]


def join_adjacent(opened: Opened, settings: MapSettings) -> dict[Job, SceneSource | Outcome]:
    """The same scenes, each with the others of its day that it touches, or that those touch.

    Only where haze is to be found out; remote scenes are left alone, for their pixels are far away.
    """
    joined = dict(opened)
    if settings.radiometry.haze != "auto" or settings.radiometry.scale is not None:
        return joined
    by_day: dict[tuple[str, str], list[tuple[Job, SceneSource]]] = {}
    for job, source in opened.items():
        if isinstance(source, SceneSource) and source.date and not is_remote(source.dataset):
            by_day.setdefault((source.date, source.dtype), []).append((job, source))
    for scenes in by_day.values():
        for group in group_adjacent([source for _, source in scenes], settings.frame):
            for i in group if len(group) > 1 else ():
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


def share_haze(
    pending: Sequence[tuple[Job, SceneSource]], settings: MapSettings
) -> list[tuple[Job, SceneSource]]:
    """The scenes that are to be mapped, each with the haze of all that it was joined with."""
    known: dict[str, np.ndarray | None] = {}
    shared = []
    for job, source in pending:
        if not source.adjacent:
            shared.append((job, source))
            continue
        scenes = (source, *source.adjacent)
        for scene in scenes:
            if scene.dataset not in known:
                known[scene.dataset] = read_dark(
                    scene, settings.radiometry, settings.masks, force=settings.frame.force
                )
        haze = find_shared_haze([known[scene.dataset] for scene in scenes])
        shared.append((job, replace(source, haze=haze)))
    return shared


class SceneMapper:
    """Does jobs one after the other, with one classifier."""

    def __init__(self, classifier: Classifier, request: MapRequest) -> None:
        self._classifier, self._request = classifier, request

    def do(
        self,
        job: Job,
        source: SceneSource,
        on_cells: Callable[[int], object] = lambda _: None,
    ) -> Outcome:
        """Map the scene, opened already; whatever goes wrong is an outcome."""
        started = time.perf_counter()

        def work() -> LandCoverMap:
            scene = source
            if not is_unchanged(source):  # since the campaign began, which may be hours ago
                scene = open_job(job.scene, job.output, self._request)
            return map_job(scene, job.output, self._request, self._classifier, on_cells=on_cells)

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
    """Whom to tell what. Each is called in the process that started the campaign."""

    on_start: Callable[[int], object] = lambda _: None
    """How many scenes there are."""
    on_outcome: Callable[[Outcome], object] = lambda _: None
    """A scene is finished."""
    on_cells: Callable[[int], object] = lambda _: None
    """So many more cells are classified, of whichever scene."""


class Execute(Protocol):
    """Does jobs, in this process or elsewhere, in any order."""

    def __call__(
        self,
        jobs: Sequence[tuple[Job, SceneSource]],
        model: Model,
        request: MapRequest,
        progress: Progress,
        /,
    ) -> None:
        """Tell `progress.on_outcome` of every job's outcome."""


def execute_here(
    jobs: Sequence[tuple[Job, SceneSource]],
    model: Model,
    request: MapRequest,
    progress: Progress,
) -> None:
    """One job after the other in this process."""
    mapper = SceneMapper(make_classifier(model, request), request)
    for job, source in jobs:
        progress.on_outcome(mapper.do(job, source, progress.on_cells))


class _Stopped(Exception):  # noqa: N818 - it is no error
    """A scene failed, and that was to be the end."""


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
    """Map every scene that `inputs` mean (see `find_scenes`) into `folder`, a map each.

    A scene whose map is there and up to date is passed over, one that cannot be mapped becomes a
    failure in the summary, which is also written to `summary.json` and `failures.csv`; with
    `fail_fast` the first one is the end. A run that was stopped, by whatever, goes on when it is
    started again. Raises GeoclassError where there is nothing to begin with: no scene, no model,
    no folder.
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
        sizes = [(job, _count_pixels(found)) for job, found in opened.items()]
        opened = {job: opened[job] for job in choose_shard(sizes, shard)}
    outcomes: dict[Job, Outcome] = {}

    def collect(outcome: Outcome) -> None:
        if outcome.status == "mapped" and (note := notes.get(outcome.job)):
            outcome = replace(outcome, warnings=(*outcome.warnings, note))
        outcomes[outcome.job] = outcome
        progress.on_outcome(outcome)
        if fail_fast and outcome.status == "failed":
            raise _Stopped

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
            pending = share_haze(pending, request.settings)
            tell = Progress(on_outcome=collect, on_cells=progress.on_cells)
            execute(pending, model, request, tell)
            # Of workers that died on the way.
            sweep_drafts(job.output for job, _ in pending)
    except _Stopped:
        pass
    finally:
        summary = Summary(
            # As the scenes were named, whoever was finished first.
            outcomes=tuple(outcomes[job] for job in opened if job in outcomes),
            scenes=len(opened),
            model_sha256=model.sha256,
            command=request.command,
            seconds=time.perf_counter() - started,
        )
        write_summary(summary, folder, shard)
    return summary


def _count_pixels(found: SceneSource | Outcome) -> int:
    return 0 if isinstance(found, Outcome) else found.height * found.width
