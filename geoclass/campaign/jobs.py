"""Jobs (one scene, one map), their outcomes, and the summary of a campaign."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from geoclass._version import __version__
from geoclass.errors import OutputError, SettingsError
from geoclass.files.storage import StoredPath
from geoclass.files.writing import Target, check_folder, write_whole
from geoclass.outside import check_utf8, read_file, redact
from geoclass.products.layers import write_csv

Status = Literal["mapped", "up to date", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One scene to map, and its output."""

    scene: str
    output: Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a job."""

    job: Job
    status: Status
    reason: str = ""
    cells: int = 0
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `index`, from 1, of `count`: the scenes of one machine."""

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise SettingsError(
                f"there is no shard {self.index}/{self.count}: give I/N with I from 1 to N"
            )


def choose_shard(jobs: Iterable[tuple[Job, int]], shard: Shard) -> list[Job]:
    """The jobs of one shard, given all jobs with their sizes in pixels.

    Jobs, the largest first, go to the shard with the fewest pixels (Graham 1969). All machines with
    the same list get the same disjoint parts.
    """
    loads = [0] * shard.count
    chosen = []
    for job, pixels in sorted(jobs, key=lambda pair: (-pair[1], pair[0].scene)):
        lightest = loads.index(min(loads))
        loads[lightest] += pixels + OVERHEAD_PIXELS
        if lightest == shard.index - 1:
            chosen.append(job)
    return sorted(chosen, key=lambda job: job.scene)


OVERHEAD_PIXELS = 1_000_000
"""Fixed cost of a scene, in pixels."""


def make_folder(folder: Target) -> None:
    """Create the folder of the maps, or check its bucket; OutputError if that fails."""
    if isinstance(folder, StoredPath):
        folder.check_bucket()
        return
    try:
        check_utf8(folder)
        folder.mkdir(parents=True, exist_ok=True)
    except ValueError:
        raise OutputError(f"the name {folder} is not UTF-8: give another name") from None
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder} ({error.strerror})") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All outcomes of a run, in the order of the scenes."""

    outcomes: tuple[Outcome, ...]
    scenes: int
    """Number of scenes; more than outcomes if the run was stopped."""
    model_sha256: str
    command: str
    seconds: float

    @property
    def counts(self) -> Mapping[Status, int]:
        """Number of outcomes by status."""
        statuses = [outcome.status for outcome in self.outcomes]
        return {status: statuses.count(status) for status in get_args(Status)}

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """Outcomes of scenes that could not be mapped."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == "failed")

    @property
    def not_done(self) -> int:
        """Number of scenes that were not processed."""
        return self.scenes - len(self.outcomes)

    def to_json(self) -> dict[str, Any]:
        """JSON data."""
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


def write_summary(summary: Summary, folder: Target, shard: Shard | None = None) -> None:
    """Write the files of `name_summary`; OutputError if that fails."""
    summary_file, failures_file = name_summary(folder, shard)
    text = json.dumps(summary.to_json(), indent=1, ensure_ascii=False) + "\n"
    write_whole(summary_file, text.encode())
    scenes = [redact(outcome.job.scene) for outcome in summary.failures]
    reasons = [outcome.reason for outcome in summary.failures]
    columns = {"scene": scenes, "reason": reasons}
    write_csv(failures_file, {name: np.array(v, dtype=object) for name, v in columns.items()})


def check_summary(folder: Target, shard: Shard | None = None, *, overwrite: bool = False) -> None:
    """OutputError if a local folder is read-only or a summary file is not of a campaign."""
    for file in name_summary(folder, shard):
        if not isinstance(file, Path):
            continue
        check_folder(file)
        if file.exists() and not overwrite and not _is_ours(file):
            raise OutputError(f"{file} exists and is of no campaign: give --overwrite, or move it")


def _is_ours(file: Path) -> bool:
    try:
        text = read_file(file).decode()
        if file.suffix == ".json":
            return "outcomes" in json.loads(text)
        return text.startswith("scene,reason")
    except (OSError, ValueError, TypeError):
        return False


def name_summary(folder: Target, shard: Shard | None = None) -> tuple[Target, Target]:
    """Paths of `summary.json` and `failures.csv`, with the number of a shard in their names."""
    part = f"-{shard.index}-of-{shard.count}" if shard else ""
    return folder / f"summary{part}.json", folder / f"failures{part}.csv"
