"""Run by the Python that has qgis.core: open a layer as a user would, describe and render it.

usage: describe.py FILE LAYER PICTURE.png [STYLE]

LAYER is - for rasters. STYLE is a .qml or .sld file, or the name of a style inside a GeoPackage,
to be loaded instead of the default.
"""

import json
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

path, name, picture, *chosen = sys.argv[1:]
application = QgsApplication([], False)
application.initQgis()
if name == "-":
    layer = QgsRasterLayer(path, "map")
    styles = []
    gdal.UseExceptions()
    raster = gdal.Open(path)  # the band lives as long as this does
    band = raster.GetRasterBand(1)
    attributes = band.GetDefaultRAT()
else:
    layer = QgsVectorLayer(f"{path}|layername={name}", name, "ogr")
    styles = list(layer.listStylesInDatabase()[2])
for style in chosen:
    if style.endswith(".qml"):
        # True: from the file, as QGIS's dialogue does, not from the GeoPackage.
        message, loaded = layer.loadNamedStyle(style, *([] if name == "-" else [True]))
    elif style.endswith(".sld"):
        message, loaded = layer.loadSldStyle(style)
    else:
        _, ids, names, _, _ = layer.listStylesInDatabase()
        qml, message = layer.getStyleFromDatabase(ids[names.index(style)])
        document = QDomDocument()
        document.setContent(qml)
        loaded, message = layer.importNamedStyle(document)
    assert loaded, message
if name == "-":
    classes = {label: color.name() for label, color in layer.renderer().legendSymbologyItems()}
else:
    items = layer.renderer().legendSymbolItems()
    classes = {item.label(): item.symbol().color().name() for item in items}
exported = f"{picture}.sld"
layer.saveSldStyle(exported)

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
shown = {QColor(image.pixel(x, y)).name() for x in range(4, 480, 8) for y in range(4, 480, 8)}
print(
    json.dumps(
        {
            "valid": layer.isValid(),
            "crs": layer.crs().authid(),
            "renderer": layer.renderer().type(),
            "classes": classes,
            "styles": styles,
            "sld": exported,
            "features": layer.featureCount() if name != "-" else None,
            "aliases": [f.alias() for f in layer.fields()] if name != "-" else None,
            "shown": sorted(shown),
            "categories": band.GetCategoryNames() if name == "-" else None,
            "attributes": [
                attributes.GetValueAsString(i, 1) for i in range(attributes.GetRowCount())
            ]
            if name == "-"
            else None,
        }
    )
)
sys.stdout.flush()
# QGIS 3.22 may crash while it takes itself apart; all has been said by now.
import os  # noqa: E402

os._exit(0)
