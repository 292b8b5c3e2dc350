"""A campaign from its scenes to its summary."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from geoclass.campaign.haze import join_adjacent, share_haze
from geoclass.campaign.jobs import (
    CampaignSettings,
    Job,
    Outcome,
    Shard,
    Summary,
    check_summary,
    choose_shard,
    make_folder,
    name_summary,
    order_outcomes,
    write_summary,
)
from geoclass.campaign.scenes import find_scenes, name_maps
from geoclass.errors import Cancelled, GeoclassError, OutputError, SceneError
from geoclass.mapping.pipeline import estimate_bytes, run_map
from geoclass.mapping.plan import check_settings, plan_map
from geoclass.mapping.request import fingerprint_request
from geoclass.model.checkpoint import Model, load_model
from geoclass.model.classifier import Classifier
from geoclass.outside import redact
from geoclass.products.files import (
    check_companions,
    check_placed,
    check_room,
    read_request,
    write_map,
)
from geoclass.products.writing import StoredPath, Target, parse_target, sweep_drafts
from geoclass.scene.source import SceneSource, is_unchanged, open_scene


def open_job(job: Job, campaign: CampaignSettings) -> SceneSource | Outcome:
    """The scene, of which no pixel is read yet, or the failure where it cannot be opened."""
    started = time.perf_counter()
    try:
        source = open_scene(job.scene, campaign.bands)
        if is_read(job.output, source):
            raise OutputError(f"the map of {job.scene} would replace it: choose another folder")
    except Cancelled:
        raise
    except Exception as error:  # of one scene, whatever it is
        return fail(job, error, started)
    return source


def is_read(output: Target, source: SceneSource) -> bool:
    """Whether a file that is to be written is one that the scene is made of."""
    if isinstance(output, Path):
        return output.resolve() in source.files
    return str(output) in (
        part.get("path") for part in source.identity.get("files", [source.identity])
    )


def check_job(
    job: Job, source: SceneSource, campaign: CampaignSettings, model: Model
) -> Outcome | None:
    """The outcome of a job that needs, or may, not be done; None where it is to be done.

    A map that geoclass wrote is up to date where it was asked for in the same words: the same
    scene, untouched since, the same model and options.
    """
    started = time.perf_counter()
    try:
        there = job.output.exists()
        if not campaign.overwrite:
            check_companions(job.output, campaign.map_format, campaign.form)
        if not there:
            return None
        if isinstance(job.output, Path) and job.output.is_dir():
            raise OutputError(f"{job.output} is a folder: remove it, or choose another folder")
        request = read_request(job.output, campaign.map_format, campaign.form)
    except Exception as error:  # of one scene, whatever it is
        return fail(job, error, started)
    if request is None and campaign.overwrite:
        return None
    if request is None:
        reason = f"{job.output} exists and is no map of geoclass: give --overwrite, or move it"
        return fail(job, OutputError(reason), started)
    legend = model.contract.legend
    asked = fingerprint_request(source, model.sha256, legend, campaign.settings)
    form = campaign.form.fit(campaign.map_format)
    if campaign.redo or request != form.mark(asked):
        return None
    return Outcome(job=job, status="up to date")


CHECKS_AT_ONCE = 8
"""Of maps in storage, which takes some requests a map, answered from far away."""


def check_jobs(
    jobs: Sequence[Job],
    opened: Mapping[Job, SceneSource | Outcome],
    campaign: CampaignSettings,
    model: Model,
) -> Iterator[tuple[Job, SceneSource | Outcome]]:
    """Each job, in order, with its scene where it is to be done, else with its outcome."""

    def check(job: Job) -> SceneSource | Outcome:
        found = opened[job]
        if isinstance(found, Outcome):
            return found
        return check_job(job, found, campaign, model) or found

    stored = any(isinstance(job.output, StoredPath) for job in jobs)
    threads = ThreadPoolExecutor(CHECKS_AT_ONCE if stored else 1)
    try:
        yield from zip(jobs, threads.map(check, jobs), strict=True)
    finally:
        threads.shutdown(cancel_futures=True)  # where a failure, or someone, stops the campaign


def make_classifier(model: Model, campaign: CampaignSettings) -> Classifier:
    """As the campaign wants it, on its device; SettingsError for one that is not there."""
    return Classifier(
        model,
        device=campaign.device,
        batch_size=campaign.batch_size,
        symmetries=campaign.settings.symmetries,
        precision=campaign.settings.precision,
    )


class SceneMapper:
    """Does jobs one after the other, with one classifier."""

    def __init__(
        self, classifier: Classifier, model_sha256: str, campaign: CampaignSettings
    ) -> None:
        self._classifier, self._sha256, self._campaign = classifier, model_sha256, campaign

    def do(
        self,
        job: Job,
        source: SceneSource,
        on_cells: Callable[[int], object] = lambda _: None,
    ) -> Outcome:
        """Map the scene, opened already; whatever goes wrong is an outcome."""
        campaign, started = self._campaign, time.perf_counter()
        try:
            if not is_unchanged(source):  # since the campaign began, which may be hours ago
                source = open_scene(job.scene, campaign.bands)
            plan = plan_map(
                source,
                self._classifier.contract,
                self._sha256,
                campaign.settings,
                command=campaign.command,
                classifier=self._classifier,
            )
            check_placed(plan.grid, campaign.map_format, settings=campaign.form)
            needed = estimate_bytes(plan, campaign.map_format, campaign.form)
            check_room(job.output, needed)
            landcover = run_map(plan, self._classifier, on_cells=on_cells)
            write_map(landcover, job.output, campaign.map_format, settings=campaign.form)
        except Cancelled:  # the caller wants an end, of all scenes
            raise
        except Exception as error:
            return fail(job, error, started)
        return Outcome(
            job=job,
            status="mapped",
            cells=landcover.class_id.size,
            seconds=time.perf_counter() - started,
            warnings=plan.warnings,
        )


def fail(job: Job, error: Exception, started: float | None = None) -> Outcome:
    """The outcome of a job that ended in `error`; `started` by `time.perf_counter`, if known."""
    reason = redact(" ".join(str(error).split()))
    if not isinstance(error, GeoclassError):  # a fault of ours, or of a library
        reason = f"unexpected {type(error).__name__}: {reason}"
    seconds = 0.0 if started is None else time.perf_counter() - started
    return Outcome(job=job, status="failed", reason=reason, seconds=seconds)


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
        campaign: CampaignSettings,
        progress: Progress,
    ) -> None:
        """Tell `progress.on_outcome` of every job's outcome."""


