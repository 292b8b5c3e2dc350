"""Several processes, here or on many machines, each of which maps whole scenes.

A scene that kills its process (for want of memory, or by a fault of a library) is an outcome like
any other: another process takes its place.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import torch

from geoclass.campaign.jobs import Job, Outcome
from geoclass.campaign.run import Progress, SceneMapper, fail
from geoclass.errors import GeoclassError, SettingsError
from geoclass.machine import count_cores
from geoclass.mapping.job import make_classifier
from geoclass.mapping.plan import foretell_memory
from geoclass.mapping.settings import MapRequest
from geoclass.model.checkpoint import Model, load_model
from geoclass.scene.source import SceneSource

if TYPE_CHECKING:
    import ray


logger = logging.getLogger(__name__)

STOP_SECONDS = 10
"""A process that has not ended so long after it was asked to is killed."""


@dataclass(slots=True, kw_only=True)
class _Worker:
    """A process, seen from the one that started it."""

    process: BaseProcess
    pipe: Connection
    job: Job | None = None
    """What it is at work on."""


class ExecuteInProcesses:
    """Does jobs in several processes, the largest first, so that all end at about one time."""

    def __init__(self, workers: int, memory_bytes: int | None = None) -> None:
        """Raises SettingsError for fewer than one worker, or too little memory for one."""
        if workers < 1:
            raise SettingsError(f"the number of workers must be at least 1, got {workers}")
        limit_workers(workers, memory_bytes)
        self._workers, self._memory_bytes = workers, memory_bytes

    def __call__(
        self,
        jobs: Sequence[tuple[Job, SceneSource]],
        model: Model,
        campaign: MapRequest,
        progress: Progress,
    ) -> None:
        """Tell `progress` of every outcome, and of cells as they are done.

        Raises SettingsError where the memory does not hold one worker with the largest map.
        """
        waiting = deque(sorted(jobs, key=lambda pair: -pair[1].height * pair[1].width))
        count = self._count_workers([source for _, source in jobs], model, campaign)
        workers = [_start(campaign, i, count) for i in range(count)]
        try:
            for worker in workers:
                _give(worker, waiting)
            while busy := [worker for worker in workers if worker.job is not None]:
                for ready in connection.wait([worker.pipe for worker in busy]):
                    worker = next(worker for worker in busy if worker.pipe is ready)
                    self._hear(worker, workers, waiting, campaign, progress)
        finally:
            _stop(workers)

    def _count_workers(
        self, sources: Sequence[SceneSource], model: Model, campaign: MapRequest
    ) -> int:
        """As many as there is work and memory for, whichever of the maps are made at once."""
        asked = min(self._workers, len(sources))
        if self._memory_bytes is None:
            return asked
        largest = max(foretell_memory(s, model.contract, campaign.settings) for s in sources)
        count = limit_workers(asked, self._memory_bytes, largest)
        if count < asked:
            logger.warning(
                "workers: %d instead of %d, as each may need %.1f GB of memory, of %.1f GB",
                count,
                asked,
                (BYTES_A_WORKER + largest) / 1e9,
                self._memory_bytes / 1e9,
            )
        return count

    def _hear(
        self,
        worker: _Worker,
        workers: list[_Worker],
        waiting: deque[tuple[Job, SceneSource]],
        campaign: MapRequest,
        progress: Progress,
    ) -> None:
        """Take one message of a worker; if it has died, put another in its place."""
        assert worker.job is not None  # it is only listened to while it is at work
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            message = _describe_death(worker)
            place = workers.index(worker)
            _stop([worker])
            workers[place] = worker = _start(campaign, place, len(workers))
        if isinstance(message, GeoclassError):
            raise message
        if isinstance(message, int):
            progress.on_cells(message)
            return
        worker.job = None
        _give(worker, waiting)
        progress.on_outcome(message)


def limit_workers(workers: int, memory_bytes: int | None, map_bytes: int = 0) -> int:
    """As many as fit into the memory, each with a map; SettingsError where not one does."""
    if memory_bytes is None:
        return workers
    needed = BYTES_A_WORKER + map_bytes
    fitting = memory_bytes // needed
    if fitting < 1:
        stride = " or a larger --stride or --detail" if map_bytes else ""
        raise SettingsError(
            f"a worker needs {needed / 1e9:.1f} GB of memory, got "
            f"{memory_bytes / 1e9:.1f} GB: give more{stride}"
        )
    return min(workers, fitting)


BYTES_A_WORKER = 1_400_000_000
"""Peak of a process that maps a scene of 10980×10980 pixels, without the map's cells."""


