"""What was written, as layers: each by its name, in its style, in the file's order."""

from __future__ import annotations

import sqlite3
from collections import deque
from contextlib import closing
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsMapLayer,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
)


class _Styler(QgsProcessingLayerPostProcessorInterface):
    """Gives a layer its file's style once more, and its place among the file's layers.

    QGIS 3.22 forgets the temporal settings of a style that is loaded while the layer is made, and
    sorts the layers of a file by their names.
    """

    def postProcessLayer(
        self, layer: QgsMapLayer, context: QgsProcessingContext, _feedback: QgsProcessingFeedback
    ) -> None:
        layer.loadDefaultStyle()
        path, _, name = layer.source().partition("|layername=")
        root = context.project().layerTreeRoot()
        node = root.findLayer(layer.id())
        if not name or node is None:
            return
        order = [table for table, _ in list_styled(path)]
        above = order[: order.index(name)]
        parent = node.parent()
        last = max(
            (
                i
                for i, child in enumerate(parent.children())
                if getattr(child, "layer", None) and _is_of(child.layer(), path, above)
            ),
            default=-1,
        )
        if last > parent.children().index(node):
            parent.insertChildNode(last + 1, node.clone())
            parent.removeChildNode(node)


def _is_of(layer: QgsMapLayer | None, path: str, names: list[str]) -> bool:
    return layer is not None and layer.source() in [f"{path}|layername={name}" for name in names]


_KEPT: deque[_Styler] = deque(maxlen=100)
"""QGIS keeps only their C++ halves alive until they are called."""


def list_styled(path: str) -> list[tuple[str, str]]:
    """Table and title of each layer of a GeoPackage that has a style, in the file's order."""
    query = (
        "SELECT table_name, identifier FROM gpkg_contents JOIN layer_styles "
        "ON f_table_name = table_name WHERE useAsDefault ORDER BY gpkg_contents.rowid"
    )
    with closing(sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)) as file:
        return [(table, title) for table, title in file.execute(query)]


def load_styled(path: str, context: QgsProcessingContext) -> None:
    """Where QGIS was to load a GeoPackage, let it load all styled layers of it."""
    wanted: dict[str, Any] = context.layersToLoadOnCompletion()
    details = wanted.get(path)
    if details is None or not path.endswith(".gpkg"):
        return
    del wanted[path]
    for table, title in list_styled(path):
        named = QgsProcessingContext.LayerDetails(
            f"{Path(path).stem}: {title}", details.project, details.outputName
        )
        named.forceName = True
        _KEPT.append(_Styler())  # one each: the context deletes it
        named.setPostProcessor(_KEPT[-1])
        wanted[f"{path}|layername={table}"] = named
    context.setLayersToLoadOnCompletion(wanted)
