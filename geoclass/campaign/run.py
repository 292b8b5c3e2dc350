"""A campaign from its scenes to its summary."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from geoclass.campaign.jobs import (
    CampaignSettings,
    Job,
    Outcome,
    Shard,
    choose_shard,
    make_folder,
)
from geoclass.campaign.mapper import SceneMapper, check_jobs, make_classifier, open_job
from geoclass.campaign.scenes import find_scenes, name_maps
from geoclass.campaign.summary import (
    Summary,
    check_summary,
    name_summary,
    order_outcomes,
    write_summary,
)
from geoclass.errors import SceneError
from geoclass.mapping.plan import check_settings
from geoclass.model.checkpoint import Model, load_model
from geoclass.products.storage import Target, parse_target
from geoclass.products.writing import sweep_drafts
from geoclass.scene.source import SceneSource


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
    opened = {job: open_job(job, campaign) for job in jobs}
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
