"""What a training run leaves on disk while it runs: checkpoints and a log."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from geoclass.errors import ModelError, OutputError
from geoclass.model.checkpoint import read_tensors, save_tensors


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Tensors by name, and the plain data that goes with them."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `prefix/`, without it."""
        cut = len(prefix) + 1
        return {k[cut:]: v for k, v in self.tensors.items() if k.startswith(f"{prefix}/")}


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the file, whole or not at all; OutputError if that fails."""
    save_tensors(path, checkpoint.tensors, {"training": json.dumps(checkpoint.state)})


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in a file; ModelError if it is none."""
    tensors, metadata = read_tensors(path)
    if "training" not in metadata:
        raise ModelError(f"{path} is no checkpoint of a training run: train anew")
    return Checkpoint(tensors=tensors, state=json.loads(metadata["training"]))


def append_log(path: Path, row: Mapping[str, float]) -> None:
    """Add a line to the run's log; the first epoch begins a new one."""
    new = row["epoch"] == 1
    try:
        with path.open("w" if new else "a", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)
    except OSError as error:
        raise OutputError(f"cannot write the log {path}: {error}") from error


def same_json(a: object, b: object) -> bool:
    """Equal once tuples and lists are the same thing."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same_json(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same_json, a, b))
    return a == b
