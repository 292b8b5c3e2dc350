#!/usr/bin/env python3
"""Kill `geoclass monitor --update` again and again, and check that the file loses nothing.

    python scripts/kill_monitor.py MONITOR.gpkg LATER_MAP --times 20

The file is updated in child processes that are killed (kill -9) after shares of the time that an
update takes, from none of it to all. After each kill the file must be the one of before or the one
of after, whole; at the end an update must go through.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from geoclass.cli.main import main as run
from geoclass.monitor.files import read_monitor


def update(file: Path, later: Path) -> None:
    run(["monitor", "--update", str(file), str(later), "--quiet"], standalone_mode=False)


def start(file: Path, later: Path) -> int:
    """Update a file in a child process; its number."""
    child = os.fork()
    if child == 0:
        try:
            update(file, later)
        finally:
            os._exit(0)
    return child


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("monitor", type=Path, help="stays as it is")
    parser.add_argument("later", type=Path, help="map of a later date")
    parser.add_argument("--times", type=int, default=20)
    args = parser.parse_args()
    before = read_monitor(args.monitor)[0].dates
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "monitor.gpkg"
        shutil.copy(args.monitor, file)
        update(file, args.later)  # here, so that the children need not import what it takes
        shutil.copy(args.monitor, file)
        started = time.monotonic()
        os.waitpid(start(file, args.later), 0)
        usual = time.monotonic() - started
        after = read_monitor(file)[0].dates
        if len(after) != len(before) + 1:
            raise SystemExit(f"{args.later} adds no date to {args.monitor}")
        kept = done = 0
        for number in range(args.times):
            shutil.copy(args.monitor, file)
            child = start(file, args.later)
            time.sleep(usual * 1.1 * number / max(1, args.times - 1))
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            found = read_monitor(file)[0].dates
            if found not in (before, after):
                raise SystemExit(f"kill {number + 1} left a file of the dates {found}")
            kept += found == before
            done += found == after
            sys.stdout.write(
                f"{'killed' if os.WIFSIGNALED(status) else 'ended'}, {len(found)} dates\n"
            )
        if file.exists() and read_monitor(file)[0].dates == before:
            os.waitpid(start(file, args.later), 0)
        if read_monitor(file)[0].dates != after:
            raise SystemExit("after the kills an update does not go through")
    sys.stdout.write(f"{args.times} kills: {kept} files as before, {done} as after, none lost\n")


if __name__ == "__main__":
    main()
