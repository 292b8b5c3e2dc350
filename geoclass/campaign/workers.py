"""Execution in several processes or on a Ray cluster; each process maps whole scenes.

If a scene kills its process, for example by using too much memory, it has failed, and a new process
replaces the old one.
"""

import contextlib
import logging
import os
import signal
import socket
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, NoReturn

import torch

from geoclass.campaign.jobs import Job, Outcome
from geoclass.campaign.run import Pending, Progress, fail, run_job
from geoclass.errors import GeoclassError, SettingsError
from geoclass.machine import count_cores, share_freed_memory
from geoclass.mapping.job import make_classifier
from geoclass.mapping.plan import estimate_memory
from geoclass.mapping.settings import MapRequest
from geoclass.model.checkpoint import Model, load_model
from geoclass.model.classifier import Classifier
from geoclass.scene.open.source import SceneSource

logger = logging.getLogger(__name__)

STOP_SECONDS = 10
"""A process that does not end in this time is killed."""


@dataclass(slots=True, kw_only=True)
class _Worker:
    """A worker process and its current job."""

    process: BaseProcess
    pipe: Connection
    job: Job | None = None


class ExecuteInProcesses:
    """Runs jobs in several processes, the largest first, which balances their load."""

    def __init__(self, workers: int, memory_bytes: int | None = None) -> None:
        """Raises SettingsError for less than one worker or too little memory."""
        if workers < 1:
            raise SettingsError(f"the number of workers must be at least 1, got {workers}")
        if memory_bytes is not None:
            limit_workers(workers, memory_bytes)
        self._workers, self._memory_bytes = workers, memory_bytes

    def __call__(
        self, pending: Pending, model: Model, request: MapRequest, progress: Progress
    ) -> None:
        """Run jobs; SettingsError if the memory is too small for the largest map."""
        waiting = deque(sorted(pending, key=lambda pair: -pair[1].height * pair[1].width))
        count = self._count_workers([source for _, source in pending], model, request)
        workers = [_start(request, i, count) for i in range(count)]
        try:
            for worker in workers:
                _assign(worker, waiting)
            while busy := [w.pipe for w in workers if w.job is not None]:
                for pipe in connection.wait(busy):
                    i = next(i for i, worker in enumerate(workers) if worker.pipe is pipe)
                    worker = workers[i]
                    try:
                        message = worker.pipe.recv()
                    except (EOFError, OSError):  # it has died, and another takes its place
                        message = _describe_death(worker)
                        _stop([worker])
                        worker = workers[i] = _start(request, i, count)
                    if isinstance(message, GeoclassError):
                        raise message
                    if isinstance(message, int):
                        progress.on_cells(message)
                        continue
                    worker.job = None
                    _assign(worker, waiting)
                    progress.on_outcome(message)
        finally:
            _stop(workers)

    def _count_workers(
        self, sources: Sequence[SceneSource], model: Model, request: MapRequest
    ) -> int:
        """Number of workers, limited by the scenes and by memory for the largest map each."""
        wanted = min(self._workers, len(sources))
        if self._memory_bytes is None:
            return wanted
        largest = max(estimate_memory(s, model.contract, request.settings) for s in sources)
        count = limit_workers(wanted, self._memory_bytes, largest)
        if count < wanted:
            logger.warning(
                "workers: %d instead of %d, as each may need %.1f GB of memory, of %.1f GB",
                count,
                wanted,
                (WORKER_BYTES + largest) / 1e9,
                self._memory_bytes / 1e9,
            )
        return count


def limit_workers(workers: int, memory_bytes: int, map_bytes: int = 0) -> int:
    """Number of workers, each with a map, that fit into memory; SettingsError if none does."""
    needed = WORKER_BYTES + map_bytes
    fitting = memory_bytes // needed
    if fitting < 1:
        stride = " or a larger --stride or --detail" if map_bytes else ""
        raise SettingsError(
            f"a worker needs {needed / 1e9:.1f} GB of memory, got "
            f"{memory_bytes / 1e9:.1f} GB: give more{stride}"
        )
    return min(workers, fitting)


WORKER_BYTES = 1_400_000_000
"""Peak memory for a scene of 10980×10980 pixels, without the map's cells."""


def _start(request: MapRequest, index: int, count: int) -> _Worker:
    context = get_context("spawn")  # a fork of a process with threads may hang
    ours, theirs = context.Pipe()
    process = context.Process(
        target=work, args=(theirs, request, index, count), name=f"geoclass-{index}", daemon=True
    )
    process.start()
    theirs.close()
    return _Worker(process=process, pipe=ours)


def _assign(worker: _Worker, waiting: deque[tuple[Job, SceneSource]]) -> None:
    """Send the next job; the death of the worker is detected later."""
    if waiting:
        job, source = waiting.popleft()
        worker.job = job
        with contextlib.suppress(OSError):
            worker.pipe.send((job, source))


def _describe_death(worker: _Worker) -> Outcome:
    assert worker.job is not None
    worker.process.join(STOP_SECONDS)
    code = worker.process.exitcode
    how = f"by {signal.Signals(-code).name}" if code is not None and code < 0 else f"with {code}"
    return Outcome(
        job=worker.job,
        status="failed",
        reason=f"its process ended {how}, perhaps for lack of memory: give fewer --workers",
    )


