"""What became of a campaign, for people and programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geoclass
from geoclass.campaign.jobs import Outcome, Shard, Status
from geoclass.errors import OutputError
from geoclass.products.storage import Target
from geoclass.products.writing import check_folder, write_whole
from geoclass.scene.remote import show_scene


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
            "version": geoclass.__version__,
            "model": self.model_sha256,
            "command": self.command,
            "seconds": round(self.seconds, 3),
            "scenes": self.scenes,
            **{status.replace(" ", "_"): count for status, count in self.counts.items()},
            "not_done": self.not_done,
            "cells": sum(outcome.cells for outcome in self.outcomes),
            "outcomes": [
                {
                    "scene": show_scene(outcome.job.scene),
                    "map": outcome.job.output.name,
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
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(_HEAD.split(","))
    writer.writerows([show_scene(o.job.scene), o.reason] for o in summary.failures)
    write_whole(failed, table.getvalue().encode())


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
        text = file.read_text(encoding="utf-8")
        return "outcomes" in json.loads(text) if file.suffix == ".json" else text.startswith(_HEAD)
    except (OSError, ValueError, TypeError):
        return False


def name_summary(folder: Target, shard: Shard | None = None) -> tuple[Target, Target]:
    """Where the summary and the table of failures go, of a shard with its number in the names."""
    part = f"-{shard.index}-of-{shard.count}" if shard else ""
    return folder / f"summary{part}.json", folder / f"failures{part}.csv"


def order_outcomes(outcomes: Mapping[str, Outcome], scenes: Sequence[str]) -> tuple[Outcome, ...]:
    """As the scenes were named, whoever was finished first."""
    return tuple(outcomes[scene] for scene in scenes if scene in outcomes)
