"""Structures from outside: one line says what is wrong, whatever stands in them."""

from __future__ import annotations

import contextlib
import copy
import gzip
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geoclass.campaign.scenes import _find_next, find_scenes
from geoclass.errors import GeoclassError, OutputError, SceneError, SettingsError
from geoclass.landcover import LandCoverMap
from geoclass.legend import EUROSAT, read_legend
from geoclass.monitor.change import change_maps, compare_dates, write_change
from geoclass.monitor.counts import read_table
from geoclass.monitor.files import read_monitor, read_stack, write_monitor
from geoclass.monitor.history import monitor_maps
from geoclass.monitor.settings import SeriesSettings
from geoclass.outside import parse_json
from geoclass.products.files import read_map, write_map
from geoclass.scene.georeference.region import read_region
from geoclass.scene.open.source import open_scene
from geoclass.scene.open.stac import read_item
from tests.conftest import make_detailed, make_landcover
from tests.monitor.scenes import yearly
from tests.scene.test_stac import describe
from tests.security.listener import listen

EXAMPLES = int(os.environ.get("GEOCLASS_FUZZ_EXAMPLES", "40"))
"""Of each test that changes structures at random; 10,000 take some minutes."""

fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=EXAMPLES == 40,
)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["nan", "\x1b[2J", "https://127.0.0.1:9/x", "/etc/x", 10**400, 1e308, -1]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=6,
)


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where a part of a structure stands, for all parts."""
    found = [path] if path else []
    parts = data.items() if isinstance(data, dict) else ()
    for key, part in enumerate(data) if isinstance(data, list) else parts:
        found += places(part, (*path, key))
    return found


@st.composite
def changed(draw: Any, whole: Any) -> Any:
    """A structure of which some parts are something else, or gone."""
    data = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        *above, last = draw(st.sampled_from(places(whole)))
        at = data
        with contextlib.suppress(KeyError, IndexError, TypeError):
            for key in above:
                at = at[key]
            if draw(st.booleans()):
                at[last] = draw(values)
            else:
                del at[last]
    return data


BAND = {"href": "./a.tif", "gsd": 10, "roles": ["data"], "eo:bands": [{"common_name": "red"}],
        "raster:bands": [{"scale": 1e-4, "offset": -0.1}]}  # fmt: skip
ITEM = describe(
    {c: BAND | {"eo:bands": [{"common_name": c}]} for c in ("red", "green", "blue")}
    | {"scl": {"href": "./scl.tif"}},
    **{"s2:processing_baseline": "05.09", "grid:code": "MGRS-32TPS", "platform": "sentinel-2a"},
)


@fuzz
@given(changed(ITEM))
def test_items(item: Any) -> None:
    with contextlib.suppress(SceneError):
        read_item(json.dumps(item).encode(), "/data/item.json", "item.json")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (("assets",), [], "item.assets: Expected `object`, got `array`"),
        (("assets", "red"), "x", r"item.assets\[...\]: Expected `object`"),
        (("assets", "red", "href"), 5, r"item.assets\[...\].href: Expected `str`, got `int`"),
        (("assets", "red", "eo:bands"), 5, "eo:bands: Expected `array . null`, got `int`"),
        (("assets", "red", "gsd"), "fine", "gsd: Expected `float . null`, got `str`"),
        (("properties",), None, "item.properties: Expected `object`, got `null`"),
        (("id",), [5], "item.id: Expected `.*`, got `array`"),
        (("id",), "\ud800", "item must not contain half a surrogate pair"),
    ],
)
def test_an_items_field_is_named(field: tuple[str, ...], value: Any, message: str) -> None:
    item = copy.deepcopy(ITEM)
    at = item
    for key in field[:-1]:
        at = at[key]
    at[field[-1]] = value
    with pytest.raises(SceneError, match=message):
        read_item(json.dumps(item).encode(), "/data/item.json", "item.json")


def test_an_asset_that_is_missing_is_named(tmp_path: Path, make_scene: Callable[..., Path]) -> None:
    make_scene(np.full((1, 70, 90), 900, np.uint16), "a.tif")
    item = copy.deepcopy(ITEM)
    item["assets"]["scl"] = {"href": "./none.tif"}
    path = tmp_path / "item.json"
    path.write_text(json.dumps(item))
    with pytest.raises(SceneError, match="item.json refers to .*none.tif, which is missing"):
        open_scene(path)


def test_depth_and_size_are_limited() -> None:
    for text in ("[" * 100_000, "[" * 50 + "]" * 50, '{"a":' * 100 + "1" + "}" * 100):
        with pytest.raises(ValueError, match="nested"):
            parse_json(text)
    with pytest.raises(ValueError, match="more than 20 MB"):
        parse_json(b" " * 20_000_001)
    with pytest.raises(ValueError, match="NaN is not a number"):
        parse_json("[NaN]")


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    path = tmp_path_factory.mktemp("map") / "map.gpkg"
    write_map(make_detailed(2, 3), path)
    return path, json.loads(read_text(path, "landcover", "GEOCLASS"))


def read_text(path: Path, layer: str, item: str) -> str:
    import pyogrio

    text: str = pyogrio.read_info(path, layer=layer)["layer_metadata"][item]
    return text


def rewrite(path: Path, old: str, new: str) -> None:
    """Replace an item's text in the metadata of a GeoPackage, which is XML."""
    from xml.sax.saxutils import escape

    with contextlib.closing(sqlite3.connect(path)) as database, database:
        (row, xml) = database.execute(
            "SELECT rowid, metadata FROM gpkg_metadata WHERE metadata LIKE '%>{%'"
        ).fetchone()
        start, end = xml.index(">{") + 1, xml.index("</MDI>", xml.index(">{"))
        xml = xml[:start] + escape(new, {'"': "&quot;"}) + xml[end:]
        database.execute("UPDATE gpkg_metadata SET metadata = ? WHERE rowid = ?", (xml, row))


