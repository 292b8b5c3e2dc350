"""Files changed at random: they are read, or refused in one line; no host is asked.

Beside `test_structures.py`, which changes the texts in files: here the bytes of whole files change,
and what is read is used. `GEOCLASS_FUZZ_EXAMPLES` is the number of examples of each test.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import geoclass
from geoclass.errors import GeoclassError, ModelError
from geoclass.landcover import LandCoverMap
from geoclass.model.checkpoint import load_model
from geoclass.model.classifier import Classifier
from geoclass.monitor.area import read_sample
from geoclass.monitor.counts import read_table
from geoclass.monitor.sampling import sample_map, write_sample
from geoclass.monitor.tables import read_zones
from geoclass.outside import offline
from geoclass.products.files import read_map, write_map
from geoclass.products.layers import read_features
from geoclass.scene.georeference.region import read_region
from geoclass.scene.open.source import open_scene
from tests.conftest import make_detailed, make_landcover
from tests.security.listener import Host, listen
from tests.security.test_names import drop_triggers
from tests.security.test_structures import ITEM, changed, fuzz

# rasterio cannot decode some messages of GDAL; commands do not print that (`print_unraisable`).
pytestmark = pytest.mark.filterwarnings("ignore:.*rasterio._env.log_error")

MOST_SECONDS = 120
"""Of one example: far more than any takes on a busy machine."""

HOST = Host()


@pytest.fixture(scope="module", autouse=True)
def host() -> Iterator[None]:
    """A host that some of the files name, and nobody asks."""
    with listen() as there:
        HOST.address = there.address
        yield
        assert there.asked == []


@pytest.fixture(autouse=True)
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Python opens no connection, and nothing is written where the program runs."""

    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    yield
    assert list(folder.iterdir()) == []


@contextlib.contextmanager
def ending() -> Iterator[None]:
    """What is refused is refused, and what does not end fails."""

    def fail(*_: object) -> None:
        raise AssertionError(f"it took more than {MOST_SECONDS} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(MOST_SECONDS)
    try:
        with contextlib.suppress(GeoclassError):
            yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@st.composite
def damaged(draw: Any, content: bytes, *, near: int) -> bytes:
    """Bytes of which some are others, most of them among the first `near`, or the end is gone."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        most = draw(st.sampled_from([near, len(data)]))
        place = draw(st.integers(0, max(0, min(most, len(data)) - 1)))
        kind = draw(st.sampled_from(["flip", "set", "cut", "add"]))
        if kind == "flip":
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set":
            other = draw(st.binary(min_size=1, max_size=8) | st.sampled_from([b"\xff" * 8, b"\0"]))
            data[place : place + len(other)] = other
        elif kind == "cut":
            del data[place : place + draw(st.sampled_from([1, 100, len(data)]))]
        else:
            data[place:place] = draw(st.binary(min_size=1, max_size=8))
        if not data:
            break
    return bytes(data)


def split_model(content: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and tensors of a safetensors file."""
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]


def join_model(head: Any, tensors: bytes) -> bytes:
    text = json.dumps(head).encode()
    return len(text).to_bytes(8, "little") + text + tensors


def use_model(path: Path) -> None:
    """Read a model and label a tile; what it says is a probability."""
    with ending():
        model = load_model(path)
        geoclass.describe_model(model)
        classifier = Classifier(model, device="cpu", batch_size=1)
        try:
            told = classifier.predict(np.full((1, 3, 64, 64), 90, np.uint8)).probabilities
        finally:
            classifier.close()
        np.testing.assert_allclose(told.sum(axis=1), 1, atol=1e-4)


def test_models_of_other_bytes(random_model: Path, tmp_path: Path) -> None:
    content, path = random_model.read_bytes(), tmp_path / "m.safetensors"
    near = 8 + int.from_bytes(content[:8], "little")

    @fuzz
    @given(damaged(content, near=near))
    def check(data: bytes) -> None:
        path.write_bytes(data)
        use_model(path)

    check()


