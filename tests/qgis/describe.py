"""Run by the Python that has qgis.core: open layers as a user would, describe and render them.

usage: describe.py REQUESTS

REQUESTS is a JSON list of [FILE, LAYER, PICTURE.png, STYLE…]. LAYER is - for rasters. STYLE is a
.qml or .sld file, or the name of a style inside a GeoPackage, to be loaded instead of the default.
"""

import json
import os
import sys

from osgeo import gdal
from qgis.core import (
    QgsApplication,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtXml import QDomDocument


def describe(path, name, picture, *chosen):
    raster = name == "-"
    if raster:
        layer = QgsRasterLayer(path, "map")
        styles = []
    else:
        layer = QgsVectorLayer(f"{path}|layername={name}", name, "ogr")
        styles = list(layer.listStylesInDatabase()[2])
    for style in chosen:
        load_style(layer, style, from_file=[] if raster else [True])
    if raster:
        classes = {label: color.name() for label, color in layer.renderer().legendSymbologyItems()}
    else:
        items = layer.renderer().legendSymbolItems()
        classes = {item.label(): item.symbol().color().name() for item in items}
    exported = f"{picture}.sld"
    layer.saveSldStyle(exported)
    return {
        "valid": layer.isValid(),
        "crs": layer.crs().authid(),
        "renderer": layer.renderer().type(),
        "classes": classes,
        "styles": styles,
        "sld": exported,
        "features": None if raster else layer.featureCount(),
        "aliases": None if raster else [f.alias() for f in layer.fields()],
        "shown": render(layer, picture),
        **(describe_raster(path) if raster else {}),
    }


def load_style(layer, style, from_file):
    if style.endswith(".qml"):
        # True: from the file, as QGIS's dialogue does, not from the GeoPackage.
        message, loaded = layer.loadNamedStyle(style, *from_file)
    elif style.endswith(".sld"):
        message, loaded = layer.loadSldStyle(style)
    else:
        _, ids, names, _, _ = layer.listStylesInDatabase()
        qml, message = layer.getStyleFromDatabase(ids[names.index(style)])
        document = QDomDocument()
        document.setContent(qml)
        loaded, message = layer.importNamedStyle(document)
    assert loaded, message


def render(layer, picture):
    """The colours of the layer's picture."""
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setBackgroundColor(QColor("white"))
    settings.setOutputSize(QSize(480, 480))
    settings.setDestinationCrs(layer.crs())
    settings.setExtent(layer.extent())
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    image = job.renderedImage()
    image.save(picture)
    places = range(4, 480, 8)
    return sorted({QColor(image.pixel(x, y)).name() for x in places for y in places})


def describe_raster(path):
    """What GDAL says of the classes."""
    raster = gdal.Open(path)  # the band lives as long as this does
    band = raster.GetRasterBand(1)
    attributes = band.GetDefaultRAT()
    rows = range(attributes.GetRowCount())
    return {
        "categories": band.GetCategoryNames(),
        "attributes": [attributes.GetValueAsString(i, 1) for i in rows],
    }


gdal.UseExceptions()
application = QgsApplication([], False)
application.initQgis()
print(json.dumps([describe(*request) for request in json.loads(sys.argv[1])]))
sys.stdout.flush()
# QGIS 3.22 may crash while it takes itself apart; all has been said by now.
os._exit(0)
