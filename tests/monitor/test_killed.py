"""Updates that are killed: nothing is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from geoclass.monitor.files import write_monitor
from geoclass.monitor.history import monitor_maps
from geoclass.products.files import write_map
from tests.conftest import ROOT
from tests.monitor.scenes import CROP, FOREST, yearly


def test_twenty_kills_of_an_update_lose_nothing(tmp_path: Path) -> None:
    maps = yearly(*[[[FOREST] * 40] * 40] * 3, [[CROP] * 20 + [FOREST] * 20] * 40)
    write_monitor(monitor_maps(maps[:3]), tmp_path / "m.gpkg")
    write_map(maps[3].landcover, tmp_path / "later.tif")
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "kill_monitor.py", tmp_path / "m.gpkg",
         tmp_path / "later.tif", "--times", "20"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "none lost" in done.stdout
    assert done.stdout.count("killed") >= 5
