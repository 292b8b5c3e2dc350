"""Many machines, by Ray: each takes scenes as long as there are some.

A task maps a whole scene, from reading to the finished file, so nothing but names and outcomes
travels. The model goes to each machine once. Where a machine is lost, its scenes are done again
on another.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from geoclass.campaign.jobs import CampaignSettings, Job, Outcome
from geoclass.campaign.run import Progress, SceneMapper, fail, make_classifier
from geoclass.errors import SettingsError
from geoclass.model.checkpoint import Model
from geoclass.scene.source import SceneSource

if TYPE_CHECKING:
    import ray

RETRIES = 3
"""Of a scene whose machine or process was lost."""

AHEAD = 2
"""Scenes handed out for each processor: one at work, one waiting, the others stay here."""

GPU_SHARE = 0.25
"""Of a GPU, for a task: it waits for pixels most of the time, so that four keep one at work."""

KNOCK_S = 5.0
"""For a cluster's head to answer."""


class ExecuteOnRay:
    """Does jobs on a Ray cluster; results are those of one process, cell for cell.

    All machines must see the scenes and the folder of the maps under the same names.
    """

    def __init__(self, address: str = "local") -> None:
        """`address` of a cluster, as Ray takes it; `local` starts one on this machine.

        Raises SettingsError where Ray is not installed.
        """
        try:
            import ray  # noqa: F401
        except ImportError as error:
            raise SettingsError("Ray is not installed: pip install 'geoclass[ray]'") from error
        self._address = address

    def __call__(
        self,
        jobs: Sequence[tuple[Job, SceneSource]],
        model: Model,
        campaign: CampaignSettings,
        progress: Progress,
    ) -> None:
        """Tell `progress` of outcomes as they come; a job that is lost too often has failed."""
        import ray

        self._connect(ray)
        try:
            there = ray.cluster_resources()
            gpus = GPU_SHARE if campaign.device != "cpu" and there.get("GPU", 0) else 0
            shared = ray.put(model)
            mapping = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(map_on_node)
            most = AHEAD * max(1, int(there.get("CPU", 1)))
            # The largest first, so that all machines end at about one time.
            waiting = sorted(jobs, key=lambda pair: pair[1].height * pair[1].width)
            running: dict[ray.ObjectRef[Outcome], Job] = {}
            while waiting or running:
                while waiting and len(running) < most:
                    job, source = waiting.pop()
                    task = mapping.options(name=f"map {job.output.name}")
                    running[task.remote(shared, campaign, job, source)] = job
                done, _ = ray.wait(list(running), num_returns=1)
                for reference in done:
                    outcome = _take(ray, reference, running.pop(reference))
                    progress.on_cells(outcome.cells)
                    progress.on_outcome(outcome)
        finally:
            ray.shutdown()  # ends what is still at work for us, too

    def _connect(self, ray: Any) -> None:
        try:
            knock(self._address)
            ray.init(
                address=self._address,
                logging_level="ERROR",
                log_to_driver=False,
            )
        except (OSError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise SettingsError(
                f"no Ray cluster at {self._address} ({reason}): "
                "start one with `ray start --head`, or give its address"
            ) from error


def knock(address: str) -> None:
    """OSError where nobody listens at HOST:PORT, of which Ray itself speaks after minutes."""
    place = address.removeprefix("ray://").partition("/")[0]
    host, _, port = place.rpartition(":")
    if "://" in place or not host or not port.isdecimal():
        return  # `auto`, `local` and what else Ray may know
    socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_S).close()


def _take(ray: Any, reference: Any, job: Job) -> Outcome:
    try:
        outcome: Outcome = ray.get(reference)
    except ray.exceptions.RayTaskError as error:  # before the scene was looked at
        raise SettingsError(f"Ray cannot map {job.output.name}: {error.cause}") from error
    except ray.exceptions.RayError as error:
        lost = RuntimeError(f"its process was lost {RETRIES + 1} times ({type(error).__name__})")
        return fail(job, lost)
    return outcome


_mappers: dict[str, SceneMapper] = {}
"""Of this process: Ray keeps processes of one campaign, and loading a model takes time."""


def map_on_node(model: Model, campaign: CampaignSettings, job: Job, source: SceneSource) -> Outcome:
    """Do a job in a process of Ray's, with a classifier of its own."""
    if model.sha256 not in _mappers:
        import torch

        torch.set_num_threads(1)  # a task has one processor
        classifier = make_classifier(model, campaign)
        _mappers[model.sha256] = SceneMapper(classifier, model.sha256, campaign)
    return _mappers[model.sha256].do(job, source)