def _start(campaign: MapRequest, index: int, count: int) -> _Worker:
    context = get_context("spawn")  # a fork of a process with threads may hang
    ours, theirs = context.Pipe()
    process = context.Process(
        target=work, args=(theirs, campaign, index, count), name=f"geoclass-{index}", daemon=True
    )
    process.start()
    theirs.close()
    return _Worker(process=process, pipe=ours)


def _give(worker: _Worker, waiting: deque[tuple[Job, SceneSource]]) -> None:
    """The next job, if there is one; a worker that has died will be heard of."""
    if waiting:
        job, source = waiting.popleft()
        worker.job = job
        with contextlib.suppress(OSError):
            worker.pipe.send((job, source))


def _describe_death(worker: _Worker) -> Outcome:
    assert worker.job is not None  # see _hear
    worker.process.join(STOP_SECONDS)
    code = worker.process.exitcode
    how = f"by {signal.Signals(-code).name}" if code is not None and code < 0 else f"with {code}"
    return Outcome(
        job=worker.job,
        status="failed",
        reason=f"its process ended {how}, perhaps for want of memory: give fewer --workers",
    )


def _stop(workers: Sequence[_Worker]) -> None:
    """End processes: at once where they wait, after tidying up where they work."""
    for worker in workers:
        worker.pipe.close()
        if worker.job is not None:
            worker.process.terminate()
    for worker in workers:
        worker.process.join(STOP_SECONDS)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def work(pipe: Connection, campaign: MapRequest, index: int, count: int) -> None:
    """Do what comes through the pipe until it closes: the whole life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process decides
    signal.signal(signal.SIGTERM, _leave)
    _die_with_parent()
    # Before the pools of OpenMP are made.
    torch.set_num_threads(max(1, count_cores() // count))
    if campaign.device is None and torch.cuda.is_available():
        campaign = replace(campaign, device=f"cuda:{index % torch.cuda.device_count()}")
    try:
        model = load_model(campaign.model, legend=campaign.legend)
        mapper = SceneMapper(make_classifier(model, campaign), campaign)
    except GeoclassError as error:
        pipe.send(error)  # of the campaign, not of a scene
        return
    for job, source in _receive(pipe):
        pipe.send(mapper.do(job, source, pipe.send))


def _receive(pipe: Connection) -> Iterator[tuple[Job, SceneSource]]:
    while True:
        try:
            yield pipe.recv()
        except EOFError:
            return


def _leave(_signum: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(1)  # so that drafts are removed on the way out


def _die_with_parent() -> None:
    """End this process when the one that started it is gone, even if that was killed."""
    parent = parent_process()
    assert parent is not None  # workers are started by a process

    def watch() -> None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


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

    A task maps a whole scene, from reading to the finished file, so that nothing but names and
    outcomes travels. The model goes to each machine once. Where a machine is lost, its scenes are
    done again on another.

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
        campaign: MapRequest,
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


def map_on_node(model: Model, campaign: MapRequest, job: Job, source: SceneSource) -> Outcome:
    """Do a job in a process of Ray's, with a classifier of its own."""
    if model.sha256 not in _mappers:
        torch.set_num_threads(1)  # a task has one processor
        classifier = make_classifier(model, campaign)
        _mappers[model.sha256] = SceneMapper(classifier, campaign)
    return _mappers[model.sha256].do(job, source)
