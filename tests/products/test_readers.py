"""Formats and readers: the table in docs/formats.md, cell by cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from geoclass.landcover import LandCoverMap
from tests.conftest import ROOT, make_landcover
from tests.qgis.program import MISSING, find_qgis
from tests.test_scripts import load

compare = load("compare_readers")


def read_table() -> dict[tuple[str, str], str]:
    """What the document says, by format and reader."""
    lines = (ROOT / "docs" / "formats.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    head = next(i for i, row in enumerate(rows) if row[1:] == list(compare.READERS))
    body = rows[head + 2 : head + 2 + len(compare.FILES)]
    return {
        (row[0], reader): cell
        for row in body
        for reader, cell in zip(compare.READERS, row[1:], strict=True)
    }


TABLE = read_table()


@pytest.fixture(scope="module")
def landcover() -> LandCoverMap:
    return make_landcover(8, 8)


@pytest.fixture(scope="module")
def folder(landcover: LandCoverMap, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("formats")
    compare.write_all(landcover, path)
    return path


def test_table_has_every_format_and_reader() -> None:
    assert set(TABLE) == {(f, r) for f in compare.FILES for r in compare.READERS}


@pytest.mark.parametrize(("file_format", "reader"), TABLE)
def test_reader_finds_what_the_table_says(
    folder: Path, landcover: LandCoverMap, file_format: str, reader: str
) -> None:
    if reader.startswith("QGIS") and find_qgis() is None:
        pytest.skip(MISSING)
    found = compare.read_cell(file_format, reader, folder, landcover)
    assert found == TABLE[file_format, reader]


def test_other_map_is_noticed(folder: Path) -> None:
    """The comparison itself: another map's cells are wrong for every reader of cells."""
    other = make_landcover(8, 8, seed=1)
    for file_format, reader in (
        ("GeoPackage", "GDAL"), ("GeoParquet", "geopandas"), ("GeoParquet", "pyarrow"),
    ):  # fmt: skip
        with pytest.raises(compare.WrongError):
            compare.read_cell(file_format, reader, folder, other)
    with pytest.raises(AssertionError):
        compare.read_cell("GeoTIFF (COG)", "GDAL", folder, other)
