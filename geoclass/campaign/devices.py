"""The GPUs of a cluster: each has a classifier, which tasks of all nodes may ask."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from geoclass.campaign.jobs import CampaignSettings
from geoclass.campaign.mapper import make_classifier
from geoclass.contract import Contract, Precision
from geoclass.errors import GeoclassError, SettingsError
from geoclass.machine import count_cores
from geoclass.model.checkpoint import Model
from geoclass.model.classifier import Classifier, Prediction
from geoclass.model.survey import Survey, Window

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle

QUESTIONS_AT_ONCE = 2
"""While the tiles of one are classified, those of another are unpacked."""

FIRST_S, OTHERS_S = 300, 60
"""So long a campaign waits for a GPU at its start, and for the others once it has one. Those that
come free later are left to others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A classifier on a GPU, seen from elsewhere."""

    actor: ActorHandle[DeviceClassifier]
    node: str
    """Ray's name for the machine that it began on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """What tiles are classified by. It comes with each question: a device may have begun anew."""

    model: ObjectRef[Model]
    precision: Precision
    """One for all devices, so that a map is made in one, whoever is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """What a task must know to have its tiles classified."""

    devices: tuple[Device, ...]
    method: Method
    contract: Contract
    sha256: str
    """Of the model."""
    patience_s: float
    """So long tasks ask devices that are lost, before their scenes have failed."""


class DeviceClassifier:
    """What lives on a GPU, as one of Ray's actors; without CUDA it takes processors.

    What goes wrong is raised where it was asked.
    """

    def __init__(self, campaign: CampaignSettings) -> None:
        import torch

        self._campaign = campaign
        self._classifiers: dict[Precision, Classifier] = {}
        self._lock = threading.Lock()
        torch.set_num_threads(_count_threads())
        # Ray's arrays may not be written to; they are only read.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")

    def introduce(self, model: Model) -> tuple[str, Precision]:
        """Its node, and the precision that suits its device; SettingsError where that is no use."""
        import ray

        made = make_classifier(model, self._campaign)
        self._classifiers[made.precision] = made
        return ray.get_runtime_context().get_node_id(), made.precision

    def is_here(self) -> bool:
        """True; what matters is that it is said."""
        return True

    def predict(self, images: np.ndarray, method: Method) -> Prediction:
        """As `Classifier.predict`."""
        return self._find_classifier(method).predict(images)

    def survey(self, window: Window, method: Method) -> Survey:
        """As `Classifier.survey`."""
        return self._find_classifier(method).survey(window)

    def _find_classifier(self, method: Method) -> Classifier:
        import ray

        with self._lock:  # several tasks ask
            if method.precision not in self._classifiers:
                model = ray.get(method.model)
                made = make_classifier(model, self._campaign, method.precision)
                self._classifiers[method.precision] = made
            return self._classifiers[method.precision]


def _count_threads() -> int:
    """A share of the node's processors, for GPUs that are there in name only."""
    import ray

    here = ray.get_runtime_context().get_node_id()
    gpus = next(node["Resources"].get("GPU", 1) for node in ray.nodes() if node["NodeID"] == here)
    return max(1, count_cores() // max(1, int(gpus)))


def start_devices(
    model: Model, campaign: CampaignSettings, *, most: int, patience_s: float
) -> Devices | None:
    """A classifier on each GPU of the cluster, on no more than `most`.

    None where there are no GPUs, or the campaign is for processors. Raises SettingsError where a
    device cannot be used, and where none comes free.
    """
    import ray

    count = min(most, int(ray.cluster_resources().get("GPU", 0)))
    if campaign.device == "cpu" or count < 1:
        return None
    shared = ray.put(model)
    found = _meet(_start_actors(campaign, count), shared)
    if not found:
        raise SettingsError(
            f"none of the cluster's {count} GPUs is to be had: wait for those who use them, "
            "or try --device cpu"
        )
    precisions = {precision for _, precision in found.values()}
    precision = precisions.pop() if len(precisions) == 1 else "fp32"  # all are good at that
    return Devices(
        devices=tuple(Device(actor=actor, node=node) for actor, (node, _) in found.items()),
        method=Method(model=shared, precision=precision),
        contract=model.contract,
        sha256=model.sha256,
        patience_s=patience_s,
    )


def _start_actors(campaign: CampaignSettings, count: int) -> list[Any]:
    import ray

    # Ray begins a lost one anew; its questions are asked again by who asked them.
    kind: Any = ray.remote(num_gpus=1, num_cpus=0, max_restarts=-1)(DeviceClassifier)
    names = [f"classify GPU {n + 1}" for n in range(count)]
    ways = [kind.options(name=name, max_concurrency=QUESTIONS_AT_ONCE) for name in names]
    return [way.remote(campaign) for way in ways]


def _meet(actors: list[Any], model: ObjectRef[Model]) -> dict[Any, tuple[str, Precision]]:
    """Those who come in time, and how they introduce themselves; the others are let go."""
    import ray

    asked = {actor.introduce.remote(model): actor for actor in actors}
    first, _ = ray.wait(list(asked), timeout=FIRST_S)
    answered, late = ray.wait(list(asked), num_returns=len(asked), timeout=OTHERS_S if first else 0)
    for reference in late:
        ray.kill(asked[reference])
    return {asked[reference]: words for reference in answered for words in _hear(reference)}


def _hear(reference: Any) -> Iterator[tuple[str, Precision]]:
    """How a device introduces itself; nothing where it was lost already."""
    import ray.exceptions

    try:
        yield ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, GeoclassError):
            raise error.cause from error
        raise SettingsError(
            f"a GPU of the cluster cannot be used ({error.cause}): try --device cpu"
        ) from error
    except ray.exceptions.RayError:
        return
