"""Many scenes: what is done, what is left alone, and what a stopped run leaves."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import click
import geopandas as gpd
import numpy as np
import pytest
from click.testing import CliRunner

from geoclass.campaign import workers
from geoclass.campaign.jobs import Outcome, Shard, Summary
from geoclass.campaign.run import Execute, Progress, execute_here, run_campaign
from geoclass.campaign.workers import ExecuteInProcesses
from geoclass.cli.generated import SPELLINGS
from geoclass.cli.main import main
from geoclass.errors import Cancelled, GeoclassError, OutputError, SettingsError
from geoclass.files.writing import draft_folder
from geoclass.landcover import LandCoverMap
from geoclass.mapping.settings import MapRequest, MapSettings
from geoclass.products.files import read_map
from geoclass.scene.settings import FrameSettings, MaskSettings
from tests.conftest import paint
from tests.scene.server import serve
from tests.scene.test_stac import describe

Make = Callable[..., Path]
TIF = MapRequest(map_format="tif")
MEMORY = SPELLINGS["memory"].kind
assert MEMORY is not None


@pytest.fixture
def scenes(make_scene: Make, tmp_path: Path) -> Path:
    """A folder of six scenes, two of which are broken."""
    (tmp_path / "scenes").mkdir()
    for n in range(4):
        pixels = paint([[n, 1], [3, (n + 5) % 10]])
        make_scene(pixels, f"scenes/good{n}.tif")
    make_scene(paint([[1]])[:1], "scenes/onlyred.tif")
    (tmp_path / "scenes" / "text.tif").write_text("no raster")
    return tmp_path / "scenes"


def run(scenes: Path, out: Path, campaign: MapRequest = TIF, **kwargs) -> Summary:
    return run_campaign([str(scenes)], out, campaign, **kwargs)


def statuses(summary: Summary) -> dict[str, str]:
    return {Path(o.job.scene).stem: o.status for o in summary.outcomes}


def same(one: LandCoverMap, other: LandCoverMap) -> bool:
    fields = ("class_id", "best_class", "probabilities", "valid_share", "mask_reason")
    return all(np.array_equal(getattr(one, f), getattr(other, f)) for f in fields)


def mend(scenes: Path) -> None:
    for name in ("onlyred.tif", "text.tif"):
        (scenes / name).write_bytes((scenes / "good0.tif").read_bytes())


def test_bad_scenes_are_outcomes_and_a_second_run_does_only_what_is_left(
    scenes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "maps"
    first = run(scenes, out)
    assert first.counts == {"mapped": 4, "up to date": 0, "failed": 2}
    with (out / "failures.csv").open(newline="") as file:
        reasons = {Path(row["scene"]).name: row["reason"] for row in csv.DictReader(file)}
    assert "1 band(s)" in reasons["onlyred.tif"]
    assert "text.tif" in reasons["text.tif"]
    told = json.loads((out / "summary.json").read_text())
    assert (told["mapped"], told["failed"], told["cells"]) == (4, 2, 16)

    before = {path: path.stat().st_mtime_ns for path in out.glob("*.tif")}
    again = run(scenes, out)
    assert again.counts == {"mapped": 0, "up to date": 4, "failed": 2}
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.tif")} == before

    mend(scenes)
    mended = run(scenes, out)
    assert mended.counts == {"mapped": 2, "up to date": 4, "failed": 0}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have names of Unicode alone")
def test_a_folder_whose_name_is_not_utf8_is_not_made(scenes: Path, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    with pytest.raises(OutputError, match="is not UTF-8: give another name"):
        run(scenes, folder)
    assert not folder.exists()


def test_items_by_address_become_maps_and_keep_their_names(scenes: Path, tmp_path: Path) -> None:
    bands = [{"common_name": color} for color in ("red", "green", "blue")]
    names = ("good0", "good1", "gone")
    items = [
        describe({"x": {"href": f"{name}.tif", "eo:bands": bands}}) | {"id": name} for name in names
    ]
    collection = {"type": "FeatureCollection", "features": items}
    (scenes / "search").write_text(json.dumps(collection))
    out = tmp_path / "maps"
    with serve(scenes) as log:
        search = f"{log.address}/search?key=secret"
        first = run_campaign([search], out, TIF)
        again = run_campaign([search], out, TIF)
    assert first.counts == {"mapped": 2, "up to date": 0, "failed": 1}
    assert again.counts == {"mapped": 0, "up to date": 2, "failed": 1}
    assert [path.name for path in sorted(out.glob("*.tif"))] == ["good0.tif", "good1.tif"]
    here = run_campaign([str(scenes / "good0.tif")], tmp_path / "here", TIF)
    assert same(read_map(out / "good0.tif"), read_map(here.outcomes[0].job.output))
    table = (out / "failures.csv").read_text()
    assert f"{log.address}/search#gone" in table
    assert "secret" not in table + (out / "summary.json").read_text()


def test_map_of_another_scene_or_option_is_replaced_only_on_demand(
    scenes: Path, tmp_path: Path
) -> None:
    mend(scenes)
    out = tmp_path / "maps"
    run(scenes, out)
    before = (out / "good2.tif").read_bytes()
    os.utime(scenes / "good2.tif", ns=(1, 1))
    touched = run(scenes, out)
    (failure,) = touched.failures
    assert f"{out / 'good2.tif'} exists and is not this map: give --overwrite" in failure.reason
    assert touched.counts["up to date"] == 5
    assert (out / "good2.tif").read_bytes() == before
    forced = run(scenes, out, replace(TIF, overwrite=True))
    assert [name for name, status in statuses(forced).items() if status == "mapped"] == ["good2"]
    other = replace(TIF, settings=MapSettings(min_valid_share=0.4))
    assert run(scenes, out, other).counts["failed"] == 6
    for _ in range(2):  # what is older, then what is up to date
        assert run(scenes, out, replace(other, redo=True)).counts["mapped"] == 6


def test_option_file_typed_otherwise_is_the_same(
    scenes: Path, make_scene: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mend(scenes)
    mask = make_scene(np.zeros((1, 128, 128), np.uint8), "mask.tif")
    monkeypatch.chdir(tmp_path)
    for name, status in (("mask.tif", "mapped"), (str(mask), "up to date")):
        settings = MapSettings(masks=MaskSettings(mask=name))
        assert run(scenes, Path("maps"), replace(TIF, settings=settings)).counts[status] == 6


def test_map_without_its_companion_is_done_again(scenes: Path, tmp_path: Path) -> None:
    mend(scenes)
    out = tmp_path / "maps"
    run(scenes, out)
    (out / "good1.tif.aux.xml").unlink()
    assert statuses(run(scenes, out))["good1"] == "mapped"


def test_folder_in_the_place_of_a_map_is_left_alone(scenes: Path, tmp_path: Path) -> None:
    (tmp_path / "maps" / "good1.tif").mkdir(parents=True)
    summary = run(scenes, tmp_path / "maps", replace(TIF, overwrite=True))
    reasons = {Path(o.job.scene).stem: o.reason for o in summary.failures}
    assert "is a folder" in reasons["good1"]


def test_file_of_someone_else_is_left_alone(scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "maps"
    out.mkdir()
    (out / "good1.tif").write_text("mine")
    summary = run(scenes, out)
    assert statuses(summary)["good1"] == "failed"
    assert (out / "good1.tif").read_text() == "mine"
    forced = run(scenes, out, MapRequest(map_format="tif", overwrite=True))
    assert statuses(forced)["good1"] == "mapped"


@pytest.mark.parametrize("name", ["summary.json", "failures.csv"])
def test_summary_replaces_none_of_someone_else(scenes: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "maps"
    out.mkdir()
    for content in ('{"mine": 1}', "no JSON"):
        (out / name).write_text(content)
        with pytest.raises(OutputError, match="is of no campaign"):
            run(scenes, out)
        assert (out / name).read_text() == content
    assert sorted(path.name for path in out.iterdir()) == [name]
    (out / name).unlink()
    (out / name).mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        run(scenes, out, replace(TIF, overwrite=True))
    (out / name).rmdir()
    (out / name).write_text("no JSON")
    assert run(scenes, out, replace(TIF, overwrite=True)).counts["mapped"] == 4
    assert run(scenes, out).counts["up to date"] == 4


def test_folder_that_is_closed_is_refused_before_any_scene(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By root, too, for whom no folder is closed."""
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != tmp_path / "maps")
    with pytest.raises(OutputError, match="cannot be written to"):
        run(scenes, tmp_path / "maps")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (MapSettings(stride=32), "no cells of its own: leave out --stride"),
        (MapSettings(detail=8), "no cells of its own: leave out --detail"),
        (MapSettings(frame=FrameSettings(aoi=Path("none.gpkg"))), "none.gpkg"),
    ],
)
def test_settings_that_fit_no_scene_are_refused_once(
    scenes: Path, tmp_path: Path, random_model: Path, settings: MapSettings, message: str
) -> None:
    with pytest.raises(GeoclassError, match=message):
        run(scenes, tmp_path / "maps", replace(TIF, settings=settings, model=random_model))
    assert not (tmp_path / "maps").exists()


