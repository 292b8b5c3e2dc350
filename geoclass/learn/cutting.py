"""Labelled training tiles cut from a scene."""

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from geoclass.errors import OutputError, SettingsError
from geoclass.files.writing import draft_folder
from geoclass.learn.places import PLACES_FILE, Place, add_places
from geoclass.mapping.cells import cut_tiles, measure_coverage
from geoclass.mapping.plan import MapPlan, plan_map
from geoclass.mapping.settings import MIN_TILE_SHARE, MapRequest, MapSettings
from geoclass.model.checkpoint import load_model
from geoclass.scene.georeference.region import LabelledGround, read_labels
from geoclass.scene.read.strips import read_strips

SLIVER = 1e-6
"""Smaller fractions of a tile are rounding errors of polygons that share an edge with tiles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutTiles:
    """Numbers of tiles."""

    counts: dict[str, int]
    """Written tiles per class, including classes without any."""
    mixed: int
    """Skipped tiles of several classes, of which not exactly one covers enough."""
    partly: int
    """Skipped tiles of one class that does not cover enough."""
    hidden: int
    """Skipped tiles of one class with missing pixels."""


def cut_scene(
    scene: Path | str,
    labels: Path | str,
    output: Path | str,
    *,
    column: str = "class",
    layer: str | None = None,
    min_share: float = MIN_TILE_SHARE,
    add: bool = False,
    settings: MapSettings | None = None,
    bands: Sequence[int | str] | None = None,
    on_plan: Callable[[MapPlan], object] = lambda _: None,
    on_cells: Callable[[int], object] = lambda _: None,
) -> CutTiles:
    """Cut labelled training tiles from a scene: `<class>/<class>_<scene>_<row>_<col>.png`.

    `labels` is a vector file of polygons with the class in `column`, in `layer` or the only layer
    with that column. A tile gets the class that covers at least `min_share` of it. Tiles with
    missing pixels, or without exactly one such class, are skipped. Tiles have the radiometry of
    the shipped model; `places.csv` stores their places. The folder `output` is written
    atomically; with `add` it may contain tiles of other scenes. `on_plan` gets the plan before
    cutting, `on_cells` the number of cells checked since its last call.

    Raises SceneError, SettingsError, OutputError.
    """
    output, ground = Path(output), read_labels(Path(labels), column, layer)
    if not 0.5 < min_share <= 1:
        raise SettingsError(f"the minimum fraction must be above 0.5 and at most 1: {min_share}")
    if not output.parent.is_dir():
        raise OutputError(f"the folder {output.parent} does not exist: create it first")
    if output.exists() and not add:
        raise OutputError(f"{output} exists: give --add to add to it, or another name")
    model = load_model()
    chosen = None if bands is None else tuple(bands)
    request = MapRequest(settings=settings or MapSettings(), bands=chosen)
    plan = plan_map(scene, model.contract, model.sha256, request)
    on_plan(plan)
    try:
        _check_classes(ground, output)
        with draft_folder(output) as folder:
            made = Path(folder) / "tiles"
            made.mkdir()
            stem = Path(plan.source.name).stem or "scene"
            cut, places = _cut(plan, ground, made, stem, min_share, on_cells)
            _move(made, output, places, stem)
    except OSError as error:
        raise OutputError(f"cannot write tiles to {output}: {error}") from error
    return cut


def _check_classes(ground: LabelledGround, output: Path) -> None:
    """Raise OutputError for classes that differ from existing ones in case, or are files."""
    if not output.exists():
        return
    there = {folder.name.casefold(): folder.name for folder in output.iterdir()}
    for name in ground.shapes:
        other = there.get(name.casefold(), name)
        if (output / name).exists() and not (output / name).is_dir():
            raise OutputError(f"{output / name} is a file, expected a class folder: remove it")
        if other != name:
            raise OutputError(
                f"{output} has a class {other}, the polygons have {name}, which differs only in "
                "case: rename one"
            )


def _cut(
    plan: MapPlan,
    ground: LabelledGround,
    folder: Path,
    stem: str,
    min_share: float,
    on_cells: Callable[[int], object],
) -> tuple[CutTiles, dict[str, Place]]:
    grid, names = plan.grid, list(ground.shapes)
    mixed = partly = hidden = 0
    places, side_m = dict[str, Place](), grid.tile_size * grid.gsd_m
    for strip in read_strips(plan.source, plan.frame, grid, plan.preprocessing):
        span = slice(strip.first_row, strip.last_row)
        rows, cols = np.nonzero(plan.inside[span])
        shares = ground.find_shares(grid.tile_polygons(rows + strip.first_row, cols), grid.crs)
        label = shares.argmax(axis=1)
        touching = (shares > SLIVER).sum(axis=1)
        covering = (shares >= min_share).sum(axis=1)  # polygons may overlap
        mixed += int(((touching > 1) & (covering != 1)).sum())
        partly += int(((touching == 1) & (covering == 0)).sum())
        whole = measure_coverage(strip, grid, 1.0).usable[rows, cols]
        hidden += int(((covering == 1) & ~whole).sum())
        chosen = (covering == 1) & whole
        rows, cols, label = rows[chosen], cols[chosen], label[chosen]
        if len(rows):
            tiles = cut_tiles(strip, grid, rows, cols).transpose(0, 2, 3, 1)
            rows += strip.first_row
            degrees = zip(*grid.tile_places(rows, cols), strict=True)
            for tile, row, col, k, (x, y) in zip(tiles, rows, cols, label, degrees, strict=True):
                (folder / names[k]).mkdir(exist_ok=True)
                name = f"{names[k]}/{names[k]}_{stem}_{row}_{col}.png"
                Image.fromarray(np.ascontiguousarray(tile)).save(folder / name)
                places[name] = Place(x, y, side_m)
        on_cells(plan.inside[span].size)
    found = Counter(tile.partition("/")[0] for tile in places)
    counts = {name: found[name] for name in names}
    return CutTiles(counts=counts, mixed=mixed, partly=partly, hidden=hidden), places


def _move(made: Path, output: Path, places: Mapping[str, Place], scene: str) -> None:
    """Move the tiles and add them to the table of places; existing tiles are never replaced."""
    if not places:
        raise OutputError(
            "no tile of the scene is in the polygons: check their CRS, draw larger ones, or "
            "lower --min-share"
        )
    if there := next((output / tile for tile in places if (output / tile).exists()), None):
        raise OutputError(
            f"{there} exists: this scene, or another with its name, was cut into this folder "
            "before; rename one, or give another folder"
        )
    table = output / PLACES_FILE
    try:
        before = table.read_text(encoding="utf-8-sig") if table.exists() else ""
        after = add_places(before, places, scene)
    except ValueError as error:  # including invalid UTF-8
        raise OutputError(f"{table} is not a valid table of places ({error}): fix it") from error
    output.mkdir(exist_ok=True)
    draft = made / PLACES_FILE
    draft.write_text(after, encoding="utf-8")
    draft.replace(table)
    for tile in places:
        (output / tile).parent.mkdir(exist_ok=True)
        shutil.move(made / tile, output / tile)
