#!/usr/bin/env python3
"""Map every file below a folder, and count what comes of it: mapped, refused, or a defect.

    python scripts/survey_files.py FOLDER --details survey.tsv

Files are mapped one after the other in a process of their own, which is started anew when one
crashes it, hangs, or takes too much memory. A file is mapped, or refused with one line; all else
is a defect: a traceback, a crash, a hang, too much memory, words that are not ours, a map although
pixels could not be read, a file left behind by a map that failed. Defects make the exit code 1.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import select
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

SECONDS = 60.0
GIGABYTES = 2.0
COMMONEST = 10
MOST_SHOWN = 120
START_SECONDS = 120.0

MAPPED, REFUSED, DEFECT = "mapped", "refused", "defect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    scene: str
    kind: str
    """mapped, refused or defect."""
    message: str
    """The error's line, or what the defect is."""
    seconds: float = 0.0
    peak_bytes: int = 0


def find_files(folder: Path) -> list[Path]:
    """All files, and all folders that are products."""
    return sorted(p for p in folder.rglob("*") if p.is_file() or p.suffix.upper() == ".SAFE")


# --- the process that maps ---


def serve_requests(model: str | None) -> None:
    """Read scenes and folders from stdin, one JSON list a line; answer with a JSON line each."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    answers.write("ready\n")
    for line in sys.stdin:
        scene, folder = json.loads(line)
        answers.write(json.dumps(run_map(scene, Path(folder), model)) + "\n")


def run_map(scene: str, folder: Path, model: str | None) -> dict[str, object]:
    """Run `geoclass map` in this process; all that is written to stdout and stderr is caught."""
    from geoclass.cli.main import main

    arguments = ["map", scene, "-o", str(folder / "map.tif"), "--device", "cpu"]
    arguments += ["-m", model] if model else []
    forget_peak()
    code, trace = 0, ""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        kept = os.dup(1), os.dup(2)
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        try:
            main(arguments, standalone_mode=True)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:  # whatever it is, it is a defect to be told
            trace = traceback.format_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for descriptor, old in enumerate(kept, start=1):
                os.dup2(old, descriptor)
                os.close(old)
        for file in (out, err):
            file.seek(0)
        texts = [file.read().decode(errors="replace") for file in (out, err)]
    return {
        "code": code,
        "trace": trace,
        "out": texts[0],
        "err": texts[1],
        "seconds": time.perf_counter() - started,
        "peak": peak_bytes(),
        "unreadable": find_unreadable(scene) if code == 0 and not trace else "",
    }


def find_unreadable(scene: str) -> str:
    """Why not all pixels of the three bands can be read, if so."""
    import rasterio

    from geoclass.errors import GeoclassError
    from geoclass.scene.open.gdal import open_dataset
    from geoclass.scene.open.source import open_scene

    try:
        source = open_scene(scene)
        # What this check keeps of blocks is not to count as memory that mapping takes.
        with (
            rasterio.Env(GDAL_CACHEMAX=64 * 2**20),
            open_dataset(source.dataset, source.shown) as dataset,
        ):
            for band in source.bands:
                for _, window in dataset.block_windows(band):
                    dataset.read(band, window=window)
    except GeoclassError as error:
        return str(error)
    return ""


def forget_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # not Linux: the peak is then that of all files so far
        return


def peak_bytes() -> int:
    import resource

    try:
        status = Path("/proc/self/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# --- the process that watches ---


class Worker:
    """A process that maps; started anew when it has ended."""

    def __init__(self, seconds: float, most_bytes: float, command: list[str]) -> None:
        self.seconds, self.most_bytes, self.command = seconds, most_bytes, command
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> subprocess.Popen[str]:
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
            )
            self.wait(START_SECONDS)
        assert self.process is not None
        return self.process

    def map(self, scene: str, folder: Path) -> Outcome:
        process = self.start()
        assert process.stdin is not None
        process.stdin.write(json.dumps([scene, str(folder)]) + "\n")
        answer = self.wait(self.seconds)
        if answer.startswith("{"):
            return judge(scene, json.loads(answer), folder, self.most_bytes)
        self.stop()
        return Outcome(scene=scene, kind=DEFECT, message=answer)

    def wait(self, seconds: float) -> str:
        """The answer, or why there is none."""
        process = self.process
        assert process is not None
        assert process.stdout is not None
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if select.select([process.stdout], [], [], 0.1)[0]:
                return process.stdout.readline() or f"crash (exit code {process.wait()})"
            if resident_bytes(process.pid) > self.most_bytes:
                return f"more than {self.most_bytes / 1e9:g} GB of memory"
        return f"no answer in {seconds:g} s"

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


def serving_command(model: str | None) -> list[str]:
    return [sys.executable, __file__, "--serve", *(["--model", model] if model else [])]


def resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def judge(scene: str, answer: dict[str, str | int | float], folder: Path, most: float) -> Outcome:
    """What an answer amounts to."""
    defect = find_defect(answer, sorted(path.name for path in folder.iterdir()), most)
    kind, message = DEFECT, defect
    if not defect and answer["code"] == 0:
        kind, message = MAPPED, str(answer["err"]).strip()
    elif not defect:
        kind, message = REFUSED, str(answer["err"]).rpartition("Error: ")[2].strip()
    return Outcome(
        scene=scene,
        kind=kind,
        message=message,
        seconds=float(answer["seconds"]),
        peak_bytes=int(answer["peak"]),
    )


def find_defect(answer: dict[str, str | int | float], left: list[str], most_bytes: float) -> str:
    """What is wrong with an answer; empty if nothing is."""
    lines = str(answer["err"]).splitlines()
    errors = [line for line in lines if line.startswith("Error: ")]
    foreign = [line for line in lines if not line.startswith(("Error: ", "Warning: "))]
    foreign += [line for line in str(answer["out"]).splitlines() if not OUR_LINE.match(line)]
    checks = {
        "traceback: " + (str(answer["trace"]).strip().splitlines() or [""])[-1]: answer["trace"],
        f"{float(answer['peak']) / 1e9:.1f} GB of memory": float(answer["peak"]) > most_bytes,
        f"foreign words: {' / '.join(foreign)}": foreign,
        f"mapped, though {answer['unreadable']}": answer["unreadable"],
        "no map, and no error": answer["code"] == 0 and "map.tif" not in left,
        f"left behind: {', '.join(left)}": answer["code"] != 0 and left,
        f"exit code {answer['code']}": answer["code"] not in (0, 1),
        f"{len(errors)} lines of errors": len(errors) != answer["code"],
    }
    return next((message for message, wrong in checks.items() if wrong), "")


OUR_LINE = re.compile(r"[a-z]{2,11} +\S.*|.{24}\s*\d+\s+([\d,.]+|unknown)(\s+[\d.]+%)?")
"""What `geoclass map` prints: a word and what was decided, and the table of areas."""


def shorten(message: str, scene: str) -> str:
    """A message without what is the file's own, so that equal ones can be counted."""
    name = Path(scene).name
    text = message.replace(scene, "FILE").replace(name, "FILE")
    text = re.sub(r"FILE[\w./-]*", "FILE", text)
    text = re.sub(r"(?<![\w-])\d[\d.,]*(×\d+)?", "N", text)
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…"


