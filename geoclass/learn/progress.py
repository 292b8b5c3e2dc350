"""What a training run leaves on disk while it runs: checkpoints and a log."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from geoclass.errors import ModelError
from geoclass.files.writing import write_whole
from geoclass.model.checkpoint import read_metadata, read_tensors, save_tensors

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


def last_checkpoint(output: Path) -> Path:
    """Where a run that is to become `output` keeps what it needs to go on."""
    return output.with_suffix(".last.safetensors")


def best_checkpoint(output: Path) -> Path:
    """Where it keeps the weights of its best epoch so far."""
    return output.with_suffix(".best.safetensors")


def find_begun(output: Path) -> Path | None:
    """The last checkpoint of a run that is to become `output`, if there is one."""
    last = last_checkpoint(output)
    return last if last.exists() else None


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the file, whole or not at all; OutputError if that fails."""
    save_tensors(path, checkpoint.tensors, {"training": json.dumps(checkpoint.state)})


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in a file; ModelError if it is none."""
    with _explained(path):
        tensors, metadata = read_tensors(path)
        return Checkpoint(tensors=tensors, state=_parse_state(path, metadata))


def read_state(path: Path) -> dict[str, Any]:
    """The `state` of a checkpoint, its tensors unread; ModelError if it is none."""
    with _explained(path):
        return _parse_state(path, read_metadata(path))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (ModelError, KeyError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{path} is no checkpoint of a training run, a damaged one, or one of another version "
            "of geoclass: train anew without --resume"
        ) from error


def _parse_state(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(metadata["training"])
    if missing := STATE - state.keys():
        raise ModelError(f"{path} lacks {', '.join(sorted(missing))}")
    return state


def write_log(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Replace a run's log, a row an epoch, whole or not at all; OutputError if that fails."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue().encode())


def describe_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs, such as `epochs 30 (now 20)`, by key; tuples and lists are the same."""
    before, now = (json.loads(json.dumps(state)) for state in (before, now))
    keys = sorted(before.keys() | now.keys())
    return [
        f"{key} {before.get(key)} (now {now.get(key)})"
        if isinstance(now.get(key), int | float) or key in _WORDS
        else f"another {key.replace('_', ' ')}"
        for key in keys
        if before.get(key) != now.get(key)
    ]


_WORDS = ("arch", "optimizer", "precision", "schedule")
"""Settings that are words, not hashes."""