def test_drafts_of_summaries_are_swept(scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "maps"
    out.mkdir()
    left = []
    for name in ("summary.json", "failures.csv"):
        with draft_folder(out / name) as folder:
            left.append(Path(folder.replace(f".{os.getpid()}.", ".99999999.")))
    for folder in left:
        folder.mkdir()
    run(scenes, out)
    assert not any(folder.exists() for folder in left)


@pytest.mark.parametrize(
    ("text", "expected"), [("3GB", 3e9), ("3G", 3e9), ("800 mb", 8e8), ("1GiB", 2**30), ("7", 7)]
)
def test_memory_is_given_as_people_write_it(text: str, expected: float) -> None:
    assert MEMORY.convert(text, None, None) == expected


@pytest.mark.parametrize("text", ["", "3X", "G", "1.2.3GB", "9" * 400])
def test_memory_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not of the form"):
        MEMORY.convert(text, None, None)


def test_maps_never_replace_their_scenes(scenes: Path) -> None:
    before = (scenes / "good0.tif").read_bytes()
    summary = run(scenes, scenes)
    assert summary.counts["failed"] == 6
    assert "would replace it" in summary.failures[0].reason
    assert (scenes / "good0.tif").read_bytes() == before


def test_fail_fast_stops_at_the_first_failure(scenes: Path, tmp_path: Path) -> None:
    summary = run(scenes, tmp_path / "maps", fail_fast=True)
    assert summary.counts["failed"] == 1
    assert summary.not_done > 0


def test_progress_tells_of_every_scene_and_cell(scenes: Path, tmp_path: Path) -> None:
    told: list[object] = []
    progress = Progress(on_start=told.append, on_outcome=told.append, on_cells=told.append)
    run(scenes, tmp_path / "maps", progress=progress)
    assert told[0] == 6
    assert sum(isinstance(item, Outcome) for item in told) == 6
    assert sum(item for item in told[1:] if isinstance(item, int)) == 16


@pytest.mark.parametrize("execute", [execute_here, ExecuteInProcesses(2)])
def test_cancelling_ends_the_campaign(scenes: Path, tmp_path: Path, execute: Execute) -> None:
    def cancel(_cells: int) -> None:
        raise Cancelled

    out = tmp_path / "maps"
    with pytest.raises(Cancelled):
        run(scenes, out, execute=execute, progress=Progress(on_cells=cancel))
    assert json.loads((out / "summary.json").read_text())["not_done"] > 0
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_workers_that_cannot_begin_say_why_once(scenes: Path, tmp_path: Path) -> None:
    nowhere = MapRequest(map_format="tif", device="cuda:7")
    with pytest.raises(SettingsError, match="cuda"):
        run(scenes, tmp_path / "maps", nowhere, execute=ExecuteInProcesses(2))


def test_overwriting_is_not_redoing(scenes: Path, tmp_path: Path) -> None:
    mend(scenes)
    run(scenes, tmp_path / "maps")
    again = run(scenes, tmp_path / "maps", MapRequest(map_format="tif", overwrite=True))
    assert again.counts["up to date"] == 6


def test_workers_and_shards_make_the_same_maps(scenes: Path, tmp_path: Path) -> None:
    alone = run(scenes, tmp_path / "alone")
    cells: list[int] = []
    several = run(
        scenes,
        tmp_path / "several",
        execute=ExecuteInProcesses(2),
        progress=Progress(on_cells=cells.append),
    )
    assert statuses(several) == statuses(alone)
    assert sum(cells) == 16
    parts = [run(scenes, tmp_path / "parts", shard=Shard(i, 3)) for i in (1, 2, 3)]
    assert sum(part.scenes for part in parts) == 6
    assert sum(part.counts["mapped"] for part in parts) == 4
    assert (tmp_path / "parts" / "summary-2-of-3.json").exists()
    for n in range(4):
        expected = read_map(tmp_path / "alone" / f"good{n}.tif")
        assert same(read_map(tmp_path / "several" / f"good{n}.tif"), expected)
        assert same(read_map(tmp_path / "parts" / f"good{n}.tif"), expected)


def test_ray_makes_the_same_maps(scenes: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra geoclass[ray] is not installed")
    from geoclass.campaign.workers import ExecuteOnRay

    alone = run(scenes, tmp_path / "alone")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray leaves files and processes to the end of its day
        spread = run(scenes, tmp_path / "spread", execute=ExecuteOnRay())
    assert statuses(spread) == statuses(alone)
    for path in (tmp_path / "alone").glob("*.tif"):
        assert same(read_map(tmp_path / "spread" / path.name), read_map(path))


def test_process_that_dies_is_an_outcome(scenes: Path, tmp_path: Path) -> None:
    """One worker is killed at its first scene; another takes its place."""
    victims: list[int] = []

    def kill(_scenes: int) -> None:
        find = ["pgrep", "-P", str(os.getpid()), "-f", "spawn_main"]

        def strike() -> None:
            while not victims:
                found = subprocess.run(find, capture_output=True, text=True, check=False).stdout
                victims.extend(int(pid) for pid in found.split())
                time.sleep(0.05)
            os.kill(victims[0], signal.SIGKILL)

        threading.Thread(target=strike).start()

    progress = Progress(on_start=kill)
    summary = run(scenes, tmp_path / "maps", execute=ExecuteInProcesses(1), progress=progress)
    died = [o for o in summary.failures if "its process ended by SIGKILL" in o.reason]
    assert len(died) == 1
    assert summary.counts["mapped"] == 3


def test_memory_limits_the_number_of_workers() -> None:
    with pytest.raises(SettingsError, match="a worker needs"):
        ExecuteInProcesses(2, 10_000_000)
    with pytest.raises(SettingsError, match="at least 1, got 0"):
        ExecuteInProcesses(0)


def test_memory_of_finer_cells_limits_the_number_of_workers(
    scenes: Path,
    tmp_path: Path,
    dense_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """16 × 16 cells of 8 pixels take 340 bytes each, 87 kB."""
    monkeypatch.setattr(workers, "WORKER_BYTES", 1000)
    fine = MapRequest(
        map_format="tif", settings=MapSettings(stride=8, detail="none"), model=dense_model
    )
    execute = ExecuteInProcesses(2, 100_000)
    tiles = MapRequest(map_format="tif", settings=MapSettings(detail="none"))
    coarse = run(scenes, tmp_path / "coarse", tiles, execute=execute)
    assert coarse.counts["mapped"] == 4
    assert not caplog.messages
    assert run(scenes, tmp_path / "fine", fine, execute=execute).counts["mapped"] == 4
    assert "workers: 1 instead of 2" in caplog.text
    with pytest.raises(SettingsError, match="give more or a larger --stride"):
        run(scenes, tmp_path / "less", fine, execute=ExecuteInProcesses(2, 80_000))


def test_one_geopackage_of_many_scenes(scenes: Path, tmp_path: Path) -> None:
    def call(*extra: str, code: int) -> str:
        command = ["map", str(scenes), "-o", str(tmp_path / "all.gpkg"), *extra]
        result = CliRunner().invoke(main, command)
        assert result.exit_code == code, result.output
        return result.output

    assert "not written while scenes are missing" in call(code=1)
    assert not (tmp_path / "all.gpkg").exists()
    mend(scenes)
    assert "4 cells of 6 maps" in call(code=0)  # the scenes all lie in one place
    assert "6 up to date" in call("--prefer", "latest", "--map-crs", "EPSG:3035", code=0)
    cells = gpd.read_file(tmp_path / "all.gpkg", layer="landcover")
    assert cells.crs == "EPSG:3035"
    for command in (["info"], ["preview", "-o", str(tmp_path / "all.png")]):
        result = CliRunner().invoke(main, [*command, str(tmp_path / "all.gpkg")])
        assert result.exit_code == 1
        assert "merged from the maps of 6 scenes" in result.stderr
    (tmp_path / "all.gpkg").write_text("mine")
    assert "exists: give --overwrite" in call(code=1)


def test_one_geopackage_of_what_holds_one_scene_so_far(make_scene: Make, tmp_path: Path) -> None:
    def call(*words: object, code: int = 0) -> str:
        result = CliRunner().invoke(main, ["map", *map(str, words)])
        assert result.exit_code == code, result.output
        return result.output

    (tmp_path / "scenes").mkdir()
    one = make_scene(paint([[1]]), "scenes/one.tif")
    target, single = tmp_path / "all.gpkg", tmp_path / "single.gpkg"
    (tmp_path / "list.txt").write_text(f"{one}\n")
    assert "1 cells of 1 maps" in call(tmp_path / "scenes", "-o", target)
    for same_scene in (f"{tmp_path}/scenes/*.tif", f"@{tmp_path}/list.txt"):
        assert "1 up to date" in call(same_scene, "-o", target)
    make_scene(paint([[2]]), "scenes/two.tif")
    assert "1 cells of 2 maps" in call(tmp_path / "scenes", "-o", target)

    assert "of 1 maps" not in call(one, "-o", single)
    assert "single.gpkg is up to date" in call(one, one, "-o", single)
    call(f"{tmp_path}/scenes/o*.tif", "-o", tmp_path / "single.tif")
    wish = ("--map-crs", "EPSG:3035")
    assert "of 1 maps" in call(one, "-o", tmp_path / "laea.gpkg", *wish)
    assert "are for many scenes" in call(one, "-o", tmp_path / "laea.tif", *wish, code=1)


def start(scenes: Path, out: Path, *extra: str) -> subprocess.Popen[str]:
    """The command line in a process group of its own."""
    arguments: Sequence[str] = (str(scenes), "-o", f"{out}/", "-f", "tif", *extra)
    return subprocess.Popen(
        [sys.executable, "-m", "geoclass", "map", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def wait_for_first_map(out: Path) -> None:
    until = time.monotonic() + 120
    while not list(out.glob("*.tif")):
        assert time.monotonic() < until, "no map came"
        time.sleep(0.01)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_polite_end_leaves_whole_maps_and_says_how_to_go_on(
    scenes: Path, tmp_path: Path, signum: signal.Signals
) -> None:
    out = tmp_path / "maps"
    process = start(scenes, out)
    wait_for_first_map(out)
    process.send_signal(signum)
    _, err = process.communicate(timeout=60)
    if process.returncode == 1:
        pytest.skip("it was done before the signal came")
    assert process.returncode == 128 + signum, err
    assert "run the same command to resume" in err
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    assert json.loads((out / "summary.json").read_text())["not_done"] > 0


def test_killed_runs_end_in_the_same_maps(scenes: Path, tmp_path: Path) -> None:
    """Killed at five random moments, one worker and two; never is a file half there."""
    mend(scenes)
    run(scenes, tmp_path / "calm")
    out = tmp_path / "maps"
    generator = random.Random(7)
    for attempt in range(5):
        extra = ["--workers", "2"] if attempt % 2 else []
        process = start(scenes, out, *extra)
        if out.exists():
            time.sleep(generator.uniform(1.5, 4.0))
        else:
            wait_for_first_map(out)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        for path in out.glob("*.tif"):
            read_map(path)
    assert run(scenes, out).counts["failed"] == 0
    for path in (tmp_path / "calm").glob("*.tif"):
        assert same(read_map(out / path.name), read_map(path))
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
