"""A task's way to the devices of its cluster: to the pipeline it looks like a classifier."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from geoclass.campaign.devices import Devices
from geoclass.errors import SettingsError
from geoclass.model.classifier import Prediction
from geoclass.model.survey import Survey, Window

MOST_TILES = 2048
"""In one question: 25 MB, two batches of a GPU."""

MOST_QUESTIONS = 2
"""Of a task, on their way or at a device at one time. So what waits anywhere is bounded by tasks,
and tasks by processors: devices that are busy slow down reading."""

SILENCE_S = 10.0
"""After so long a device is asked whether it is still there."""

AT_WORK_S = 60.0
"""No question takes so long, once a device has begun with it."""

REST_S = 5.0
"""So long a device that was lost is asked only where no other is left."""

RETRY_S = 1.0
"""Between two questions to devices that are all lost."""


class RemoteClassifier:
    """Labels tiles on whichever device: of the task's own node, else of any; the least busy first.

    Where a device is lost, another is asked, or the same as soon as it is there again.
    """

    def __init__(self, devices: Devices) -> None:
        import ray

        here = ray.get_runtime_context().get_node_id()
        self.contract, self.precision = devices.contract, devices.method.precision
        self._method = devices.method
        self._lines = [_Line(actor=d.actor, is_far=d.node != here) for d in devices.devices]
        self._lock = threading.Lock()
        self._patience_s = devices.patience_s
        self._silent_since: float | None = None
        """When the first question was lost after the last answer of any device."""
        self._threads = ThreadPoolExecutor(MOST_QUESTIONS, thread_name_prefix="questions")

    def predict(self, images: np.ndarray) -> Prediction:
        """As `Classifier.predict`; SettingsError where no device answers."""
        parts = [images[i : i + MOST_TILES] for i in range(0, len(images), MOST_TILES)]
        answers: list[Prediction] = list(self._threads.map(self._ask_for_tiles, parts))
        return Prediction(
            probabilities=np.concatenate([answer.probabilities for answer in answers]),
            unknown=np.concatenate([answer.unknown for answer in answers]),
        )

    @property
    def windows_at_once(self) -> int:
        """As many as may be asked about."""
        return MOST_QUESTIONS

    def survey(self, window: Window) -> Survey:
        """As `Classifier.survey`; SettingsError where no device answers."""
        answer: Survey = self._ask(lambda actor: actor.survey.remote(window, self._method))
        return answer

    def _ask_for_tiles(self, images: np.ndarray) -> Any:
        return self._ask(lambda actor: actor.predict.remote(images, self._method))

    def _ask(self, put: Callable[[Any], Any]) -> Any:
        """A device's answer to a question, which `put` puts to an actor."""
        import ray
        import ray.exceptions

        lost_since: float | None = None
        while True:
            with self._choose_line() as line:
                try:
                    answer = _await_answer(line.actor, put(line.actor))
                except ray.exceptions.RayTaskError as error:
                    raise error.cause from error  # as if the device were here
                except ray.exceptions.RayError as error:
                    lost_since = lost_since or time.monotonic()
                    self._bear_loss(line, lost_since, error)
                else:
                    self._silent_since = None
                    return answer

    @contextmanager
    def _choose_line(self) -> Iterator[_Line]:
        """The device to ask; while the context lasts, it has one question more."""
        with self._lock:
            now = time.monotonic()
            line = min(self._lines, key=lambda line: line.rank(now))
            line.questions += 1
        try:
            yield line
        finally:
            with self._lock:
                line.questions -= 1

    def _bear_loss(self, line: _Line, lost_since: float, error: Exception) -> None:
        """Leave a device alone for a while; SettingsError where patience is at its end.

        That is so when a question has been asked for too long, or none was answered for as long:
        a scene need not wait for devices that another has waited for in vain.
        """
        with self._lock:
            now = time.monotonic()
            line.rests_until = now + REST_S
            self._silent_since = self._silent_since or now
            waited_s = now - min(lost_since, self._silent_since)
            all_lost = all(line.rests_until > now for line in self._lines)
        if waited_s > self._patience_s:
            raise SettingsError(
                f"the cluster's devices are lost: none has answered for {waited_s:.0f} s "
                f"({type(error).__name__}); start their machines again and then this command, "
                "or try --device cpu"
            ) from error
        if all_lost:
            time.sleep(RETRY_S)


def _await_answer(actor: Any, question: Any) -> Any:
    """What the actor says; RayError where it is lost, or the question.

    Of a lost device Ray tells within seconds, but a question or its answer may vanish without a
    word where a node is lost as well. A later question waits behind it: once that is answered,
    the device has begun with this one, or never will.
    """
    import ray

    ready, _ = ray.wait([question], timeout=SILENCE_S)
    if not ready:
        ray.get(actor.is_here.remote())
    return ray.get(question, timeout=AT_WORK_S)


@dataclass(slots=True, kw_only=True)
class _Line:
    """A device, as one task sees it."""

    actor: Any
    is_far: bool
    """On another node than the task, when the campaign began."""
    questions: int = 0
    """That it has not answered yet."""
    rests_until: float = 0.0
    """By `time.monotonic`: it was lost, and is perhaps coming back."""

    def rank(self, now: float) -> tuple[bool, bool, int, float]:
        """The least is asked first; of equals, tasks do not all ask the same."""
        return now < self.rests_until, self.is_far, self.questions, random.random()  # noqa: S311