def test_maps(described: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    path, whole = described
    copied = tmp_path / "map.gpkg"

    @fuzz
    @given(changed(whole))
    def check(data: Any) -> None:
        copied.write_bytes(path.read_bytes())
        rewrite(copied, "", json.dumps(data))
        with contextlib.suppress(OutputError):
            landcover = read_map(copied)
            json.dumps(landcover.provenance.to_json())
            landcover.areas()

    check()
    assert {p.name for p in tmp_path.iterdir()} == {"map.gpkg"}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (("grid", "height"), 1.5, "grid.height: Expected `int`, got `float`"),
        (("grid", "transform"), [1e-300, 0, 0, 0, -1e-300, 0], "pixels of some size"),
        (("grid", "transform"), [1, 0], "grid.transform: Expected `array` of length 6"),
        (("grid", "crs"), "nowhere", "grid.crs must be WKT"),
        (("grid", "height"), 2**30, "do not fit into memory|has 6 bytes, expected"),
        (("provenance", "date"), "banana", "provenance.date must be YYYY-MM-DD"),
        (("provenance", "warnings"), "x", "provenance.warnings: Expected `array`"),
        (("provenance", "radiometry"), {}, "provenance.radiometry has no name"),
        (("contract",), [], "description.contract: Expected `object`, got `array`"),
        (("schema_version",), "3", "schema_version: Expected `int`, got `str`"),
    ],
)
def test_a_maps_field_is_named(
    described: tuple[Path, dict[str, Any]], tmp_path: Path, field: Any, value: Any, message: str
) -> None:
    path, whole = described
    data = copy.deepcopy(whole)
    at = data
    for key in field[:-1]:
        at = at[key]
    at[field[-1]] = value
    copied = tmp_path / "map.gpkg"
    copied.write_bytes(path.read_bytes())
    rewrite(copied, "", json.dumps(data))
    with pytest.raises(OutputError, match=message):
        read_map(copied)


@pytest.mark.parametrize("name", ["class_id", "mask_reason", "valid_share"])
def test_codes_that_mean_nothing_are_refused(tmp_path: Path, name: str) -> None:
    good = make_landcover(2, 3)
    write_map(good, tmp_path / "good.tif")
    plane = np.full_like(good.class_id, 252)
    bad = make_landcover(2, 3, **{name: plane})
    for suffix in (".gpkg", ".tif"):
        path = tmp_path / f"map{suffix}"
        write_map(bad, path)
        with pytest.raises(OutputError, match=f"{name} holds numbers that mean nothing"):
            read_map(path)


