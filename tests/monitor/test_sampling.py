"""Samples: drawn, labelled, counted."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyogrio
import pytest

from geoclass.cli.accuracy import format_assessment
from geoclass.errors import OutputError, SettingsError
from geoclass.landcover import LandCoverMap
from geoclass.legend import MASKED, UNKNOWN
from geoclass.monitor.area import assess_counts, assess_sample, read_sample
from geoclass.monitor.change import change_maps
from geoclass.monitor.counts import read_table
from geoclass.monitor.sampling import (
    allocate,
    draw_sample,
    stratify_change,
    stratify_map,
    write_sample,
)
from geoclass.monitor.settings import SampleSettings
from tests.monitor.scenes import CLOUD, CROP, FOREST, WATER, make_map

F, C, W, X = FOREST, CROP, WATER, CLOUD


@pytest.fixture
def landcover() -> LandCoverMap:
    codes = np.full((20, 20), F)
    codes[:5], codes[5:7, :4], codes[7] = C, W, X
    return make_map(codes, trim=(30, 0)).landcover


def label(path: Path, labels: dict[int, str]) -> None:
    """Fill in labels by number of the sample, as a person would in QGIS."""
    with closing(sqlite3.connect(path)) as database, database:
        # The triggers of the spatial index ask for functions that QGIS has.
        triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'rtree%'"
        for (name,) in database.execute(triggers).fetchall():
            database.execute(f"DROP TRIGGER {name}")
        database.executemany(
            "UPDATE sample SET reference = ? WHERE sample_id = ?",
            [(text, number) for number, text in labels.items()],
        )


def test_strata_are_the_classes_that_the_map_claims(landcover: LandCoverMap) -> None:
    strata = stratify_map(landcover)
    assert strata.names == ("AnnualCrop", "Forest", "SeaLake")
    assert (strata.stratum[7] == -1).all()
    sample = draw_sample(strata, settings=SampleSettings(per_class=10))
    drawn = strata.stratum[sample.rows, sample.cols]
    assert np.bincount(drawn).tolist() == [10, 10, 8]  # there are eight cells of water
    assert len(set(zip(sample.rows, sample.cols, strict=True))) == 28


def test_a_seed_draws_the_same_cells_and_another_seed_others(landcover: LandCoverMap) -> None:
    def drawn(seed: int) -> list[int]:
        return draw_sample(
            stratify_map(landcover), settings=SampleSettings(per_class=10, seed=seed)
        ).rows.tolist()

    assert drawn(1) == drawn(1) != drawn(2)


def test_allocations_share_the_cells_as_they_say(landcover: LandCoverMap) -> None:
    strata = stratify_map(landcover)
    area = landcover.grid.areas_ha()
    shares = np.array([area[strata.stratum == i].sum() for i in range(3)])
    shares = shares / shares.sum()
    proportional = allocate(strata, SampleSettings(per_class=30, allocation="proportional"))
    assert proportional.tolist() == np.rint(90 * shares).astype(int).tolist()
    # Where the map is equally sure everywhere, Neyman's allocation is the proportional one.
    neyman = allocate(strata, SampleSettings(per_class=30, allocation="neyman"))
    assert neyman.tolist() == proportional.tolist()
    few = allocate(strata, SampleSettings(per_class=2, allocation="proportional"))
    assert few.min() == 2


def test_change_has_strata_of_its_own() -> None:
    old = make_map([[F, F, C, C], [F, F, C, C]], "2010-06-01", sure=0.99)
    new = make_map([[F, C, F, C], [F, C, F, C]], "2020-06-01", sure=0.99)
    strata = stratify_change(change_maps(old, new))
    assert strata.names == ("forest loss", "forest gain", "stable forest", "stable non-forest")
    assert strata.stratum[0].tolist() == [2, 0, 1, 3]
    with pytest.raises(SettingsError, match="wood is not a group"):
        stratify_change(change_maps(old, new), "wood")


def test_a_labelled_sample_is_assessed(landcover: LandCoverMap, tmp_path: Path) -> None:
    path = tmp_path / "s.gpkg"
    sample = draw_sample(stratify_map(landcover), settings=SampleSettings(per_class=20))
    write_sample(sample, path, chips={1: "s_chips/0001.png"})
    layer = pyogrio.read_dataframe(path, layer="sample")
    assert "stratum" not in layer.columns  # who labels does not see what the map says
    assert layer["chip"][0] == "s_chips/0001.png"
    with pytest.raises(SettingsError, match=r"48 of 48 samples .* not labelled.*--partial"):
        read_sample(path)
    names = pyogrio.read_dataframe(path, layer="design", read_geometry=False)["map_class"]
    label(path, dict(enumerate(names, start=1)))
    counts, empty = read_sample(path)
    assert (empty, counts.counts.sum()) == (0, 48)
    result = assess_counts(counts)
    assert result.overall.value == 1
    area = landcover.grid.areas_ha()
    forest = next(c for c in result.classes if c.name == "Forest")
    assert forest.area_ha.value == pytest.approx(area[landcover.class_id == F].sum(), rel=1e-6)
    label(path, {1: "", 2: "Forest"})
    assert read_sample(path, partial=True)[1] == 1
    label(path, {2: "Wald"})
    with pytest.raises(SettingsError, match=r"unknown labels: Wald; classes are AnnualCrop"):
        read_sample(path, partial=True)


def test_a_stratum_of_one_cell_is_sampled_whole(tmp_path: Path) -> None:
    landcover = make_map([[F, F, F, F, F], [F, F, F, F, W]]).landcover
    sample = draw_sample(stratify_map(landcover), settings=SampleSettings(per_class=3))
    assert (landcover.class_id[sample.rows, sample.cols] == W).sum() == 1
    path = tmp_path / "s.gpkg"
    write_sample(sample, path)
    names = pyogrio.read_dataframe(path, layer="design", read_geometry=False)["map_class"]
    label(path, dict(enumerate(names, start=1)))
    label(path, {1 + int(np.flatnonzero(names == "Forest")[0]): "SeaLake"})
    result = assess_sample(path)
    water = next(c for c in result.classes if c.name == "SeaLake")
    forest = next(c for c in result.classes if c.name == "Forest")
    assert (water.users.value, water.users.error) == (1, 0)
    assert forest.users.value == pytest.approx(2 / 3)
    assert forest.users.error > 0
    assert water.area_ha.value == pytest.approx((1 + 9 / 3) / 10 * result.area_ha)
    label(path, {1 + int(np.flatnonzero(names == "SeaLake")[0]): ""})
    with pytest.raises(SettingsError, match="at least two labelled samples.*SeaLake has 0"):
        assess_sample(path, partial=True)


def test_nothing_to_draw_from_is_refused() -> None:
    with pytest.raises(SettingsError, match="no cell has a class"):
        draw_sample(stratify_map(make_map([[X]]).landcover))
    with pytest.raises(SettingsError, match="at least 2 samples"):
        SampleSettings(per_class=1)


def test_a_sample_says_for_which_area_it_holds(landcover: LandCoverMap, tmp_path: Path) -> None:
    codes = landcover.class_id.copy()
    codes[10:12], codes[12, :5] = UNKNOWN, MASKED
    partly = replace(landcover, class_id=codes)
    strata = stratify_map(partly)
    area = partly.grid.areas_ha()
    expected = {"unknown": area[codes == UNKNOWN].sum(), "masked": area[codes == MASKED].sum()}
    found = {name: ha for name, ha in strata.left_out_ha.items() if name in expected}
    assert found == pytest.approx(expected)
    assert sum(strata.left_out_ha.values()) + area[strata.stratum >= 0].sum() == pytest.approx(
        area.sum()
    )
    path = tmp_path / "s.gpkg"
    write_sample(draw_sample(strata, settings=SampleSettings(per_class=10)), path)
    names = pyogrio.read_dataframe(path, layer="design", read_geometry=False)["map_class"]
    label(path, dict(enumerate(names, start=1)))
    result = assess_sample(path)
    assert result.left_out_ha == pytest.approx(strata.left_out_ha)
    assert f"not for {expected['unknown']:,.0f} ha unknown" in format_assessment(result)


def test_other_files_are_no_samples(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no regular file of that name"):
        read_sample(tmp_path / "none.gpkg")
    (tmp_path / "x.gpkg").write_text("x")
    with pytest.raises(OutputError, match="cannot read"):
        read_sample(tmp_path / "x.gpkg")


def test_tables_of_counts_are_read_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "counts.csv"
    path.write_text("stratum,area_ha,loss,stable\nloss,10,8,2\nstable,90,1,19\n")
    result = assess_counts(read_table(path))
    assert result.overall.value == pytest.approx(0.1 * 0.8 + 0.9 * 0.95)
    for text, message in (
        ("stratum,loss\nloss,1\n", "lacks the column area_ha"),
        ("stratum,area_ha,a\nb,1,1\n", "expected the same classes"),
        ("stratum,area_ha,a\na,many,1\n", "not a number"),
    ):
        path.write_text(text)
        with pytest.raises(SettingsError, match=message):
            read_table(path)


GOOD = "stratum,area_ha,forest,other\nforest,1200.5,45,5\nother,8800.25,3,47\n"
TOTALS = (
    "stratum,area_ha,forest,other,total\nforest,1200.5,45,5,50\nother,8800.25,3,47,50\n"
    "total,10000.75,48,52,100\n"
)
TABLES = {
    "byte order mark": GOOD.encode("utf-8-sig"),
    "UTF-16": GOOD.encode("utf-16"),
    "semicolons": GOOD.replace(",", ";").encode(),
    "decimal commas": GOOD.replace(",", ";").replace(".", ",").encode(),
    "semicolons as Excel is told": f"sep=;\n{GOOD.replace(',', ';')}".encode(),
    "a row of totals without an area": f"{GOOD}Total,,48,52\n".encode(),
    "tabs": GOOD.replace(",", "\t").encode(),
    "thousands": GOOD.replace("1200.5", '"1,200.5"').replace("8800.25", '"8,800.25"').encode(),
    "points of thousands": GOOD.replace(",", ";").replace("1200.5", "1.200,5").encode(),
    "blanks": GOOD.replace(",", ", ").encode(),
    "counts with a point": GOOD.replace("45", "45.0").encode(),
    "an empty line": f"{GOOD}\n;;\n".replace(";;", "").encode(),
    "Windows' line ends": GOOD.replace("\n", "\r\n").encode(),
    "capitals": GOOD.replace("stratum,area_ha", "Stratum,Area_ha").encode(),
    "a row and a column of totals": TOTALS.encode(),
    "a row of totals": f"{GOOD}total,10000.75,48,52\n".encode(),
    "a column of totals": TOTALS[: TOTALS.index("total,1")].encode(),
    "rows in another order": "\n".join(
        GOOD.splitlines()[i] for i in (0, 2, 1)
    ).encode(),
}  # fmt: skip


@pytest.mark.parametrize("data", TABLES.values(), ids=TABLES)
def test_tables_are_read_as_spreadsheets_write_them(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "counts.csv"
    path.write_text(GOOD)
    expected = assess_counts(read_table(path))
    path.write_bytes(data)
    found = assess_counts(read_table(path))
    assert found.overall == pytest.approx(expected.overall)
    assert found.samples == 100
    assert {c.name: c.area_ha.value for c in found.classes} == pytest.approx(
        {c.name: c.area_ha.value for c in expected.classes}
    )


REFUSED = {
    "totals that are none": (TOTALS.replace("48,52", "48,51"), "is not the sum of the others"),
    "a sum under another name": (
        "stratum,area_ha,a,b,c\na,1,5,1,0\nb,2,1,6,2\nc,3,6,7,2\n",
        "row c of .* is the sum of the others",
    ),
    "a comma that may be either": (GOOD.replace("1200.5", '"1,200"'), "1200 or 1.2"),
    "half a sample": (GOOD.replace("45", "45.5"), "whole counts"),
    "fewer than none": (GOOD.replace("45", "-45"), "counts of at least 0"),
    "two rows of one class": (f"{GOOD}other,8800.25,3,47\n", "two rows of one name"),
    "a line that is too long": (GOOD.replace("3,47", "3,4,7"), "line 3 of .* 5 columns"),
    "no separator that is known": (GOOD.replace(",", " "), "split at ','"),
    "an area that is none": (GOOD.replace("1200.5", "nan"), "not a number"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_tables_that_may_mean_something_else_are_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "counts.csv"
    path.write_text(text)
    with pytest.raises(SettingsError, match=message):
        read_table(path)
