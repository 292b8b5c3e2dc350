"""Run by the Python that has qgis.core: open a layer as a user would, describe and render it.

usage: qgis_describe.py FILE LAYER PICTURE.png      (LAYER is - for rasters)
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

path, name, picture = sys.argv[1:]
application = QgsApplication([], False)
application.initQgis()
if name == "-":
    layer = QgsRasterLayer(path, "map")
    classes = {c.label: c.color.name() for c in layer.renderer().classes()}
    styles = []
    raster = gdal.Open(path)  # the band lives as long as this does
    band = raster.GetRasterBand(1)
    attributes = band.GetDefaultRAT()
else:
    layer = QgsVectorLayer(f"{path}|layername={name}", name, "ogr")
    classes = {c.label(): c.symbol().color().name() for c in layer.renderer().categories()}
    styles = list(layer.listStylesInDatabase()[2])

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
