"""Secrets stay out of files, reports and terminals, and a report opens what its reader named."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import geoclass.cli
from geoclass.cli.main import main
from geoclass.errors import SceneError
from geoclass.mapping.plan import plan_map
from geoclass.mapping.settings import MapRequest, MapSettings
from geoclass.outside import hide_secrets, printable, redact
from geoclass.products.files import read_map, write_map
from geoclass.report.page.render import write_report
from geoclass.scene.settings import MaskSettings
from tests.conftest import make_contract, make_landcover, paint
from tests.scene.server import serve
from tests.security.listener import listen

Make = Callable[..., Path]


@pytest.mark.parametrize(
    "text",
    [
        "https://x.org/a.tif?sig=S3CRET",
        "https://me:S3CRET@x.org/a.tif",
        "/vsicurl?header.Authorization=Bearer%20S3CRET&url=https%3A%2F%2Fx.org%2Fa.tif",
        "/vsicurl?header.X-Key=S3CRET&url=x",
        "a.tif?X-Amz-Signature=S3CRET&X-Amz-Date=1",
        "by mask.tif?sig=S3CRET",
        "PG:host=x user=me password=S3CRET dbname=y",
        "HTTP error: Authorization: Bearer S3CRETS3CRET",
        "aws_secret_access_key=S3CRET",
        "https://me:p@ss:S3CRET@x.org/a.tif",
        "https://x.org/a.tif%3Fsig=S3CRET",
        "a.tif%26token%3DS3CRET",
        "PG:host=x password='a S3CRET' dbname=y",
        "PG:password = S3CRET",
        '{"token": "S3CRET"}',
        "x-api-key: S3CRETS3CRET",
        "Cookie: session=S3CRETS3CRET",
    ],
)
def test_secrets_are_hidden(text: str) -> None:
    assert "S3CRET" not in hide_secrets(text)
    assert "S3CRET" not in str(SceneError(text))
    assert "S3CRET" not in json.dumps(redact({"a": [text], "b": (text,)}))
    assert hide_secrets(hide_secrets(text)) == hide_secrets(text)


@given(st.text())
def test_what_is_redacted_is_printable(text: str) -> None:
    shown = redact(text)
    assert shown == redact(shown)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in printable(text) if c != "\n")
    shown.encode()


@pytest.mark.parametrize("name", ["https://x.org/items.json#S2A", "/data/a#b.tif", "a=1", "key=x"])
def test_names_stay_what_they_are(name: str) -> None:
    assert redact(name) == name


def test_a_masks_signature_is_nowhere_in_a_map(tmp_path: Path, make_scene: Make) -> None:
    make_scene(np.zeros((1, 64, 128), np.uint8), "mask.tif", driver="COG")
    scene = make_scene(paint([[1, 2]]))
    with serve(tmp_path) as log:
        masks = MaskSettings(mask=f"{log.address}/mask.tif?sig=S3CRET")
        plan = plan_map(
            scene, make_contract(), "0" * 64, MapRequest(settings=MapSettings(masks=masks))
        )
        direct = MaskSettings(
            mask=f"/vsicurl?header.Authorization=Bearer%20S3CRET&url={log.address}/mask.tif"
        )
        other = plan_map(
            scene, make_contract(), "0" * 64, MapRequest(settings=MapSettings(masks=direct))
        )
    assert plan.provenance.masked_by == ("by mask.tif",)
    for made in (plan, other):
        landcover = make_landcover(2, 2, provenance=made.provenance)
        for target in (tmp_path / "map.gpkg", tmp_path / "map.tif"):
            write_map(landcover, target)
            assert b"S3CRET" not in target.read_bytes()
        assert "S3CRET" not in repr(made.preprocessing.masks.notes) + repr(made.warnings)


@pytest.mark.parametrize("option", ["--aoi", "--mask", "--scl"])
def test_passwords_are_not_printed(make_scene: Make, option: str, tmp_path: Path) -> None:
    scene = str(make_scene(paint([[1, 2]])))
    with listen() as host:
        secret = host.address.replace("//", "//me:S3CRET@")
        for value in (f"{secret}/a.geojson", "PG:host=127.0.0.1 password=S3CRET dbname=x"):
            arguments = ["map", scene, "-o", str(tmp_path / "m.tif"), option, value]
            result = CliRunner().invoke(main, arguments)
            assert result.exit_code == 1
            assert "Error: " in result.output
            assert "S3CRET" not in result.output


def test_a_report_opens_no_source_of_a_foreign_map(tmp_path: Path, make_scene: Make) -> None:
    scene = make_scene(np.full((3, 128, 192), 900, np.uint16))
    status = scene.stat()
    landcover = make_landcover(2, 3)
    with listen() as host:
        sources = [
            {"path": str(scene), "bytes": status.st_size, "modified_ns": status.st_mtime_ns},
            {"path": f"/vsicurl/{host.address}/x.tif", "files": []},
            {"path": f"{host.address}/x.tif"},
        ]
        for source in sources:
            provenance = replace(landcover.provenance, source=source)
            write_map(replace(landcover, provenance=provenance), tmp_path / "map.gpkg")
            write_report([tmp_path / "map.gpkg"], tmp_path / "page.html")
            assert "data:image/webp" not in (tmp_path / "page.html").read_text()
        assert host.asked == []


def test_a_report_never_asks_a_network(tmp_path: Path) -> None:
    write_map(make_landcover(2, 3), tmp_path / "map.gpkg")
    bands = {c: {"href": "HOST/x.tif"} for c in ("red", "green", "blue")}
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": "a", "geometry": None, "links": [],
        "properties": {"datetime": "2020-06-01T00:00:00Z"}, "stac_extensions": [], "assets": bands,
    }  # fmt: skip
    with listen() as host:
        text = json.dumps(item).replace("HOST", host.address)
        (tmp_path / "item.json").write_text(text)
        for scene in (
            f"{host.address}/x.tif",
            f"/vsicurl/{host.address}/x",
            "item.json",
            "s3://a/b",
        ):
            arguments = ["report", "map.gpkg", "-o", "page.html", "--scene", scene]
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(tmp_path)
                result = CliRunner().invoke(main, arguments)
            assert result.exit_code == 1
            assert "is a remote file, which is not opened here" in result.output
        assert host.asked == []


def test_controls_in_names_reach_no_terminal(tmp_path: Path, make_scene: Make) -> None:
    """Of items, areas and tables; the output is that of a terminal, with colours."""
    bands = {}
    for number, color in enumerate(("red", "green", "blue")):
        path = make_scene(paint([[1, 2]])[number : number + 1], f"{color}.tif")
        bands[color] = {"href": str(path)}
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": "a\x1b[2J\u202e\x9bmb\nlevel  fine",
        "geometry": None, "links": [], "stac_extensions": [], "assets": bands,
        "properties": {"datetime": "2020-06-01T00:00:00Z"},
    }  # fmt: skip
    (tmp_path / "item.json").write_text(json.dumps(item))
    write_map(make_landcover(2, 3), tmp_path / "map.gpkg")
    cells = gpd.read_file(tmp_path / "map.gpkg", layer="landcover")[["geometry"]].head(3)
    cells.assign(name="z\x1b[2J").to_file(tmp_path / "zones.geojson", engine="pyogrio")
    (tmp_path / "table.csv").write_text("stratum,area_ha,a\x1b[2J,b\na\x1b[2J,9,5,1\nb,9,2,9\n")
    for arguments in (
        ["info", "item.json"],
        ["areas", "map.gpkg", "--zones", "zones.geojson"],
        ["assess", "table.csv"],
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            result = CliRunner().invoke(main, arguments, color=True)
        assert result.exit_code == 0, result.output
        assert "\\x1b[2J" in result.output
        assert not set(result.output) & set("\x1b\u202e\x9b")
        assert "\nlevel  fine" not in result.output


def test_commands_print_by_one_function() -> None:
    cli = Path(geoclass.cli.__file__).parent
    with_echo = {p.name for p in cli.glob("*.py") if "click.echo(" in p.read_text()}
    assert with_echo == {"main.py", "progress.py", "qgis.py"}


def test_controls_in_a_foreign_map_reach_no_terminal(tmp_path: Path) -> None:
    path = tmp_path / "map.gpkg"
    write_map(make_landcover(2, 3), path)
    change = "UPDATE gpkg_metadata SET metadata = replace(metadata, 'scene.tif', 'a\\u001b[2J')"
    with sqlite3.connect(path) as database:
        assert database.execute(change).rowcount
    database.close()
    result = CliRunner().invoke(main, ["info", str(path)])
    assert "\x1b" not in result.output
    assert all("\x1b" not in str(value) for value in read_map(path).provenance.to_json().values())