def execute_here(
    jobs: Sequence[tuple[Job, SceneSource]],
    model: Model,
    campaign: CampaignSettings,
    progress: Progress,
) -> None:
    """One job after the other in this process."""
    mapper = SceneMapper(make_classifier(model, campaign), model.sha256, campaign)
    for job, source in jobs:
        progress.on_outcome(mapper.do(job, source, progress.on_cells))


class _Stopped(Exception):  # noqa: N818 - it is no error
    """A scene failed, and that was to be the end."""


def run_campaign(
    inputs: Sequence[str],
    folder: Target | str,
    campaign: CampaignSettings | None = None,
    *,
    shard: Shard | None = None,
    execute: Execute = execute_here,
    progress: Progress | None = None,
) -> Summary:
    """Map every scene that `inputs` mean (see `find_scenes`) into `folder`, a map each.

    A scene whose map is there and up to date is passed over, one that cannot be mapped becomes a
    failure in the summary, which is also written to `summary.json` and `failures.csv`. A run
    that was stopped, by whatever, goes on when it is started again. Raises GeoclassError where
    there is nothing to begin with: no scene, no model, no folder.
    """
    campaign, progress = campaign or CampaignSettings(), progress or Progress()
    folder, started = parse_target(folder), time.perf_counter()
    scenes = find_scenes(inputs)
    if not scenes:
        raise SceneError("no scene given: name files, folders, patterns or @list.txt")
    outputs = name_maps(scenes, folder, campaign.map_format)
    model = load_model(campaign.model, legend=campaign.legend)
    check_settings(campaign.settings, model.contract)
    make_folder(folder)
    check_summary(folder, shard, overwrite=campaign.overwrite)
    jobs = [Job(scene=s, output=o) for s, o in zip(scenes, outputs, strict=True)]
    opened = join_adjacent({job: open_job(job, campaign) for job in jobs}, campaign.settings)
    if shard is not None:
        jobs = choose_shard([(job, _count_pixels(found)) for job, found in opened.items()], shard)
    outcomes: dict[str, Outcome] = {}

    def collect(outcome: Outcome) -> None:
        outcomes[outcome.job.scene] = outcome
        progress.on_outcome(outcome)
        if campaign.fail_fast and outcome.status == "failed":
            raise _Stopped

    try:
        progress.on_start(len(jobs))
        pending = []
        sweep_drafts([*(job.output for job in jobs), *name_summary(folder, shard)])
        for job, found in check_jobs(jobs, opened, campaign, model):
            if isinstance(found, Outcome):
                collect(found)
            else:
                pending.append((job, found))
        if pending:
            pending = share_haze(pending, campaign.settings)
            tell = Progress(on_outcome=collect, on_cells=progress.on_cells)
            execute(pending, model, campaign, tell)
            # Of workers that died on the way.
            sweep_drafts(job.output for job, _ in pending)
    except _Stopped:
        pass
    finally:
        summary = Summary(
            outcomes=order_outcomes(outcomes, [job.scene for job in jobs]),
            scenes=len(jobs),
            model_sha256=model.sha256,
            command=campaign.command,
            seconds=time.perf_counter() - started,
        )
        write_summary(summary, folder, shard)
    return summary


def _count_pixels(found: SceneSource | Outcome) -> int:
    return 0 if isinstance(found, Outcome) else found.height * found.width