def test_models_of_other_headers(random_model: Path, tmp_path: Path) -> None:
    """Types, shapes and places of tensors."""
    (head, tensors), path = split_model(random_model.read_bytes()), tmp_path / "m.safetensors"
    kinds = st.sampled_from(["F64", "F16", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "F4", "X"])
    sizes = st.sampled_from([0, 1, 2, 10, 2**31, 2**62, 2**64, -1])

    @fuzz
    @given(changed(head), st.data())
    def check(other: Any, data: st.DataObject) -> None:
        with contextlib.suppress(KeyError, TypeError, AttributeError, IndexError):
            tensor = other[data.draw(st.sampled_from(sorted(head)))]
            if data.draw(st.booleans()):
                tensor["dtype"] = data.draw(kinds)
            if data.draw(st.booleans()):
                tensor["shape"] = data.draw(st.lists(sizes, max_size=5))
        path.write_bytes(join_model(other, tensors))
        use_model(path)

    check()


def test_models_of_other_contracts(random_model: Path, tmp_path: Path) -> None:
    (head, tensors), path = split_model(random_model.read_bytes()), tmp_path / "m.safetensors"
    told = json.loads(head["__metadata__"]["geoclass"])

    @fuzz
    @given(changed(told))
    def check(other: Any) -> None:
        head["__metadata__"] = {"geoclass": json.dumps(other)}
        path.write_bytes(join_model(head, tensors))
        use_model(path)

    check()


def test_models_of_other_weights(random_model: Path, tmp_path: Path) -> None:
    """Not finite, huge, tiny, negative variances: a probability, or refused."""
    (head, tensors), path = split_model(random_model.read_bytes()), tmp_path / "m.safetensors"
    names = sorted(name for name in head if head[name].get("dtype") == "F32")
    values = st.sampled_from([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e30, 1e-45, -1.0, 0.0])
    told = []

    @fuzz
    @given(st.lists(st.tuples(st.sampled_from(names), values, st.booleans()), min_size=1))
    def check(changes: list[tuple[str, float, bool]]) -> None:
        data = bytearray(tensors)
        for name, value, whole in changes:
            start, end = head[name]["data_offsets"]
            weights = np.frombuffer(memoryview(data)[start:end], np.float32)
            weights[: None if whole else 1] = value
        path.write_bytes(join_model(head, bytes(data)))
        use_model(path)
        if not all(np.isfinite(value) for _, value, _ in changes):
            told.append(changes)
            last = {name: value for name, value, _ in changes}
            if not all(map(np.isfinite, last.values())):
                with pytest.raises(ModelError, match="is not finite|holds a variance"):
                    load_model(path)

    check()
    assert told


@pytest.mark.parametrize("suffix", [".gpkg", ".tif"])
@pytest.mark.parametrize("make", [make_landcover, make_detailed])
def test_maps_of_other_bytes(
    tmp_path: Path, suffix: str, make: Callable[..., LandCoverMap]
) -> None:
    path = tmp_path / f"map{suffix}"
    write_map(make(2, 3), path)
    content = path.read_bytes()

    @fuzz
    @given(damaged(content, near=4096))
    def check(data: bytes) -> None:
        path.write_bytes(data)
        with ending():
            landcover = read_map(path)
            landcover.areas()

    check()


def test_items_are_opened(tmp_path: Path, make_scene: Callable[..., Path]) -> None:
    for name in ("a", "scl"):
        make_scene(np.full((1, 70, 90), 900, np.uint16), f"{name}.tif")
    path = tmp_path / "item.json"

    @fuzz
    @given(changed(ITEM), st.booleans())
    def check(item: Any, named: bool) -> None:
        text = json.dumps(item)
        if named:  # as if from a server, which names another
            text = text.replace("./a.tif", f"{HOST.address}/a.tif")
        path.write_text(text)
        with ending(), offline():
            open_scene(path)

    check()


