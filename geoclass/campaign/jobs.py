"""A job: one scene, one map; and what became of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from geoclass.errors import OutputError, SettingsError
from geoclass.mapping.settings import MapSettings
from geoclass.products.formats import AS_USUAL, FileSettings, MapFormat
from geoclass.products.storage import StoredPath, Target

Status = Literal["mapped", "up to date", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignSettings:
    """What is the same for all scenes."""

    model: Path | None = None
    """None: the model that ships."""
    legend: Path | None = None
    """Other titles, colours and groups for its classes."""
    map_format: MapFormat = "gpkg"
    form: FileSettings = AS_USUAL
    settings: MapSettings = field(default_factory=MapSettings)
    bands: tuple[int | str, ...] | None = None
    """Numbers or names of red, green and blue, where the scenes do not say."""
    device: str | None = None
    batch_size: int | None = None
    redo: bool = False
    """Map again what is up to date."""
    overwrite: bool = False
    """Replace files that are no maps of geoclass, too."""
    fail_fast: bool = False
    """Stop at the first scene that fails."""
    command: str = "geoclass.run_campaign"


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
