#!/usr/bin/env python3
"""Put campaigns to the test: broken scenes, kills, ways to run them, memory, time a scene.

    .venv/bin/python scripts/measure_campaign.py FOLDER many kills ways memory overhead

FOLDER is made, used and left for inspection. Each part says what it found; the exit code is 1
where a map differs from that of an undisturbed run.
"""

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

from geoclass.errors import GeoclassError
from geoclass.products.files import read_map

SCENES = 200
KILLS = 20
SEED = 11
ARRAYS = ("class_id", "best_class", "probabilities", "valid_share", "mask_reason")


def make_scene(path: Path, side: int, seed: int) -> None:
    """Level-1C-like numbers with patches of four brightnesses."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(500, 2500, (3, -(-side // 32), -(-side // 32)))
    pixels = coarse.repeat(32, axis=1).repeat(32, axis=2)[:, :side, :side]
    pixels = (pixels + rng.integers(0, 200, pixels.shape)).astype(np.uint16)
    transform = Affine(10, 0, 330000 + 10 * side * seed, 0, -10, 5822040)
    profile = {"crs": "EPSG:32633", "transform": transform, "tiled": True, "compress": "deflate"}
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=side, width=side, dtype="uint16", **profile
    ) as file:
        file.write(pixels)
        file.descriptions = ("B04", "B03", "B02")
        file.update_tags(PROCESSING_LEVEL="Level-1C", PROCESSING_BASELINE="02.04")


def break_scenes(folder: Path) -> dict[str, bytes]:
    """Spoil six scenes, each in its way; what they were."""
    whole = {path.name: path.read_bytes() for path in sorted(folder.glob("*.tif"))[5:185:30]}
    names = list(whole)
    for name, content in zip(
        names, (b"", b"no raster", whole[names[2]][:200], whole[names[3]][:-2000]), strict=False
    ):
        (folder / name).write_bytes(content)
    for name, bands in zip(names[4:], (1, 2), strict=True):
        with rasterio.open(folder / name) as file:
            pixels, profile = file.read(list(range(1, bands + 1))), file.profile
        with rasterio.open(folder / name, "w", **{**profile, "count": bands}) as file:
            file.write(pixels)
    return whole


def map_all(scenes: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "geoclass", "map", str(scenes)),
            *("-o", f"{out}/", "-f", "tif", "-q"),
            *options,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(scenes: Path, out: Path, *options: str) -> tuple[int, dict[str, object], float]:
    """Exit code, summary (of the last shard, if there are some) and seconds."""
    started = time.perf_counter()
    process = map_all(scenes, out, *options)
    _, err = process.communicate()
    seconds = time.perf_counter() - started
    written = sorted(out.glob("summary*.json"), key=lambda path: path.stat().st_mtime)
    if not written:
        raise SystemExit(f"no summary: {err}")
    return process.returncode, json.loads(written[-1].read_text()), seconds


def compare(out: Path, calm: Path) -> None:
    """All maps equal, nothing else there; SystemExit otherwise."""
    expected = {path.name for path in calm.glob("*.tif")}
    found = {path.name for path in out.glob("*.tif")}
    if found != expected:
        raise SystemExit(f"{out}: {len(expected - found)} maps are missing")
    for name in sorted(expected):
        one, other = read_map(out / name), read_map(calm / name)
        if not all(np.array_equal(getattr(one, a), getattr(other, a)) for a in ARRAYS):
            raise SystemExit(f"{out / name} differs from {calm / name}")
    hidden = [path.name for path in out.iterdir() if path.name.startswith(".")]
    if hidden:
        raise SystemExit(f"left over in {out}: {hidden}")
    print(f"  {len(expected)} maps equal those of the undisturbed run, nothing left over")


def tell(words: str, code: int, summary: dict[str, object], seconds: float) -> None:
    counts = ", ".join(f"{summary[key]} {key}" for key in ("mapped", "up_to_date", "failed"))
    print(f"  {words}: {counts}, exit code {code}, {seconds:.1f} s", flush=True)


def fresh(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    return path


def find_scenes(folder: Path) -> Path:
    scenes = folder / "scenes"
    if not scenes.exists():
        scenes.mkdir(parents=True)
        for n in range(SCENES):
            make_scene(scenes / f"scene{n:03d}.tif", 256, n)
    return scenes


def find_calm(folder: Path) -> Path:
    calm = folder / "calm"
    if not calm.exists():
        tell("undisturbed", *run(find_scenes(folder), calm))
    return calm


def show_many(folder: Path) -> None:
    """Six broken scenes among many; a second run; the third, after mending."""
    scenes, out = find_scenes(folder), fresh(folder / "many")
    whole = break_scenes(scenes)
    try:
        code, summary, seconds = run(scenes, out)
        tell("first run", code, summary, seconds)
        for outcome in summary["outcomes"]:  # type: ignore[attr-defined]
            if outcome["status"] == "failed":
                print(f"    {Path(outcome['scene']).name}: {outcome['reason']}")
        tell("second run", *run(scenes, out))
    finally:
        for name, content in whole.items():
            (scenes / name).write_bytes(content)
    tell("after mending", *run(scenes, out))
    compare(out, find_calm(folder))


def show_kills(folder: Path) -> None:
    """Killed at random moments, with its whole process group, until all is done."""
    scenes, calm = find_scenes(folder), find_calm(folder)
    out, generator, opened = fresh(folder / "kills"), random.Random(SEED), 0  # noqa: S311 - no secret
    for n in range(KILLS):
        process = map_all(scenes, out, *(["--workers", "2"] if n % 2 else []))
        time.sleep(generator.uniform(1.9, 3.1))  # the program takes some two seconds to begin
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        for path in out.glob("*.tif"):
            try:
                read_map(path)
            except GeoclassError as error:
                raise SystemExit(f"{path} does not open after kill {n + 1}: {error}") from error
            opened += 1
    print(f"  killed {KILLS} times; {opened} times a map was opened, none failed", flush=True)
    tell("last run", *run(scenes, out))
    compare(out, calm)


def show_ways(folder: Path) -> None:
    """Two processes; three shards; a cluster of two nodes, one of which is lost."""
    scenes, calm = find_scenes(folder), find_calm(folder)
    out = fresh(folder / "workers")
    tell("--workers 2", *run(scenes, out, "--workers", "2"))
    compare(out, calm)
    out = fresh(folder / "shards")
    for n in (1, 2, 3):
        tell(f"--shard {n}/3", *run(scenes, out, "--shard", f"{n}/3"))
    compare(out, calm)
    out = fresh(folder / "ray")
    lose_node(scenes, out)
    compare(out, calm)


def lose_node(scenes: Path, out: Path) -> None:
    """Map on a head and a worker node, and kill the worker's processes in the middle."""
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "num_gpus": 0}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    lost = cluster.add_node(**node)
    pending: list[int] = []

    def strike() -> None:
        while len(list(out.glob("*.tif"))) < SCENES // 4:
            time.sleep(0.1)
        pending.append(SCENES - len(list(out.glob("*.tif"))))
        cluster.remove_node(lost, allow_graceful=False)

    thread = threading.Thread(target=strike)
    thread.start()
    code, summary, seconds = run(scenes, out, "--ray", cluster.address)
    thread.join()
    cluster.shutdown()
    tell(f"--ray, one of two lost while {pending[0]} were pending", code, summary, seconds)


