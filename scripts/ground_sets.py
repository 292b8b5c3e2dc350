"""The data sets of real ground that scripts/measure_ground measures maps on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
from ground_maps import Raster, find_bright, make_map, place, read_labels
from ground_scores import (
    GROUPS,
    IGNORED,
    Score,
    add_up,
    compare,
    find_best_map,
    find_codes,
    find_uniform,
    keep_unknown,
    score_pixels,
    share,
    spread,
)
from measure_radiometry import compare as compare_tiles
from measure_radiometry import read_labels as read_eye_labels
from rasterio.features import rasterize

from geoclass.errors import SceneError
from geoclass.grid import Grid
from geoclass.legend import MASKED, NODATA, UNKNOWN
from geoclass.model.checkpoint import Model
from geoclass.scene.settings import MaskSettings, RadiometrySettings

HALVES = ("choose", "report")

S2GLC = {2: "built_up", 3: "crops", 4: "forest", 5: "forest", 6: "grassland", 9: "water"}
OSCD = {1: "water", 2: "forest", 3: "other"}
AMAZON = {1: "forest", 2: "other"}

AMAZON_WHITE = 197
"""The 8-bit value of digital number 2750: those files hold DN / 13.95."""

LEAST_HA = 2.0
"""Of woods and waters of OpenStreetMap: smaller ones are left out."""

CLEAR_SHARE = 0.8
"""Of a clear scene: as many pixels are not white."""

ROOT = Path(__file__).resolve().parents[1]
SAMPLE_SCENE = ROOT / "sample_scenes" / "havelland_20170216_l1c.tif"
EYE_CLOUDS = ROOT / "docs" / "eye-clouds.geojson"

LEVEL_2A = RadiometrySettings(profile="l2a", dn_offset=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What is measured, and on what."""

    folder: Path
    scenes: Path
    model: Model
    half: str
    """`choose` or `report`."""


Measures = dict[str, Any]
"""Name → share of 1, or a dictionary of such."""


def code_labels(labels: np.ndarray, groups: dict[int, str], names: tuple[str, ...]) -> np.ndarray:
    """Codes of labels, both uint8 (height, width); IGNORED for labels that have no group."""
    table = np.full(256, IGNORED, dtype=np.uint8)
    for label, group in groups.items():
        table[label] = names.index(group)
    return table[labels]


def measure_s2glc(bench: Bench, stride: int) -> Measures:
    """Five groups of land cover, by pixel: everywhere, and away from borders of the reference."""
    kinds: dict[str, list[Score]] = defaultdict(list)
    for scene in sorted((bench.folder / "s2glc" / bench.half).glob("*_l2a.tif")):
        labels = read_labels(scene.with_name(scene.name.replace("_l2a", "_labels"))).values
        truth, inner = code_labels(labels, S2GLC, GROUPS), find_uniform(labels)
        landcover = make_map(scene, bench.model, stride, radiometry=LEVEL_2A)
        kinds["all"].append(compare(landcover, truth, GROUPS))
        kinds["inner"].append(compare(landcover, truth, GROUPS, inner))
        likeliest = keep_unknown(landcover)
        kinds["likeliest"].append(compare(likeliest, truth, GROUPS))
        kinds["likeliest inner"].append(compare(likeliest, truth, GROUPS, inner))
        kinds["best"].append(score_best(truth, landcover.grid))
        kinds["best inner"].append(score_best(np.where(inner, truth, IGNORED), landcover.grid))
    total = {name: add_up(scores) for name, scores in kinds.items()}
    return {
        **total["all"].describe(GROUPS),
        **total["likeliest"].describe_likeliest(("forest",)),
        "upper bound of accuracy": total["best"].accuracy,
        "forest IoU of the commonest labels": total["best"].iou("forest"),
        "away from borders": {
            **total["inner"].describe(GROUPS),
            **total["likeliest inner"].describe_likeliest(("forest",)),
            "upper bound of accuracy": total["best inner"].accuracy,
            "forest IoU of the commonest labels": total["best inner"].iou("forest"),
        },
    }


def score_best(truth: np.ndarray, grid: Grid) -> Score:
    """Of the map that has the commonest label of each cell: no such map is right more often."""
    best = find_best_map(truth, grid, GROUPS)
    return score_pixels(best, np.ones(best.shape, dtype=np.float32), truth, GROUPS)


