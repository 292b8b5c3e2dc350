"""Regions and labelled polygons: a bounding box, or the polygons of a vector file."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyogrio
import pyogrio.raw
import pyproj
import shapely
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError
from pyproj.exceptions import CRSError, ProjError

from geoclass.errors import SceneError, SettingsError
from geoclass.outside import find_twins
from geoclass.scene.settings import Bounds, FrameSettings
from geoclass.vectors import unwarned, vector_name

_AREAS = ("Polygon", "Surface", "Unknown", "GeometryCollection")
"""Geometry types of layers that may have polygons."""

EDGE_POINTS = 21
"""Points per edge of a box that is transformed to another CRS, where its edges are curved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Polygons to be mapped, or masked."""

    shape: shapely.Geometry
    crs: str
    """WKT."""
    text: str
    """For people."""

    @property
    def sha256(self) -> str:
        """Hash of shape and CRS."""
        return hashlib.sha256(shapely.to_wkb(self.shape) + self.crs.encode()).hexdigest()

    def find_bounds(self, crs: str) -> Bounds:
        """West, south, east and north in another CRS; SceneError if they do not exist there."""
        # Separately for each part, because parts on both sides of the antimeridian are neighbours.
        boxes = shapely.bounds(shapely.get_parts(self.shape))
        transformer = pyproj.Transformer.from_crs(self.crs, crs, always_xy=True)
        try:
            there = np.array(
                [transformer.transform_bounds(w, s, e, n, EDGE_POINTS) for w, s, e, n in boxes]
            )
        except ProjError:
            there = np.full((len(boxes), 4), np.inf)
        if not np.isfinite(there).all():
            name = pyproj.CRS.from_wkt(crs).name
            raise SceneError(f"{self.text} has coordinates outside {name}: check its CRS")
        (west, south), (east, north) = there[:, :2].min(axis=0), there[:, 2:].max(axis=0)
        return float(west), float(south), float(east), float(north)

    def contains(self, x: np.ndarray, y: np.ndarray, crs: str) -> np.ndarray:
        """Bool, the shape of `x`: True for points, in `crs`, inside or on the edge."""
        transformer = pyproj.Transformer.from_crs(crs, self.crs, always_xy=True)
        return shapely.intersects_xy(self.shape, *transformer.transform(x, y))


def transform_shape(shape: shapely.Geometry, crs: str, to_crs: str) -> shapely.Geometry:
    """Polygons in another CRS."""
    transformer = pyproj.Transformer.from_crs(crs, to_crs, always_xy=True)
    return shapely.transform(shape, transformer.transform, interleaved=False)


def find_region(settings: FrameSettings) -> Region | None:
    """The bounding box or area of interest of the settings; None for the whole scene.

    Raises SettingsError for an invalid CRS, SceneError for a file without polygons.
    """
    if settings.bbox is not None:
        return _box_region(settings.bbox, settings.bbox_crs)
    if settings.aoi is not None:
        return read_region(Path(settings.aoi))
    return None


def _box_region(bbox: Bounds, crs_text: str) -> Region:
    crs = parse_crs(crs_text)
    west, south, east, north = bbox
    boxes = [shapely.box(west, south, east, north)]
    if west > east:
        if not crs.is_geographic:
            raise SettingsError(
                f"bbox must have west < east in {crs.name}, got {west:g} > {east:g}"
            )
        # As in GeoJSON (RFC 7946, 5.2): a box that crosses the antimeridian.
        boxes = [shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)]
    numbers = ",".join(f"{value:g}" for value in bbox)
    return Region(
        shape=shapely.union_all(boxes), crs=crs.to_wkt(), text=f"bbox {numbers} ({crs.name})"
    )


def read_region(path: Path) -> Region:
    """The union of all polygons in a vector file.

    Raises SceneError if there are none, SettingsError if several layers have polygons.
    """
    polygons, _, crs = read_polygons(path)
    return Region(shape=shapely.union_all(polygons), crs=crs, text=path.name)


def read_polygons(
    path: Path, column: str | None = None, layer: str | None = None
) -> tuple[np.ndarray, np.ndarray, str]:
    """Valid polygons (n,) of a vector file, their values in `column` (n,), and their CRS as WKT.

    The values are None without a column. If no layer is named, the only layer that has the column,
    or polygons, is read. Raises SceneError without polygons, column or CRS, SettingsError if a
    layer must be named.
    """
    try:
        with unwarned():
            layer = _choose_layer(path, column, layer)
            fields = list(pyogrio.read_info(vector_name(path), layer=layer)["fields"])
            if column is not None and column not in fields:
                raise SceneError(
                    f"{path} has no column {column!r}, but {', '.join(fields) or 'none'}: "
                    "name the column of classes with --column"
                )
            columns = [] if column is None else [column]
            meta, _, shapes, values = pyogrio.raw.read(
                vector_name(path), layer=layer, columns=columns, force_2d=True
            )
            polygons = shapely.make_valid(shapely.from_wkb(shapes))
            area = shapely.area(polygons)
    except (DataSourceError, DataLayerError, FeatureError, ValueError, shapely.GEOSException) as e:
        raise SceneError(
            f"cannot read {path} as a vector file ({e}): give polygons, such as a GeoPackage, "
            "GeoJSON or shapefile"
        ) from e
    solid = (area > 0) & np.isfinite(area)
    if not solid.any():
        raise SceneError(f"{path} has no polygons: give an area, not points or lines")
    if not meta["crs"]:
        raise SceneError(f"{path} has no coordinate reference system: assign the right one first")
    named = values[0] if values else np.full(len(polygons), None)
    return polygons[solid], named[solid], parse_crs(meta["crs"]).to_wkt()


def _choose_layer(path: Path, column: str | None, layer: str | None) -> str | None:
    """The layer to read; None for the only one."""
    kinds = {str(name): kind for name, kind in pyogrio.list_layers(vector_name(path))}
    names = ", ".join(kinds)
    if layer is not None:
        if layer not in kinds:
            raise SettingsError(f"{path} has no layer {layer!r}, but {names}: name one of them")
        return layer
    if len(kinds) < 2:
        return None
    if column is None:
        fit = [name for name, kind in kinds.items() if any(word in (kind or "") for word in _AREAS)]
        if len(fit) > 1:
            raise SettingsError(
                f"{path} has {len(fit)} layers of polygons ({', '.join(fit)}), expected one: "
                "save one of them as a separate file"
            )
        return fit[0] if fit else next(iter(kinds))  # its error is reported
    spatial = [name for name, kind in kinds.items() if kind is not None]
    if len(spatial) == 1:  # QGIS stores styles in tables
        return spatial[0]
    fit = [
        name
        for name in spatial
        if column in pyogrio.read_info(vector_name(path), layer=name)["fields"]
    ]
    if len(fit) != 1:
        raise SettingsError(
            f"{path} has {len(kinds)} layers ({names}), {len(fit) or 'none'} with "
            f"a column {column!r}: "
            "name the layer with --layer, and the column of classes with --column"
        )
    return fit[0]


def parse_crs(text: str) -> pyproj.CRS:
    """Parse a user's CRS; SettingsError if it is invalid."""
    try:
        return pyproj.CRS.from_user_input(text)
    except CRSError as error:
        raise SettingsError(
            f"{text!r} is not a coordinate reference system: give one like EPSG:32632"
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledGround:
    """Polygons by class."""

    shapes: Mapping[str, shapely.Geometry]
    """Union of the polygons of each class, by name in alphabetical order."""
    crs: str
    """WKT."""

    def find_shares(self, boxes: np.ndarray, crs: str | None) -> np.ndarray:
        """Float (n, classes), 0–1: fraction of each box, a polygon in `crs`, in each class.

        Raises SceneError if the boxes have no CRS.
        """
        if crs is None:
            raise SceneError(
                "the scene has no georeference, which polygons need: give --crs and --bounds"
            )
        shares = np.zeros((len(boxes), len(self.shapes)))
        for i, shape in enumerate(self.shapes.values()):
            parts = shapely.get_parts(transform_shape(shape, self.crs, crs))  # faster than unions
            box, part = shapely.STRtree(parts).query(boxes, predicate="intersects")
            covered = shapely.area(shapely.intersection(boxes[box], parts[part]))
            shares[:, i] = np.bincount(box, weights=covered, minlength=len(boxes))
        shares /= shapely.area(boxes)[:, None]
        return shares


def read_labels(path: Path, column: str, layer: str | None = None) -> LabelledGround:
    """Read polygons with their class in a column.

    If no layer is named, the only layer that has the column is read. Raises SceneError if polygons
    are unusable, SettingsError if a layer must be named.
    """
    polygons, values, crs = read_polygons(path, column, layer)
    names = np.array([_name_class(path, value) for value in values])
    for one, other in find_twins(np.unique(names).tolist()):
        raise SceneError(
            f"polygons in {path} have the classes {one} and {other}, which differ only in case: "
            "use one name"
        )
    return LabelledGround(
        shapes={str(name): shapely.union_all(polygons[names == name]) for name in np.unique(names)},
        crs=crs,
    )


def _name_class(path: Path, value: object) -> str:
    if isinstance(value, (float, np.floating)) and value.is_integer():
        value = int(value)  # GeoJSON and columns with gaps store 1 as 1.0
    name = "" if value is None else str(value).strip()
    if not name or name in ("nan", "None") or name.startswith(".") or set(name) & set('/\\:*?"<>|'):
        raise SceneError(
            f"a polygon in {path} has the class {name!r}, which cannot be a folder's name: "
            "give every polygon a plain name"
        )
    return name