def survey(files: list[Path], worker: Worker) -> list[Outcome]:
    outcomes = []
    for i, file in enumerate(files, start=1):
        with tempfile.TemporaryDirectory() as folder:
            outcome = worker.map(str(file), Path(folder))
        outcomes.append(outcome)
        if sys.stderr.isatty():
            print(f"\r{i}/{len(files)}", end="", file=sys.stderr)
        if outcome.kind == DEFECT:
            print(f"DEFECT {file}: {outcome.message}", file=sys.stderr, flush=True)
    worker.stop()
    return outcomes


def tabulate(outcomes: list[Outcome]) -> str:
    """Counts by outcome, and the commonest messages, as Markdown."""
    kinds = Counter(outcome.kind for outcome in outcomes)
    lines = ["| outcome | files |", "|---|---|"]
    lines += [f"| {kind} | {kinds[kind]} |" for kind in (MAPPED, REFUSED, DEFECT)]
    said = Counter(shorten(o.message, o.scene) for o in outcomes if o.kind == REFUSED)
    lines += ["", "| files | refused because |", "|---|---|"]
    lines += [f"| {count} | {text} |" for text, count in said.most_common(COMMONEST)]
    slowest = max(outcomes, key=lambda o: o.seconds, default=None)
    largest = max(outcomes, key=lambda o: o.peak_bytes, default=None)
    if slowest and largest:
        lines += ["", f"Slowest {slowest.seconds:.1f} s ({Path(slowest.scene).name}), "]
        lines[-1] += f"most memory {largest.peak_bytes / 1e6:.0f} MB ({Path(largest.scene).name})."
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--details", type=Path, help="write a line a file, tab-separated")
    parser.add_argument("--model", help="model file instead of the one that ships")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--gigabytes", type=float, default=GIGABYTES)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve_requests(arguments.model)
        return 0
    if arguments.folder is None or not arguments.folder.is_dir():
        parser.error("give a folder of rasters")
    command = serving_command(arguments.model)
    worker = Worker(arguments.seconds, arguments.gigabytes * 1e9, command)
    outcomes = survey(find_files(arguments.folder), worker)
    if arguments.details:
        with arguments.details.open("w", newline="") as file:
            table = csv.writer(file, delimiter="\t")
            table.writerows((o.kind, f"{o.seconds:.2f}", o.scene, o.message) for o in outcomes)
    print(tabulate(outcomes))
    return int(any(outcome.kind == DEFECT for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