def measure_oscd(bench: Bench, stride: int) -> Measures:
    """Water, forest and neither, on sure pixels of cities all over the world."""
    names = ("water", "forest", "other")
    scores: dict[str, list[Score]] = {}
    for masks in sorted((bench.folder / "oscd").glob("*_masks.tif")):
        name = masks.name.removesuffix("_masks.tif")
        if find_half(name) != bench.half:
            continue
        scene = masks.with_name(f"{name}_l1c.tif")
        if not scene.exists():
            scene = bench.scenes / "oscd" / f"{name}.tif"
        scores[name] = score_scene(bench, stride, scene, masks, OSCD, names)
    return describe_scenes(scores, ("water", "forest"))


def find_half(name: str) -> str:
    """`choose` for a scene of an odd day, `report` of an even one; its date ends the name."""
    return HALVES[0] if int(name[-2:]) % 2 else HALVES[1]


def measure_amazon(bench: Bench, stride: int) -> Measures:
    """Forest and other land in the Brazilian Amazon."""
    settings = RadiometrySettings(scale=(0, AMAZON_WHITE))
    scores: dict[str, list[Score]] = {}
    for scene in sorted((bench.folder / "amazon" / bench.half).glob("*_8bit.tif")):
        name = scene.name.removesuffix("_8bit.tif")
        labels = scene.with_name(f"{name}_forest.tif")
        scores[name] = score_scene(
            bench, stride, scene, labels, AMAZON, ("forest", "other"), radiometry=settings
        )
    return describe_scenes(scores, ("forest",))


def score_scene(
    bench: Bench,
    stride: int,
    scene: Path,
    labels: Path,
    groups: dict[int, str],
    names: tuple[str, ...],
    **settings: Any,
) -> list[Score]:
    """Two scores of a scene: as it is mapped, and with the likeliest class of unknown cells."""
    landcover = make_map(scene, bench.model, stride, **settings)
    raster = read_labels(labels)
    coded = Raster(
        values=code_labels(raster.values, groups, names),
        transform=raster.transform,
        crs=raster.crs,
    )
    truth = place(coded, landcover.grid, outside=IGNORED)
    return [compare(mapped, truth, names) for mapped in (landcover, keep_unknown(landcover))]


def describe_scenes(scores: dict[str, list[Score]], iou_of: tuple[str, ...]) -> Measures:
    """All scenes pooled, and each beneath `scenes`."""
    return {
        **describe_pair([add_up(pair) for pair in zip(*scores.values(), strict=True)], iou_of),
        "scenes": {name: describe_pair(pair, iou_of) for name, pair in scores.items()},
    }


def describe_pair(scores: list[Score], iou_of: tuple[str, ...]) -> Measures:
    mapped, likeliest = scores
    return {**mapped.describe(iou_of), **likeliest.describe_likeliest(iou_of)}


def measure_havelland(bench: Bench, stride: int) -> Measures:
    """Woods, waters and fields of OpenStreetMap in the sample scene, west or east of its middle.

    The file holds polygons of 1 to 50 ha: large woods and lakes are not among them.
    """
    folder = bench.folder / "havelland_osm"
    (scene,), (source,) = folder.glob("*_l1c_rgb.tif"), folder.glob("gis_osm_*.gpkg")
    landcover = make_map(scene, bench.model, stride)
    grid = landcover.grid
    codes = find_codes(landcover.legend, GROUPS)
    found = spread(codes[landcover.class_id], grid)
    side = find_side(grid, bench.half)
    polygons = gpd.read_file(source).to_crs(grid.crs)
    large = polygons[polygons.area >= LEAST_HA * 1e4]
    woods = side & burn(large[large.fclass == "forest"], grid)
    waters = side & burn(large[large.fclass == "water"], grid)
    fields = side & burn(polygons[polygons.fclass.isin(["farm", "meadow"])], grid)
    fields &= (found <= len(GROUPS)) & ~find_bright(scene, landcover)
    unknown = len(GROUPS) + 1
    return {
        "woods mapped as forest": share_of(found, "forest", woods),
        "woods unknown": share((found[woods] >= unknown).sum(), woods.sum()),
        "waters mapped as water": share_of(found, "water", waters),
        "waters unknown": share((found[waters] >= unknown).sum(), waters.sum()),
        "fields mapped as water": share_of(found, "water", fields),
        "pixels": {
            "woods": int(woods.sum()),
            "waters": int(waters.sum()),
            "fields": int(fields.sum()),
        },
    }


def find_side(grid: Grid, half: str) -> np.ndarray:
    """Bool (height, width): the west of a scene for `choose`, its east for `report`."""
    west = np.arange(grid.width) < grid.width // 2
    return np.broadcast_to(west if half == "choose" else ~west, (grid.height, grid.width))