def _stop(workers: Sequence[_Worker]) -> None:
    """End processes; those at work remove their drafts first."""
    for worker in workers:
        worker.pipe.close()
        if worker.job is not None:
            worker.process.terminate()
    for worker in workers:
        worker.process.join(STOP_SECONDS)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def work(pipe: Connection, request: MapRequest, index: int, count: int) -> None:
    """Main function of a worker: run jobs from the pipe until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    signal.signal(signal.SIGTERM, _leave)
    _die_with_parent()
    share_freed_memory()
    torch.set_num_threads(max(1, count_cores() // count))  # before OpenMP starts its threads
    if request.device is None and torch.cuda.is_available():
        request = replace(request, device=f"cuda:{index % torch.cuda.device_count()}")
    try:
        model = load_model(request.model, legend=request.legend)
        classifier = make_classifier(model, request)
    except GeoclassError as error:
        pipe.send(error)  # of the campaign, not of a scene
        return
    with contextlib.suppress(EOFError):
        while True:
            job, source = pipe.recv()
            pipe.send(run_job(job, source, request, classifier, pipe.send))


def _leave(_signum: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(1)  # so that drafts are removed


def _die_with_parent() -> None:
    """End this process when its parent ends, even if it was killed."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


RETRIES = 3
"""Retries of a scene whose machine or process was lost."""

TASKS_PER_CPU = 2
"""Submitted tasks per CPU: one running, one waiting."""

GPU_SHARE = 0.25
"""Fraction of a GPU per task: tasks mostly wait for pixels, so four share a GPU."""

CONNECT_TIMEOUT_S = 5.0


class ExecuteOnRay:
    """Runs jobs on a Ray cluster; the maps are equal to those of one process.

    A task maps a whole scene; only names and outcomes are transferred, and the model once per
    machine. Scenes of a lost machine are mapped again on another. All machines must see scenes and
    maps under the same names.
    """

    def __init__(self, address: str = "local") -> None:
        """`address` is Ray's; `local` starts a cluster on this machine.

        Raises SettingsError if Ray is not installed.
        """
        try:
            import ray  # noqa: F401
        except ImportError as error:
            raise SettingsError("Ray is not installed: pip install 'geoclass[ray]'") from error
        self._address = address

    def __call__(
        self, pending: Pending, model: Model, request: MapRequest, progress: Progress
    ) -> None:
        """Run jobs; a job that is lost too often has failed."""
        import ray

        self._connect(ray)
        try:
            resources = ray.cluster_resources()
            gpus = GPU_SHARE if request.device != "cpu" and resources.get("GPU", 0) else 0
            shared = ray.put(model)
            mapping = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(run_on_node)
            limit = TASKS_PER_CPU * max(1, int(resources.get("CPU", 1)))
            waiting = sorted(pending, key=lambda pair: pair[1].height * pair[1].width)
            running: dict[ray.ObjectRef[Outcome], Job] = {}
            while waiting or running:
                while waiting and len(running) < limit:
                    job, source = waiting.pop()
                    task = mapping.options(name=f"map {job.output.name}")
                    running[task.remote(shared, request, job, source)] = job
                done, _ = ray.wait(list(running), num_returns=1)
                for reference in done:
                    outcome = _get_outcome(ray, reference, running.pop(reference))
                    progress.on_cells(outcome.cells)
                    progress.on_outcome(outcome)
        finally:
            ray.shutdown()  # also ends running tasks

    def _connect(self, ray: Any) -> None:
        try:
            check_address(self._address)
            ray.init(address=self._address, logging_level="ERROR", log_to_driver=False)
        except (OSError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise SettingsError(
                f"no Ray cluster at {self._address} ({reason}): "
                "start one with `ray start --head`, or give its address"
            ) from error


def check_address(address: str) -> None:
    """OSError if HOST:PORT does not answer, which Ray reports only after minutes."""
    place = address.removeprefix("ray://").partition("/")[0]
    host, _, port = place.rpartition(":")
    if "://" in place or not host or not port.isdecimal():
        return  # `auto`, `local` and other forms
    socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_TIMEOUT_S).close()


def _get_outcome(ray: Any, reference: Any, job: Job) -> Outcome:
    try:
        outcome: Outcome = ray.get(reference)
    except ray.exceptions.RayTaskError as error:  # an error outside the scene
        raise SettingsError(f"Ray cannot map {job.output.name}: {error.cause}") from error
    except ray.exceptions.RayError as error:
        lost = RuntimeError(f"its process was lost {RETRIES + 1} times ({type(error).__name__})")
        return fail(job, lost)
    return outcome


_classifiers: dict[str, Classifier] = {}
"""Classifiers of this process, by hash of the model: Ray reuses processes."""


def run_on_node(model: Model, request: MapRequest, job: Job, source: SceneSource) -> Outcome:
    """Run a job in a process of Ray."""
    if model.sha256 not in _classifiers:
        torch.set_num_threads(1)  # a task has one CPU
        _classifiers[model.sha256] = make_classifier(model, request)
    return run_job(job, source, request, _classifiers[model.sha256])
