"""How long maps of millions of cells take to write, to read back, and how much memory.

python scripts/measure_large_map.py --cells 2000000 --folder /tmp
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyogrio
from affine import Affine
from scipy.ndimage import gaussian_filter

from geoclass.grid import Grid
from geoclass.landcover import LandCoverMap, Provenance, quantise_probabilities
from geoclass.model.checkpoint import load_model
from geoclass.products.files import read_map, write_map
from geoclass.products.formats import FileSettings

CRS = 'PROJCS["unknown",GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],PARAMETER["latitude_of_origin",0],PARAMETER["central_meridian",15],PARAMETER["scale_factor",0.9996],PARAMETER["false_easting",500000],PARAMETER["false_northing",0],UNIT["metre",1]]'  # noqa: E501


def make_map(cells: int, smoothness: float) -> LandCoverMap:
    """A square map of stride 8; classes of smoothed noise, in patches of all sizes."""
    side = round(cells**0.5)
    contract = load_model().contract
    generator = np.random.default_rng(0)
    noise = np.stack(
        [
            gaussian_filter(generator.normal(size=(side, side)), smoothness)
            for _ in contract.legend.names
        ],
        axis=2,
    )
    odds = np.exp(3 * noise / noise.std())
    probabilities = quantise_probabilities(odds / odds.sum(axis=2, keepdims=True))
    best = probabilities.argmax(axis=2).astype(np.uint8)
    transform = Affine(10, 0, 330000, 0, -10, 5822040)
    return LandCoverMap(
        grid=Grid(height=8 * side, width=8 * side, transform=transform, crs=CRS, stride=8),
        contract=contract,
        provenance=Provenance(
            scene="noise.tif", date="2020-06-01", source={}, bands=(1, 2, 3), radiometry={},
            model="", options={}, version="", command="", fingerprint="ab" * 32,
        ),
        class_id=best,
        best_class=best,
        probabilities=probabilities,
        valid_share=np.full(best.shape, 250, np.uint8),
        mask_reason=np.zeros(best.shape, np.uint8),
    )  # fmt: skip


@contextmanager
def say_time(what: str) -> Iterator[None]:
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"{what:<44}{wall:8.1f} s{cpu:8.1f} s of a core{peak:8.0f} MB at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=2_000_000)
    parser.add_argument(
        "--smoothness", type=float, default=2.0, help="sigma of the noise, in cells"
    )
    parser.add_argument("--folder", type=Path, default=None, help="where files are written")
    arguments = parser.parse_args()
    with say_time("make"):
        landcover = make_map(arguments.cells, arguments.smoothness)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder) / "map.gpkg"
        for name, settings in (
            ("dissolved", FileSettings()),
            ("a polygon a cell", FileSettings(dissolve=False)),
        ):
            with say_time(f"write, {name}"):
                write_map(landcover, path, settings=settings)
            polygons = pyogrio.read_info(path, layer="landcover")["features"]
            size = path.stat().st_size / 1e6
            print(f"  {landcover.class_id.size} cells, {polygons} polygons, {size:.0f} MB")
            with say_time("read back"):
                same = np.array_equal(read_map(path).class_id, landcover.class_id)
            print(f"  {'the same' if same else 'another map'}")


if __name__ == "__main__":
    main()