def test_old_tables_of_cells_keep_their_range(tmp_path: Path) -> None:
    old = Path(__file__).parents[1] / "products" / "old" / "schema2.gpkg.gz"
    source = tmp_path / "source.gpkg"
    source.write_bytes(gzip.decompress(old.read_bytes()))
    assert isinstance(read_map(source), LandCoverMap)
    for change in ("class_id = 999", "class_id = -1", "row = 0, col = 0", "valid_share = NULL"):
        path = tmp_path / "old.gpkg"
        path.write_bytes(source.read_bytes())
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            for trigger in database.execute(
                "SELECT name FROM sqlite_master WHERE type='trigger'"
            ).fetchall():
                database.execute(f'DROP TRIGGER "{trigger[0]}"')
            database.execute(f"UPDATE cells SET {change}")
        with pytest.raises(OutputError, match="whole numbers from 0|each cell once"):
            read_map(path)


@pytest.mark.parametrize("kind", ["monitor", "change"])
def test_monitor_and_change_files(tmp_path: Path, kind: str) -> None:
    maps = yearly([[1, 1]], [[1, 0]], [[0, 0]])
    path, copied = tmp_path / "good.gpkg", tmp_path / "bad.gpkg"

    def read_change(file: Path) -> Any:
        return compare_dates(*read_stack(file, "change", SeriesSettings)[:2])

    read: Callable[[Path], Any]
    if kind == "monitor":
        write_monitor(monitor_maps(maps), path)
        read, layer = read_monitor, "series"
    else:
        write_change(change_maps(*maps[:2]), path)
        read, layer = read_change, "change"
    whole = json.loads(read_text(path, layer, f"GEOCLASS_{kind.upper()}"))

    @fuzz
    @given(changed(whole))
    def check(data: Any) -> None:
        copied.write_bytes(path.read_bytes())
        rewrite(copied, "", json.dumps(data))
        with contextlib.suppress(GeoclassError):
            read(copied)

    check()


@fuzz
@given(changed({"Forest": {"title": "Wald", "color": "#123456", "group": "wood"}}) | values)
def test_legends(data: Any) -> None:
    with contextlib.suppress(ValueError):
        EUROSAT.described(json.dumps(data))


@pytest.mark.parametrize("title", ["a\x1b[2J", "a\nb", "a\u202eb", "x" * 201, "\ufffe"])
def test_titles_that_break_styles_are_refused(tmp_path: Path, title: str) -> None:
    path = tmp_path / "legend.json"
    path.write_text(json.dumps({"Forest": {"title": title}}))
    with pytest.raises(
        SettingsError, match="title of a class must be at most 200 letters, without"
    ):
        read_legend(path, EUROSAT)


@fuzz
@given(st.binary(max_size=200))
def test_tables(data: bytes) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        file.write(data)
        file.flush()
        with contextlib.suppress(OutputError, SettingsError):
            read_table(Path(file.name))


@pytest.mark.parametrize(
    "coordinates",
    [
        "[]",
        "[[]]",
        "[[[0, 0], [1, 1], [0, 0]]]",
        "[[[1e308, -1e308], [1e308, 1e308], [-1e308, 0], [1e308, -1e308]]]",
    ],
)
def test_polygons_without_an_area_are_none(tmp_path: Path, coordinates: str) -> None:
    path = tmp_path / "aoi.geojson"
    path.write_text(f'{{"type": "Polygon", "coordinates": {coordinates}}}')
    with pytest.raises(SceneError, match="has no polygons|closed linestring"):
        read_region(path)


@pytest.mark.parametrize("href", ["http://[", "http://[::1", "//[", 5, None, ["a"]])
def test_a_search_that_goes_on_nowhere_is_given_up(href: Any) -> None:
    page = {"type": "FeatureCollection", "features": [{"id": "a"}],
            "links": [{"rel": "next", "href": href}]}  # fmt: skip
    with pytest.raises(SceneError, match="needs a STAC client"):
        _find_next(page, "file:///search.json")


def test_a_search_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from geoclass.campaign import scenes

    monkeypatch.setattr(scenes, "MOST_PAGES", 7)

    def answer(handler: Any) -> None:
        number = len(host.asked)
        page = {"type": "FeatureCollection", "features": [{"id": f"{number}"}],
                "links": [{"rel": "next", "href": f"/{number}.json"}]}  # fmt: skip
        body = json.dumps(page).encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with listen(answer) as host, pytest.raises(SceneError, match="7 items in all, and more follow"):
        find_scenes([f"{host.address}/search.json"])