def burn(polygons: gpd.GeoDataFrame, grid: Grid) -> np.ndarray:
    """Bool (height, width): pixels with their centre in a polygon."""
    shape = (grid.height, grid.width)
    if polygons.empty:
        return np.zeros(shape, dtype=bool)
    inside = rasterize(polygons.geometry, out_shape=shape, transform=grid.transform, dtype="uint8")
    return inside == 1


def share_of(found: np.ndarray, group: str, where: np.ndarray) -> float:
    """Share of the pixels of `where`, 0–1, that were found to be of the group."""
    return share((found[where] == GROUPS.index(group)).sum(), where.sum())


def measure_eye_tiles(bench: Bench, _stride: int) -> Measures:
    """Tiles of docs/eye-labels.csv of one class, always in cells of 64 pixels, of both halves."""
    levels: dict[str, list[Counter[str]]] = defaultdict(list)
    for name, cells in read_eye_labels().items():
        (scene,) = bench.scenes.rglob(name)
        # The labels are of all that the eye can see.
        masks = MaskSettings(masked_classes=())
        landcover = make_map(scene, bench.model, 64, bands=[1, 2, 3], masks=masks)
        level = "Level-2A" if "l2a" in name else "Level-1C"
        levels[level].append(compare_tiles(landcover, cells)[0])
    measures = {}
    for level, scores in levels.items():
        total = sum(scores[1:], scores[0])
        classified = total["tiles"] - total["unknown"]
        measures[level] = {
            "class right": share(total["right"], classified),
            "group right": share(total["group"], classified),
            "unknown": share(total["unknown"], total["tiles"]),
        }
    return measures


def measure_clouds(bench: Bench, stride: int) -> Measures:
    """Clouds of docs/eye-clouds.geojson in the sample scene; of both halves."""
    landcover = make_map(SAMPLE_SCENE, bench.model, stride)
    grid = landcover.grid
    found = spread(landcover.class_id, grid)
    clouds = gpd.read_file(EYE_CLOUDS).to_crs(grid.crs)
    measures = {}
    for kind, polygons in (*clouds.groupby("kind"), ("all", clouds)):
        codes = found[burn(polygons, grid)]
        measures[str(kind)] = {
            "masked": share((codes == MASKED).sum(), len(codes)),
            "masked or unknown": share(np.isin(codes, (MASKED, UNKNOWN)).sum(), len(codes)),
        }
    return measures


def measure_boadella(bench: Bench, stride: int) -> Measures:
    """How much of a place without any clearing is forest, by date; of both halves."""
    dates = {}
    for scene in sorted((bench.scenes / "boadella").glob("*_l2a.tif")):
        day = scene.name.removeprefix("boadella_")[:8]
        dates[f"{day[:4]}-{day[4:6]}-{day[6:]}"] = measure_date(bench, stride, scene)
    shown = {
        f"forest on {date}{'' if row['clear'] else ', not clear'}": row["forest"]
        for date, row in dates.items()
    }
    clear = [row["forest"] for row in dates.values() if row["clear"]]
    return {
        "smallest share of forest on clear dates": min(clear),
        "largest share of forest on clear dates": max(clear),
        "smallest : largest": share(min(clear), max(clear)),
        **shown,
        "dates": dates,
    }


def measure_date(bench: Bench, stride: int, scene: Path) -> Measures:
    """Forest of what is classified; a date is clear by its pixels, whatever a model says of it."""
    try:
        landcover = make_map(scene, bench.model, stride, radiometry=LEVEL_2A)
    except SceneError:  # overcast: its pixels are brighter than any training tile's
        return {"forest": float("nan"), "unknown": float("nan"), "clear": False}
    codes = find_codes(landcover.legend, GROUPS)
    found = spread(codes[landcover.class_id], landcover.grid)
    inside = spread(landcover.class_id, landcover.grid) != NODATA
    white = find_bright(scene, landcover)
    return {
        "forest": share_of(found, "forest", found <= len(GROUPS)),
        "unknown": share((found == len(GROUPS) + 1).sum(), inside.sum()),
        "white": share(white[inside].sum(), inside.sum()),
        "clear": bool(share(white[inside].sum(), inside.sum()) <= 1 - CLEAR_SHARE),
    }


MEASURES: dict[str, Callable[[Bench, int], Measures]] = {
    "s2glc": measure_s2glc,
    "oscd": measure_oscd,
    "amazon": measure_amazon,
    "havelland_osm": measure_havelland,
    "eye_tiles": measure_eye_tiles,
    "eye_clouds": measure_clouds,
    "boadella": measure_boadella,
}
"""Data set → what measures a model's maps of it in cells of some pixels."""
