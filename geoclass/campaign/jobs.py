"""A job: one scene, one map; what became of it, and the summary of all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from geoclass._version import __version__
from geoclass.errors import OutputError, SettingsError
from geoclass.files.storage import StoredPath
from geoclass.files.writing import Target, check_folder, write_whole
from geoclass.outside import read_file, redact
from geoclass.products.layers import write_csv

Status = Literal["mapped", "up to date", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One scene to be mapped."""

    scene: str
    output: Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a job."""

    job: Job
    status: Status
    reason: str = ""
    """Why it failed, in one line."""
    cells: int = 0
    seconds: float = 0.0
    """From looking at the scene to the finished file."""
    warnings: tuple[str, ...] = ()
    """What a person should know before trusting the map."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `index` of `count`, counted from 1: the share of one machine."""

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise SettingsError(
                f"there is no shard {self.index}/{self.count}: give I/N with I from 1 to N"
            )


def choose_shard(jobs: Iterable[tuple[Job, int]], shard: Shard) -> list[Job]:
    """The jobs of one shard, given all jobs with their sizes in pixels.

    The largest job first, each goes to the shard with the fewest pixels yet (Graham 1969), ties to
    the first: all machines that see the same list come to the same disjoint parts.
    """
    loads = [0] * shard.count
    mine = []
    for job, pixels in sorted(jobs, key=lambda pair: (-pair[1], pair[0].scene)):
        least = loads.index(min(loads))
        # Opening a scene and writing its map takes time even where it is small.
        loads[least] += pixels + PIXELS_A_SCENE
        if least == shard.index - 1:
            mine.append(job)
    return sorted(mine, key=lambda job: job.scene)


PIXELS_A_SCENE = 1_000_000
"""What a scene costs beyond its pixels, in pixels."""


def make_folder(folder: Target) -> None:
    """Make the folder of the maps; in storage, where folders are but names, look for its bucket.

    Raises OutputError where that cannot be.
    """
    if isinstance(folder, StoredPath):
        folder.check_bucket()
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder} ({error.strerror})") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All outcomes of a run, in the order of the scenes."""

    outcomes: tuple[Outcome, ...]
    scenes: int
    """How many there were to do; more than outcomes where the run was stopped."""
    model_sha256: str
    command: str
    seconds: float

    @property
    def counts(self) -> Mapping[Status, int]:
        """How many outcomes there are of each status."""
        statuses = [outcome.status for outcome in self.outcomes]
        kinds: tuple[Status, ...] = ("mapped", "up to date", "failed")
        return {status: statuses.count(status) for status in kinds}

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """The outcomes of scenes that were not mapped."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == "failed")

    @property
    def not_done(self) -> int:
        """How many scenes were not come to."""
        return self.scenes - len(self.outcomes)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "version": __version__,
            "model": self.model_sha256,
            "command": self.command,
            "seconds": round(self.seconds, 3),
            "scenes": self.scenes,
            **{status.replace(" ", "_"): count for status, count in self.counts.items()},
            "not_done": self.not_done,
            "cells": sum(outcome.cells for outcome in self.outcomes),
            "outcomes": [
                {
                    "scene": redact(outcome.job.scene),
                    "map": redact(outcome.job.output.name),
                    "status": outcome.status,
                    "reason": outcome.reason,
                    "cells": outcome.cells,
                    "seconds": round(outcome.seconds, 3),
                    "warnings": list(outcome.warnings),
                }
                for outcome in self.outcomes
            ],
        }


_HEAD = "scene,reason"
"""Of the table of failures."""


def write_summary(summary: Summary, folder: Target, shard: Shard | None = None) -> None:
    """Write `summary.json` and `failures.csv` as `name_summary` has them.

    Raises OutputError where they cannot be written.
    """
    summarised, failed = name_summary(folder, shard)
    text = json.dumps(summary.to_json(), indent=1, ensure_ascii=False) + "\n"
    write_whole(summarised, text.encode())
    scenes = [redact(outcome.job.scene) for outcome in summary.failures]
    reasons = [outcome.reason for outcome in summary.failures]
    columns = zip(_HEAD.split(","), (scenes, reasons), strict=True)
    write_csv(failed, {name: np.array(values, dtype=object) for name, values in columns})


def check_summary(folder: Target, shard: Shard | None = None, *, overwrite: bool = False) -> None:
    """Refuse a folder that is closed to us and, unless told to, to replace what no campaign wrote.

    Of storage nothing is asked, where everything takes long and is seldom written by hand.
    Raises OutputError.
    """
    for file in name_summary(folder, shard):
        if not isinstance(file, Path):
            continue
        check_folder(file)
        if file.exists() and not overwrite and not _is_ours(file):
            raise OutputError(f"{file} exists and is of no campaign: give --overwrite, or move it")


def _is_ours(file: Path) -> bool:
    try:
        text = read_file(file).decode()
        return "outcomes" in json.loads(text) if file.suffix == ".json" else text.startswith(_HEAD)
    except (OSError, ValueError, TypeError):
        return False


def name_summary(folder: Target, shard: Shard | None = None) -> tuple[Target, Target]:
    """Where the summary and the table of failures go, of a shard with its number in the names."""
    part = f"-{shard.index}-of-{shard.count}" if shard else ""
    return folder / f"summary{part}.json", folder / f"failures{part}.csv"
