"""A Ray cluster with GPUs, and what becomes of scenes where processes and nodes are lost.

Ray believes what it is told about GPUs: here they are this machine's processors.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio

from geoclass.campaign.jobs import Outcome, Summary
from geoclass.campaign.run import Progress, run_campaign
from geoclass.campaign.workers import ExecuteOnRay, check_address
from geoclass.errors import SettingsError
from geoclass.legend import UNKNOWN
from geoclass.mapping.settings import MapRequest, MapSettings
from geoclass.products.files import read_map
from tests.conftest import SAMPLE_SCENE, STRANGE, assert_equal_maps

if TYPE_CHECKING:
    from ray._private.node import Node
    from ray.cluster_utils import Cluster

pytest.importorskip("ray", reason="the extra geoclass[ray] is not installed")

Make = Callable[..., Path]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head that has nothing but processors, and a node with a GPU."""
    from ray.cluster_utils import Cluster

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray leaves files and processes to the end of its day
        noticing = {"health_check_period_ms": 1000, "health_check_failure_threshold": 3}
        head = {"num_cpus": 1, "num_gpus": 0, "_system_config": noticing}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        cluster.add_node(num_cpus=1, num_gpus=1)
        yield cluster
        cluster.shutdown()


@pytest.fixture
def node(cluster: Cluster) -> Node:
    """Another with a GPU."""
    return cluster.add_node(num_cpus=1, num_gpus=1)


@pytest.fixture
def scenes(make_scene: Make, tmp_path: Path) -> Path:
    """Three of 128×128 pixels and one of 448×1280, with a patch unlike all training tiles."""
    with rasterio.open(SAMPLE_SCENE) as file:
        pixels, tags = file.read(), file.tags()
    (tmp_path / "scenes").mkdir()
    for n in range(3):
        left = 128 * n
        make_scene(pixels[:, :128, left : left + 128], f"scenes/small{n}.tif", tags=tags)
    wide = pixels[:, :448, :1280]
    wide[:, 64:192, 64:192] = 10 * STRANGE.astype(np.uint16)[:, None, None]
    make_scene(wide, "scenes/wide.tif", tags=tags)
    return tmp_path / "scenes"


def spread(
    scenes: Path,
    out: Path,
    campaign: MapRequest,
    cluster: Cluster,
    on_outcome: Callable[[Outcome], object] = lambda _: None,
) -> Summary:
    execute = ExecuteOnRay(cluster.address)
    progress = Progress(on_outcome=on_outcome)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return run_campaign([str(scenes)], out, campaign, execute=execute, progress=progress)


def kill_at_work(kind: str, killed: list[int]) -> threading.Thread:
    """Kill -9 the first of Ray's processes that is at work on what is called `kind`."""

    def strike() -> None:
        until = time.monotonic() + 300  # processes are slow to begin where others work, too
        while not killed and time.monotonic() < until:
            find = ["pgrep", "-f", f"^ray::{kind}"]
            found = subprocess.run(find, capture_output=True, text=True, check=False).stdout
            killed.extend(int(pid) for pid in found.split()[:1])
            time.sleep(0.02)
        os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=strike)
    thread.start()
    return thread


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_nobody_listens(scenes: Path, tmp_path: Path, scheme: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        address = f"{scheme}127.0.0.1:{closed.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(SettingsError, match=f"no Ray cluster at {address} .*refused") as caught:
            run_campaign(
                [str(scenes)], tmp_path / "maps", MapRequest(), execute=ExecuteOnRay(address)
            )
    assert time.monotonic() - started < 30
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("address", ["auto", "local", "ray://head", "host:", ":1", "x://h:1"])
def test_addresses_that_are_for_ray_to_understand(address: str) -> None:
    check_address(address)


def test_device_that_cannot_be_used_is_one_line(
    scenes: Path, tmp_path: Path, cluster: Cluster
) -> None:
    nowhere = MapRequest(map_format="tif", device="cuda:7")
    with pytest.raises(SettingsError, match="device 'cuda:7' cannot be used here") as caught:
        spread(scenes, tmp_path / "maps", nowhere, cluster)
    assert "\n" not in str(caught.value)


def test_maps_stay_the_same_where_a_process_and_a_node_are_lost(
    scenes: Path, tmp_path: Path, cluster: Cluster, node: Node
) -> None:
    """A task is killed while it is at work, and a node after the first map."""
    campaign, killed, lost = (
        MapRequest(map_format="tif", settings=MapSettings(symmetries=True)),
        [],
        [],
    )

    def lose_node(_outcome: Outcome) -> None:
        if not lost:
            lost.append(cluster.remove_node(node, allow_graceful=False))

    alone = run_campaign([str(scenes)], tmp_path / "alone", campaign)
    thread = kill_at_work("map ", killed)
    far = spread(scenes, tmp_path / "far", campaign, cluster, lose_node)
    thread.join()
    cluster.wait_for_nodes()  # until the loss is known to all
    assert killed
    assert lost
    assert far.counts == {"mapped": 4, "up to date": 0, "failed": 0}, far.failures
    for one, other in zip(alone.outcomes, far.outcomes, strict=True):
        landcover = read_map(one.job.output)
        assert_equal_maps(read_map(other.job.output), landcover)
        assert one.warnings == other.warnings
    assert (landcover.class_id == UNKNOWN).any()
    assert (landcover.class_id != UNKNOWN).any()