SQUARE = [[[10.0, 50.0], [10.1, 50.0], [10.1, 50.1], [10.0, 50.0]]]
AREA = {
    "type": "FeatureCollection",
    "crs": {"type": "name", "properties": {"name": "EPSG:4326"}},
    "features": [
        {"type": "Feature", "id": 1, "properties": {"name": "a", "n": 1}, "geometry": shape}
        for shape in (
            {"type": "Polygon", "coordinates": SQUARE},
            {"type": "MultiPolygon", "coordinates": [SQUARE, SQUARE]},
            {
                "type": "GeometryCollection",
                "geometries": [{"type": "Point", "coordinates": [1, 2]}],
            },
        )
    ],
}


def test_areas_zones_and_plots(tmp_path: Path) -> None:
    path, grid = tmp_path / "area.geojson", make_landcover(2, 3).grid

    @fuzz
    @given(changed(AREA), st.sampled_from(["name", "link", "url", "EPSG", "OGC"]))
    def check(area: Any, kind: str) -> None:
        text = json.dumps(area).replace('"type": "name"', f'"type": "{kind}"')
        path.write_text(text.replace("EPSG:4326", HOST.address) if kind != "EPSG" else text)
        for read in (read_region, read_features, lambda p: read_zones(p, grid)):
            with ending():
                read(path)

    check()


def test_samples(tmp_path: Path) -> None:
    """Cells of a labelled sample's tables may hold anything, whatever type their column has."""
    good, path = tmp_path / "good.gpkg", tmp_path / "sample.gpkg"
    write_sample(sample_map(make_landcover(4, 5)), good)
    with contextlib.closing(sqlite3.connect(good)) as database:
        columns = {
            (table, row[1])
            for table in ("sample", "design", "strata", "left_out")
            for row in database.execute(f"PRAGMA table_info({table})")
            if row[1] not in ("fid", "geom")
        }
    values = st.none() | st.text(max_size=9) | st.floats() | st.integers(-(2**63), 2**63 - 1)
    some = values | st.binary(max_size=9) | st.sampled_from(["Forest", "nan", 0, -1])

    @fuzz
    @given(st.lists(st.tuples(st.sampled_from(sorted(columns)), some), min_size=1, max_size=4))
    def check(changes: list[tuple[tuple[str, str], Any]]) -> None:
        path.write_bytes(good.read_bytes())
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            drop_triggers(database)
            for (table, column), value in changes:
                with contextlib.suppress(UnicodeEncodeError):
                    database.execute(f'UPDATE "{table}" SET "{column}" = ?', (value,))
        with ending():
            read_sample(path, partial=True)
            geoclass.assess_sample(path, partial=True)

    check()


CELLS = st.sampled_from(
    ["", "1", "2.5", "1,200", "1e400", "nan", "-1", "9" * 400, "Σ", "x\x1b", "٣"]
)


@fuzz
@given(st.lists(st.lists(CELLS, min_size=3, max_size=4), max_size=4), st.sampled_from(",;\t"))
def test_tables_of_counts(rows: list[list[str]], separator: str) -> None:
    path = Path("../table.csv")
    lines = [["stratum", "area_ha", "a", "b"][: max(map(len, rows), default=4)], *rows]
    path.write_text("\n".join(separator.join(line) for line in lines))
    with ending():
        read_table(path)
        geoclass.assess_sample(path)


def test_the_examples_are_not_all_refused(random_model: Path, tmp_path: Path) -> None:
    """The files before they are changed are read, so that it is the changes that are refused."""
    assert torch.isfinite(next(load_model(random_model).network.parameters())).all()
    path = tmp_path / "area.geojson"
    path.write_text(json.dumps(AREA))
    assert len(read_features(path).shapes) == 3
    assert read_region(path).shape.area > 0