def show_memory(folder: Path) -> None:
    """A large scene and fifty small ones, two workers, 3 GB."""
    scenes = folder / "mixed"
    if not scenes.exists():
        scenes.mkdir(parents=True)
        make_scene(scenes / "large.tif", 10980, 1)
        for path in sorted(find_scenes(folder).iterdir())[:50]:
            shutil.copy(path, scenes)
    process = map_all(scenes, fresh(folder / "mixed-maps"), "--workers", "2", "--memory", "3GB")
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(measure_tree(process.pid)))
        time.sleep(0.1)
    print(f"  exit code {process.returncode}, peak of the whole tree {peak / 1e9:.2f} GB")


def measure_tree(pid: int) -> Iterator[int]:
    """Proportional set size, in bytes, of a process and its children: shared pages count once."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has just ended
        return
    yield sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    for child in children:
        yield from measure_tree(int(child))


def show_overhead(folder: Path) -> None:
    """What a scene costs beyond reading, classifying and writing, start-up paid once."""
    import cProfile
    import pstats

    from geoclass.campaign.run import run_campaign
    from geoclass.mapping.settings import MapRequest

    scenes, out = find_scenes(folder), fresh(folder / "overhead")
    profile = cProfile.Profile()
    with profile:
        summary = run_campaign([str(scenes)], out, MapRequest(map_format="tif"))
    times: dict[str, float] = {}
    for (_, _, name), (*_, cumulative, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        times[name] = max(cumulative, times.get(name, 0.0))
    total = summary.seconds - times["load_model"]
    work = times["run_map"] + times["write_map"]
    print(
        f"  100 scenes: {100 * total / summary.scenes:.1f} s, start-up {times['load_model']:.1f} s"
    )
    print(f"  read, classify and write {1000 * work / summary.scenes:.0f} ms a scene, ", end="")
    print(f"all else {1000 * (total - work) / summary.scenes:.0f} ms (under the profiler)")


PARTS: dict[str, Callable[[Path], None]] = {
    "many": show_many,
    "kills": show_kills,
    "ways": show_ways,
    "memory": show_memory,
    "overhead": show_overhead,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("parts", nargs="+", choices=PARTS)
    args = parser.parse_args()
    for name in args.parts:
        print(f"{name}: {PARTS[name].__doc__}", flush=True)
        PARTS[name](args.folder)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"this script itself: {used / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
