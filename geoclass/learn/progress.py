"""What a training run leaves on disk while it runs: checkpoints and a log."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from geoclass.errors import ModelError
from geoclass.model.checkpoint import read_tensors, save_tensors
from geoclass.products.writing import write_whole

STATE = frozenset({"epoch", "log", "settings", "parts"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Tensors by name, and the plain data that goes with them."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]
    """`epoch` and `log` (below), the recipe's `settings`, and `parts`, a hash a part."""

    @property
    def epoch(self) -> int:
        """The last epoch done."""
        return int(self.state["epoch"])

    @property
    def log(self) -> list[dict[str, float]]:
        """A row an epoch."""
        return list(self.state["log"])

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `prefix/`, without it."""
        cut = len(prefix) + 1
        return {k[cut:]: v for k, v in self.tensors.items() if k.startswith(f"{prefix}/")}


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the file, whole or not at all; OutputError if that fails."""
    save_tensors(path, checkpoint.tensors, {"training": json.dumps(checkpoint.state)})


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in a file; ModelError if it is none."""
    try:
        tensors, metadata = read_tensors(path)
        state = json.loads(metadata["training"])
        missing = STATE - state.keys()
    except (ModelError, KeyError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{path} is no checkpoint of a training run, or a damaged one: "
            "train anew without --resume"
        ) from error
    if missing:
        raise ModelError(
            f"the checkpoint {path} is of another version of geoclass, it lacks "
            f"{', '.join(sorted(missing))}: train anew without --resume"
        )
    return Checkpoint(tensors=tensors, state=state)


def write_log(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Replace a run's log, a row an epoch, whole or not at all; OutputError if that fails."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue().encode())


def find_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The keys whose values differ, sorted; tuples and lists are the same thing, as in JSON."""
    keys = sorted(before.keys() | now.keys())
    return [key for key in keys if not _same_json(before.get(key), now.get(key))]


def _same_json(a: object, b: object) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same_json(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(_same_json, a, b))
    return a == b
