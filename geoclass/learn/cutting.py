"""Labelled tiles out of a scene: what a network is trained with on other ground."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from geoclass.errors import OutputError, SettingsError
from geoclass.files.writing import draft_folder
from geoclass.learn.places import PLACES_FILE, Place, PlacedTile, add_places
from geoclass.mapping.cells import cut_tiles, measure_coverage
from geoclass.mapping.plan import MapPlan, plan_map
from geoclass.mapping.settings import MIN_TILE_SHARE, MapSettings
from geoclass.model.checkpoint import load_model
from geoclass.scene.reader import read_strips
from geoclass.scene.region import LabelledGround, read_labels

SLIVER = 1e-6
"""A smaller share of a tile comes of rounding, where polygons share an edge with tiles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutTiles:
    """What was cut."""

    counts: dict[str, int]
    """Tiles by class, classes without any included."""
    mixed: int
    """Tiles of several classes: none covers enough of them, or more than one does."""
    partly: int
    """Tiles that one class alone touches, but does not cover enough of."""
    hidden: int
    """Tiles that one class covers, but that miss pixels."""


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
    on_cells: Callable[[int], object] = lambda _: None,
) -> CutTiles:
    """Cut labelled training tiles out of a scene into class folders.

    `labels` are polygons in a vector file whose class stands in `column`; of several layers in it
    `layer` names the one that is meant, unless only one has that column. A tile gets the class
    that covers at least `min_share` of it; those that miss pixels, or that more than one class
    covers so far, are left out. Pixels become what the shipped model knows. The folder `output`
    appears whole or not at all; with `add` it may hold tiles of other scenes. `on_cells` is told
    how many more cells were looked at.

    Raises SceneError, SettingsError, OutputError.
    """
    ground = read_labels(Path(labels), column, layer)
    model = load_model()
    wishes = settings or MapSettings()
    plan = plan_map(scene, model.contract, model.sha256, wishes, bands=bands)
    return cut_labelled_tiles(
        plan, ground, Path(output), min_share=min_share, add=add, on_cells=on_cells
    )


def cut_labelled_tiles(
    plan: MapPlan,
    ground: LabelledGround,
    output: Path,
    *,
    min_share: float = MIN_TILE_SHARE,
    add: bool = False,
    on_cells: Callable[[int], object] = lambda _: None,
) -> CutTiles:
    """Write `<class>/<class>_<scene>_<row>_<col>.png` for each tile that one class covers.

    Tiles are 8-bit pixels as the networks know them; those that miss any are left out. Where each
    lies stands in `places.csv`. The folder is written whole or not at all; with `add` it may hold
    tiles of other scenes already.
    Raises SettingsError for an impossible share, OutputError where tiles cannot be written.
    """
    if not 0.5 < min_share <= 1:
        raise SettingsError(f"the least share must be above 0.5 and at most 1, got {min_share}")
    if not output.parent.is_dir():
        raise OutputError(f"the folder {output.parent} does not exist: create it first")
    if output.exists() and not add:
        raise OutputError(f"{output} exists: give --add to add to it, or another name")
    try:
        _check_classes(ground, output)
        with draft_folder(output) as folder:
            made = Path(folder) / "tiles"
            made.mkdir()
            cut, places = _cut(plan, ground, made, min_share, on_cells)
            _move(made, output, places)
    except OSError as error:
        raise OutputError(f"cannot write tiles to {output}: {error}") from error
    return cut


def _check_classes(ground: LabelledGround, output: Path) -> None:
    """Refuse classes that a file stands in the way of, or that tiles were cut of in other case."""
    if not output.exists():
        return
    there = {folder.name.casefold(): folder.name for folder in output.iterdir()}
    for name in ground.shapes:
        other = there.get(name.casefold(), name)
        if (output / name).exists() and not (output / name).is_dir():
            raise OutputError(f"{output / name} is a file, a class folder is to stand there")
        if other != name:
            raise OutputError(
                f"{output} holds a class {other}, the polygons have {name}, which differs only in "
                "case: rename one"
            )


def _cut(
    plan: MapPlan,
    ground: LabelledGround,
    folder: Path,
    min_share: float,
    on_cells: Callable[[int], object],
) -> tuple[CutTiles, list[PlacedTile]]:
    grid, names = plan.grid, list(ground.shapes)
    stem = Path(plan.source.name).stem or "scene"
    counts: Counter[str] = Counter(dict.fromkeys(names, 0))
    mixed = partly = hidden = 0
    places, side_m = list[PlacedTile](), grid.tile_size * grid.gsd_m
    for strip in read_strips(plan.source, plan.frame, grid, plan.preprocessing):
        span = slice(strip.first_row, strip.last_row)
        rows, cols = np.nonzero(plan.inside[span])
        shares = ground.find_shares(grid.tile_polygons(rows + strip.first_row, cols), grid.crs)
        label = shares.argmax(axis=1)
        touching = (shares > SLIVER).sum(axis=1)
        covering = (shares >= min_share).sum(axis=1)  # polygons may overlap
        mixed += int(((touching > 1) & (covering != 1)).sum())
        partly += int(((touching == 1) & (covering == 0)).sum())
        # Only tiles that are whole: a network should not learn what missing pixels look like.
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
                counts[names[k]] += 1
                places.append(PlacedTile(tile=name, place=Place(x, y, side_m), scene=stem))
        on_cells(plan.inside[span].size)
    cut = CutTiles(counts=dict(counts), mixed=mixed, partly=partly, hidden=hidden)
    return cut, places


def _move(made: Path, output: Path, placed: Sequence[PlacedTile]) -> None:
    """Put the tiles where they belong; those of an earlier run are never replaced."""
    files = sorted(made.rglob("*.png"))
    if not files:
        raise OutputError(
            "no tile of the scene lies in the polygons: check their CRS, draw larger ones, or "
            "lower --min-share"
        )
    places = [output / file.relative_to(made) for file in files]
    there = next((place for place in places if place.exists()), None)
    if there is not None:
        raise OutputError(
            f"{there} exists: this scene, or another of its name, has been cut into this folder "
            "before; rename another one, or give another folder"
        )
    _tell_places(made, output, placed)
    for file, place in zip(files, places, strict=True):
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(file, place)


def _tell_places(made: Path, output: Path, placed: Sequence[PlacedTile]) -> None:
    """Write where tiles lie, or add it to what is told of others there."""
    table = output / PLACES_FILE
    try:
        before = table.read_text(encoding="utf-8-sig") if table.exists() else ""
        after = add_places(before, placed)
    except ValueError as error:  # no UTF-8, too
        raise OutputError(f"{table} cannot be added to ({error}): mend it") from error
    output.mkdir(exist_ok=True)
    draft = made / PLACES_FILE
    draft.write_text(after, encoding="utf-8")
    draft.replace(table)
