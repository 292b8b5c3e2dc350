#!/usr/bin/env python3
r"""Compare what can run the networks: torch, torch.compile, ONNX Runtime, OpenVINO and geoclass.

    .venv/bin/python scripts/compare_runtimes.py EuroSAT_RGB.zip
    .venv/bin/python scripts/compare_runtimes.py EuroSAT_RGB.zip --arch customnet --tiles 2000

Each is a process of its own, which starts, loads, compiles where it does, and classifies tiles
that lie in memory: the test part of EuroSAT over and over, as many as a Sentinel-2 scene has.
CustomNet has random weights. The processes run in turn, several times, and medians are taken.

`start` are seconds until the first batch is done, `cpu` those of all cores over the whole process,
which other work on the machine disturbs less; `same` is the share of tiles that have the label
of torch in float32. Only the last row includes out-of-distribution detection, which other programs
lack.
OpenVINO is compared where it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from processes import run_measured

SHIPPED_ARCH = "tilenet-fine"
"""As geoclass.model.networks has it, which would import torch for every runtime."""
BATCH = {SHIPPED_ARCH: 128, "customnet": 64}
ONE_SCENE = 29_584
"""Tiles of 64×64 pixels in 10980×10980."""

Label = Callable[[np.ndarray], np.ndarray]
"""Uint8 tiles (n, 3, 64, 64) to class numbers (n,)."""
Load = Callable[[Path], Label]
"""From a folder with `model.safetensors` and `model.onnx`."""


def load_torch(folder: Path, *, half: bool = False, compiled: bool = False) -> Label:
    """The network as it was trained, channels last."""
    import torch

    from geoclass.model.checkpoint import load_model
    from geoclass.model.classifier import normalise

    model = load_model(folder / "model.safetensors")
    network = model.network.to(memory_format=torch.channels_last)
    network = network.to(torch.bfloat16) if half else network
    dtype = torch.bfloat16 if half else torch.float32

    def compute(tiles: torch.Tensor) -> torch.Tensor:
        x = normalise(tiles.float(), model.contract.mean, model.contract.std)
        return network.decide(network.features(x.to(dtype))).argmax(dim=1)

    run = torch.compile(compute) if compiled else compute

    def label(tiles: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return run(torch.from_numpy(tiles)).numpy()

    return label


def load_onnxruntime(folder: Path) -> Label:
    import onnxruntime

    session = onnxruntime.InferenceSession(
        folder / "model.onnx", providers=["CPUExecutionProvider"]
    )
    return lambda tiles: session.run(None, {"tiles": tiles.astype(np.float32)})[0].argmax(axis=1)


def load_openvino(folder: Path, *, half: bool) -> Label:
    """Asked by as many threads as it likes, with batches of one shape but for the last."""
    import openvino

    core = openvino.Core()
    hints = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
    }
    compiled = core.compile_model(core.read_model(folder / "model.onnx"), "CPU", hints)
    queue = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    threads = ThreadPoolExecutor(queue)

    def ask(tiles: np.ndarray) -> np.ndarray:
        request = compiled.create_infer_request()
        return request.infer({0: tiles.astype(np.float32)})[0].argmax(axis=1)

    def label(tiles: np.ndarray) -> np.ndarray:
        size = max(1, -(-len(tiles) // queue))
        parts = [tiles[i : i + size] for i in range(0, len(tiles), size)]
        return np.concatenate(list(threads.map(ask, parts)))

    return label


def load_geoclass(folder: Path, *, half: bool, novelty: bool = False) -> Label:
    from geoclass.model.checkpoint import load_model
    from geoclass.model.classifier import Classifier

    model = load_model(folder / "model.safetensors")
    model = model if novelty else replace(model, ood_detector=None)
    classifier = Classifier(model, device="cpu", precision="bf16" if half else "fp32")
    return lambda tiles: classifier.predict(tiles).probabilities.argmax(axis=1)


RUNTIMES: dict[str, Load] = {
    "torch, float32": load_torch,
    "torch, bf16": lambda folder: load_torch(folder, half=True),
    "torch.compile, float32": lambda folder: load_torch(folder, compiled=True),
    "torch.compile, bf16": lambda folder: load_torch(folder, half=True, compiled=True),
    "ONNX Runtime, float32": load_onnxruntime,
    "OpenVINO, float32": lambda folder: load_openvino(folder, half=False),
    "OpenVINO, bf16": lambda folder: load_openvino(folder, half=True),
    "geoclass, float32": lambda folder: load_geoclass(folder, half=False),
    "geoclass, bf16": lambda folder: load_geoclass(folder, half=True),
    "geoclass, bf16, with novelty": lambda folder: load_geoclass(folder, half=True, novelty=True),
}
REFERENCE = "torch, float32"


def classify(args: argparse.Namespace) -> dict[str, float]:
    """What a process does: all tiles, in batches that keep two threads busy."""
    tiles = np.load(args.folder / "tiles.npy")
    at_once = len(os.sched_getaffinity(0)) * args.batch
    label = RUNTIMES[args.runtime](args.folder)

    def cut() -> Iterator[np.ndarray]:
        for first in range(0, args.tiles, at_once):
            yield tiles[np.arange(first, min(first + at_once, args.tiles)) % len(tiles)]

    labels = []
    for batch in cut():
        labels.append(label(batch))
        if len(labels) == 1:
            start = time.time() - args.born
    steady = (args.tiles - at_once) / (time.time() - args.born - start)
    args.labels.write_bytes(np.concatenate(labels).astype(np.uint8).tobytes())
    return {"start": start, "tiles_per_s": steady}


def prepare(args: argparse.Namespace) -> dict[str, float]:
    """Write tiles, model and its ONNX form into the folder."""
    import torch

    from geoclass.learn.dataset import read_tiles
    from geoclass.learn.splits import choose_part
    from geoclass.model.checkpoint import load_model, save_model
    from geoclass.model.export import export_onnx
    from geoclass.model.networks import build_network

    model = load_model()
    tiles = read_tiles(args.eurosat)
    test = tiles.images[choose_part(tiles, model.contract, "test", None)][: args.tiles]
    np.save(args.folder / "tiles.npy", test)
    torch.manual_seed(0)
    network = model.network if args.arch == SHIPPED_ARCH else build_network(args.arch, 10)
    novelty = model.ood_detector if args.arch == SHIPPED_ARCH else None
    save_model(args.folder / "model.safetensors", args.arch, network, model.contract, novelty)
    export_onnx(load_model(args.folder / "model.safetensors"), args.folder / "model.onnx")
    return {}


def run_part(name: str, args: argparse.Namespace, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, str(args.eurosat), "--runtime", name]
    command += ["--folder", str(folder), "--labels", str(folder / f"{name}.labels")]
    command += ["--arch", args.arch, "--tiles", str(args.tiles), "--batch", str(args.batch)]
    usage, printed = run_measured([*command, "--born", str(time.time())])
    return {**usage, **json.loads(printed.splitlines()[-1])}


def list_runtimes(arch: str, only: list[str] | None) -> list[str]:
    asked = RUNTIMES if only is None else {REFERENCE, *only}
    names = [name for name in RUNTIMES if name in asked]
    names = [name for name in names if arch == SHIPPED_ARCH or "novelty" not in name]
    if importlib.util.find_spec("openvino") is None:
        print("openvino is not installed: left out")
        names = [name for name in names if "OpenVINO" not in name]
    return names


def print_table(runs: dict[str, list[dict[str, float]]], folder: Path) -> None:
    print("| runtime | start | seconds | cpu | tiles/s | memory | same label |")
    print("|---|---|---|---|---|---|---|")
    expected = (folder / f"{REFERENCE}.labels").read_bytes()
    for name, measured in runs.items():
        row = {key: statistics.median(run[key] for run in measured) for key in measured[0]}
        labels = (folder / f"{name}.labels").read_bytes()
        same = np.mean(np.frombuffer(labels, np.uint8) == np.frombuffer(expected, np.uint8))
        print(
            f"| {name} | {row['start']:.1f} | {row['seconds']:.1f} | {row['cpu_s']:.1f} "
            f"| {row['tiles_per_s']:.0f} | {row['peak_mb'] / 1000:.2f} GB | {same:.2%} |"
        )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("eurosat", type=Path, help="EuroSAT_RGB.zip")
    parser.add_argument("--arch", choices=tuple(BATCH), default=SHIPPED_ARCH)
    parser.add_argument("--tiles", type=int, default=ONE_SCENE)
    parser.add_argument("--batch", type=int, help="tiles a core and call")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=tuple(RUNTIMES), help="and the reference")
    for hidden, kind in (("runtime", str), ("folder", Path), ("labels", Path), ("born", float)):
        parser.add_argument(f"--{hidden}", type=kind, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.batch = args.batch or BATCH[args.arch]
    return args


def main() -> None:
    args = parse_arguments()
    if args.runtime:
        print(json.dumps((prepare if args.runtime == "prepare" else classify)(args)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_part("prepare", args, folder)
        names = list_runtimes(args.arch, args.only)
        runs: dict[str, list[dict[str, float]]] = {runtime: [] for runtime in names}
        for number in range(args.runs):
            for runtime, measured in runs.items():
                measured.append(run_part(runtime, args, folder))
                print(f"run {number + 1}  {runtime:<30} {measured[-1]}", flush=True)
        print_table(runs, folder)


if __name__ == "__main__":
    main()
