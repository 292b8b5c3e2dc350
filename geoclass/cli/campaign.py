"""geoclass map of many scenes"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from geoclass.campaign.jobs import Outcome, Shard, Summary, name_summary
from geoclass.campaign.run import Execute, Progress, execute_here, run_campaign
from geoclass.campaign.workers import ExecuteInProcesses
from geoclass.cli.map_scene import CampaignOptions
from geoclass.cli.progress import echo, open_bar, record, say
from geoclass.errors import SettingsError
from geoclass.files.writing import Target
from geoclass.mapping.settings import MapRequest
from geoclass.outside import redact
from geoclass.products.formats import AS_USUAL, check_not_input


def map_scenes(
    scenes: Sequence[str],
    folder: Target,
    request: MapRequest,
    options: CampaignOptions,
) -> Summary:
    """Map all scenes and print the result.

    Exits with code 1 if a scene failed, with 128 + the signal's number if stopped.
    """
    shard = None if options.shard is None else Shard(*options.shard)
    with closing(_Bars()) as bars, stoppable():
        try:
            summary = run_campaign(
                scenes,
                folder,
                request,
                fail_fast=options.fail_fast,
                shard=shard,
                execute=choose_execute(options),
                progress=bars.progress,
            )
        except Stopped as stop:
            bars.close()
            echo(
                f"stopped: {bars.done} of {bars.scenes} scenes are done; "
                "run the same command to resume",
                err=True,
            )
            sys.exit(128 + stop.signum)
    report(summary, name_summary(folder, shard)[0])
    if summary.failures or summary.not_done:
        sys.exit(1)
    return summary


def map_and_merge(
    scenes: Sequence[str],
    output: Path,
    request: MapRequest,
    options: CampaignOptions,
) -> None:
    """Map all scenes into a folder beside the output and merge the maps.

    The folder stays, so that a later run maps only new scenes. If a scene fails, nothing is merged
    and the exit code is 1.
    """
    from geoclass.files.writing import check_new
    from geoclass.products.files import read_map
    from geoclass.products.mosaic import (
        is_mosaic,
        merge_maps,
        name_scenes_folder,
        parse_crs,
        write_mosaic,
    )

    check_new(output, suffix=".gpkg", overwrite=request.overwrite or is_mosaic(output))
    check_not_input(output, request.model, request.legend, *map(Path, scenes))
    if request.map_format != "gpkg" or request.form != AS_USUAL:
        raise SettingsError("one map of many scenes is a plain GeoPackage: leave out -f and such")
    if options.map_crs is not None:
        parse_crs(options.map_crs)
    if options.shard is not None:
        raise SettingsError("shards map into one folder: give a folder, and merge in the last run")
    try:
        summary = map_scenes(scenes, name_scenes_folder(output), request, options)
    except SystemExit:
        echo(f"{output} is not written while scenes are missing", err=True)
        raise
    maps = [read_map(outcome.job.output) for outcome in summary.outcomes]
    cells = merge_maps(maps, crs=options.map_crs, prefer=options.prefer)
    write_mosaic(cells, maps, output, command=request.command)
    record(output=str(output), merged_cells=len(cells))
    say(f"wrote {output}: {len(cells)} cells of {len(maps)} maps")


def choose_execute(options: CampaignOptions) -> Execute:
    """Execution in this process, in several processes or on a cluster."""
    several = options.workers != 1 or options.memory is not None
    if options.ray is not None:
        from geoclass.campaign.workers import ExecuteOnRay

        if several:
            raise SettingsError("--workers and --memory are for one machine, --ray is for several")
        return ExecuteOnRay(options.ray)
    return ExecuteInProcesses(options.workers, options.memory) if several else execute_here


def report(summary: Summary, file: Target) -> None:
    """Print the counts and the path of the summary."""
    facts = summary.to_json()
    for outcome, fields in zip(summary.outcomes, facts["outcomes"], strict=True):
        fields["map"] = str(outcome.job.output)
    record(summary=str(file), **facts)
    counts = ", ".join(f"{count} {status}" for status, count in summary.counts.items())
    left = f", {summary.not_done} not processed" if summary.not_done else ""
    say(f"{summary.scenes} scenes: {counts}{left}; see {file}")


class Stopped(BaseException):
    """A signal ends the program; a BaseException, so that it does not count as a failure."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise `Stopped` for SIGINT and SIGTERM, so that drafts are removed."""

    def stop(signum: int, _frame: FrameType | None) -> NoReturn:
        for kind in kinds:
            signal.signal(kind, signal.SIG_IGN)  # do not interrupt the clean-up
        raise Stopped(signum)

    kinds = (signal.SIGINT, signal.SIGTERM)
    before = {kind: signal.signal(kind, stop) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


class _Bars:
    """A bar of scenes with tiles per second on a terminal, else one line per map."""

    def __init__(self) -> None:
        self.scenes = self.done = self._cells = 0
        self._bar = open_bar(unit="scene", desc="scenes")
        self.progress = Progress(
            on_start=self._start, on_outcome=self._finish, on_cells=self._count
        )

    def close(self) -> None:
        """Close the bar."""
        self._bar.close()

    def _start(self, scenes: int) -> None:
        self.scenes = self._bar.total = scenes
        self._bar.refresh()

    def _count(self, cells: int) -> None:
        self._cells += cells
        elapsed = self._bar.format_dict["elapsed"] or 1
        self._bar.set_postfix_str(f"{self._cells / elapsed:,.0f} tiles/s")

    def _finish(self, outcome: Outcome) -> None:
        self.done += 1
        self._bar.update()
        scene, count = redact(outcome.job.scene), f"{self.done}/{self.scenes}"
        for warning in outcome.warnings:
            self._bar.write(f"Warning: {scene}: {warning}", file=sys.stderr)
        if outcome.status == "failed":
            self._bar.write(f"{count} failed {scene}: {outcome.reason}", file=sys.stderr)
        elif outcome.status == "mapped" and self._bar.disable:
            say(f"{count} mapped {scene}: {outcome.cells} cells, {outcome.seconds:.1f} s")
