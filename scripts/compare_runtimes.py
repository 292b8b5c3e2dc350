#!/usr/bin/env python3
r"""Compare what can run the shipped network on a CPU: torch, geoclass, ONNX Runtime and OpenVINO.

    .venv/bin/python scripts/compare_runtimes.py SCENE... --eurosat EuroSAT_RGB.zip
    ONEDNN_MAX_CPU_ISA=AVX2 .venv/bin/python scripts/compare_runtimes.py SCENE... --eurosat …

Each runtime is a process of its own, which starts, loads, compiles where it does, and computes the
logits of cells of windows that are in memory: parts of the scenes as the network sees them. The
processes run in turn, several times; the table has medians.

`start` is the time until the first windows are done, `cpu` is the time of all cores per window
after that, which other work on the machine disturbs less than `windows/s`. `same` is the fraction
of cells with the class of torch in float32. int8 models are quantised statically with training
tiles of EuroSAT: by ONNX Runtime, and for OpenVINO by NNCF. Runtimes that are not installed are
left out.
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
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from processes import run_measured

if TYPE_CHECKING:
    from torch import nn

CORES = len(os.sched_getaffinity(0))
SIDE = 1088
"""Pixels of a window."""
CALIBRATION_WINDOWS = 2
"""Of 289 tiles each."""

Compute = Callable[[np.ndarray], np.ndarray]
"""One window, uint8 (3, h, w), to logits (classes + 1, h / 4, w / 4); called by several threads."""


def wrap_network() -> nn.Module:
    """Float (n, 3, h, w), 0–255, to logits of cells."""
    import torch

    from geoclass.model.checkpoint import load_model
    from geoclass.model.classifier import normalise

    model = load_model()

    class Cells(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = model.network.eval().to(memory_format=torch.channels_last)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            x = normalise(pixels, model.contract.mean, model.contract.std)
            logits: torch.Tensor = self.network.forward_dense(x)[0]
            return logits

    return Cells()


def load_torch(_folder: Path) -> Compute:
    import torch

    torch.set_num_threads(1)
    network = wrap_network()

    def compute(pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            logits: np.ndarray = network(torch.from_numpy(pixels)[None].float())[0].numpy()
        return logits

    return compute


def load_geoclass(_folder: Path, *, half: bool) -> Compute:
    import torch

    from geoclass.model.checkpoint import load_model
    from geoclass.model.fused import FusedDenseNet, fuse

    torch.set_num_threads(1)
    model = load_model()
    network = fuse(
        model.network,
        mean=model.contract.mean,
        std=model.contract.std,
        dtype=torch.bfloat16 if half else torch.float32,
        device=torch.device("cpu"),
    )
    assert isinstance(network, FusedDenseNet)

    def compute(pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            shown = torch.ones((1, *pixels.shape[1:]), dtype=torch.bool)
            logits, _ = network.forward_dense(torch.from_numpy(pixels)[None], shown)
            return logits[0].numpy()

    return compute


def load_onnxruntime(folder: Path, file: str) -> Compute:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        folder / file, options, providers=["CPUExecutionProvider"]
    )
    return lambda pixels: session.run(None, {"pixels": pixels[None].astype(np.float32)})[0][0]


def load_openvino(folder: Path, file: str, precision: str) -> Compute:
    import openvino

    core = openvino.Core()
    model = core.read_model(folder / file)
    model.reshape([1, 3, SIDE, SIDE])
    hints = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "NUM_STREAMS": CORES,
        "INFERENCE_PRECISION_HINT": precision,
    }
    compiled = core.compile_model(model, "CPU", hints)

    def compute(pixels: np.ndarray) -> np.ndarray:
        request = compiled.create_infer_request()
        logits: np.ndarray = request.infer({0: pixels[None].astype(np.float32)})[0][0]
        return logits

    return compute


REFERENCE = "torch, float32"
RUNTIMES: dict[str, tuple[str, Callable[[Path], Compute]]] = {
    REFERENCE: ("torch", load_torch),
    "geoclass, float32": ("torch", lambda folder: load_geoclass(folder, half=False)),
    "geoclass, bf16": ("torch", lambda folder: load_geoclass(folder, half=True)),
    "ONNX Runtime, float32": ("onnxruntime", lambda f: load_onnxruntime(f, "model.onnx")),
    "ONNX Runtime, int8": ("onnxruntime", lambda f: load_onnxruntime(f, "int8.onnx")),
    "OpenVINO, float32": ("openvino", lambda f: load_openvino(f, "model.onnx", "f32")),
    "OpenVINO, bf16": ("openvino", lambda f: load_openvino(f, "model.onnx", "bf16")),
    "OpenVINO, int8": ("nncf", lambda f: load_openvino(f, "int8.xml", "f32")),
}
"""Name → module that is needed, and how it is loaded."""


def compute_all(args: argparse.Namespace) -> dict[str, float]:
    """What a process does: all windows, as many at once as there are cores."""
    windows = np.load(args.folder / "windows.npy", mmap_mode="r")
    compute = RUNTIMES[args.runtime][1](args.folder)

    def label(number: int) -> np.ndarray:
        logits = compute(np.ascontiguousarray(windows[number % len(windows)]))
        classes: np.ndarray = logits.argmax(axis=0).astype(np.uint8)
        return classes

    with ThreadPoolExecutor(CORES) as threads:
        labels = list(threads.map(label, range(CORES)))
        start, before = time.time() - args.born, time.process_time()
        began = time.perf_counter()
        labels += threads.map(label, range(CORES, args.windows))
    seconds, rest = time.perf_counter() - began, args.windows - CORES
    np.save(args.labels, np.stack(labels[: len(windows)]))
    cpu = (time.process_time() - before) / rest
    return {"start": start, "windows_per_s": rest / seconds, "cpu_per_window": cpu}


def prepare(args: argparse.Namespace) -> dict[str, float]:
    """Write windows and models into the folder."""
    import torch

    windows = [window for scene in args.scenes for window in cut_windows(scene)]
    np.save(args.folder / "windows.npy", np.stack(windows[: args.windows]))
    with torch.inference_mode():
        torch.onnx.export(
            wrap_network(),
            (torch.zeros((1, 3, SIDE, SIDE)),),
            args.folder / "model.onnx",
            input_names=["pixels"],
            output_names=["logits"],
            dynamo=True,
            external_data=False,
        )
    tiles = compose_tiles(args.eurosat)
    if is_installed("onnxruntime"):
        quantise_onnx(args.folder, tiles)
    if is_installed("nncf"):
        quantise_openvino(args.folder, tiles)
    return {}


def cut_windows(scene: Path) -> Iterator[np.ndarray]:
    """Windows of a scene, uint8 (3, SIDE, SIDE), as the network sees it."""
    import geoclass
    from geoclass.scene.read.strips import read_strips

    plan = geoclass.plan_scene(scene)
    strips = read_strips(plan.source, plan.frame, plan.grid, plan.preprocessing, strip_rows=16)
    pixels = np.concatenate([strip.pixels for strip in strips], axis=1)
    for top in range(0, pixels.shape[1] - SIDE + 1, SIDE):
        for left in range(0, pixels.shape[2] - SIDE + 1, SIDE):
            yield pixels[:, top : top + SIDE, left : left + SIDE]


def compose_tiles(eurosat: Path) -> list[np.ndarray]:
    """Windows of training tiles side by side, float32 (1, 3, SIDE, SIDE)."""
    from geoclass.learn.dataset import read_tiles
    from geoclass.learn.splits import choose_part
    from geoclass.model.checkpoint import load_model

    tiles, side = read_tiles(eurosat), SIDE // 64
    numbers = choose_part(tiles, load_model().contract, "train")
    numbers = np.random.default_rng(0).choice(numbers, (CALIBRATION_WINDOWS, side, side))
    mosaics = tiles.images[numbers].transpose(0, 3, 1, 4, 2, 5)  # n, 3, rows, 64, cols, 64
    return list(mosaics.reshape(-1, 1, 3, SIDE, SIDE).astype(np.float32))


def quantise_onnx(folder: Path, windows: list[np.ndarray]) -> None:
    from onnxruntime.quantization import CalibrationDataReader, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Windows(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(windows)

        def get_next(self) -> dict[str, np.ndarray] | None:
            window = next(self.left, None)
            return None if window is None else {"pixels": window}

    quant_pre_process(folder / "model.onnx", folder / "ready.onnx", skip_symbolic_shape=True)
    quantize_static(folder / "ready.onnx", folder / "int8.onnx", Windows(), per_channel=True)


def quantise_openvino(folder: Path, windows: list[np.ndarray]) -> None:
    import nncf
    import openvino

    model = openvino.Core().read_model(folder / "model.onnx")
    quantised = nncf.quantize(model, nncf.Dataset(windows), subset_size=len(windows))
    openvino.save_model(quantised, folder / "int8.xml", compress_to_fp16=False)


def is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def run_part(name: str, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, *map(str, args.scenes), "--eurosat", str(args.eurosat)]
    command += ["--runtime", name, "--folder", str(folder), "--windows", str(args.windows)]
    command += ["--labels", str(folder / f"{name}.npy"), "--born", str(time.time())]
    usage, printed = run_measured(command)
    return {**usage, **json.loads(printed.splitlines()[-1])}


def print_table(runs: dict[str, list[dict[str, float]]], folder: Path) -> None:
    print("| runtime | start, s | windows/s | cpu, s per window | memory | same |")
    print("|---|---|---|---|---|---|")
    expected = np.load(folder / f"{REFERENCE}.npy")
    for name, measured in runs.items():
        row = {key: statistics.median(run[key] for run in measured) for key in measured[0]}
        same = np.mean(np.load(folder / f"{name}.npy") == expected)
        print(
            f"| {name} | {row['start']:.1f} | {row['windows_per_s']:.2f} "
            f"| {row['cpu_per_window']:.2f} | {row['peak_mb'] / 1000:.2f} GB | {same:.2%} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "scenes", type=Path, nargs="+", help="scenes of 1,088 pixels a side or more"
    )
    parser.add_argument("--eurosat", type=Path, required=True, help="EuroSAT_RGB.zip")
    parser.add_argument("--windows", type=int, default=20)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=tuple(RUNTIMES), help="and the reference")
    for hidden, kind in (("runtime", str), ("folder", Path), ("labels", Path), ("born", float)):
        parser.add_argument(f"--{hidden}", type=kind, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.runtime:
        print(json.dumps((prepare if args.runtime == "prepare" else compute_all)(args)))
        return
    asked = set(args.only or RUNTIMES) | {REFERENCE}
    names = [name for name in RUNTIMES if name in asked and is_installed(RUNTIMES[name][0])]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_part("prepare", args, folder)
        runs: dict[str, list[dict[str, float]]] = {runtime: [] for runtime in names}
        for number in range(args.runs):
            for runtime, measured in runs.items():
                measured.append(run_part(runtime, args, folder))
                print(f"run {number + 1}  {runtime:<24} {measured[-1]}", flush=True)
        print_table(runs, folder)


if __name__ == "__main__":
    main()
