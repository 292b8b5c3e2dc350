"""Run by the Python that has qgis.core: play a layer as the temporal controller would.

usage: play.py FILE LAYER DAY PICTURE.png [DAY PICTURE.png]…
"""

import json
import os
import sys

from qgis.core import (
    QgsApplication,
    QgsDateTimeRange,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QDate, QDateTime, QSize, Qt, QTime
from qgis.PyQt.QtGui import QColor

path, name, *steps = sys.argv[1:]
application = QgsApplication([], False)
application.initQgis()
# As the program does when a file is dropped into its window: first the layer, then its style.
# A layer that loads its style while it is made forgets the style's temporal settings (3.22).
options = QgsVectorLayer.LayerOptions()
options.loadDefaultStyle = False
layer = QgsVectorLayer(f"{path}|layername={name}", name, "ogr", options)
layer.loadDefaultStyle()
temporal = layer.temporalProperties()
shown = {}
for day, picture in zip(steps[::2], steps[1::2], strict=True):
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setBackgroundColor(QColor("white"))
    settings.setOutputSize(QSize(720, 480))
    settings.setDestinationCrs(layer.crs())
    settings.setExtent(layer.extent())
    start = QDateTime(QDate.fromString(day, "yyyy-MM-dd"), QTime(0, 0), Qt.UTC)
    settings.setIsTemporal(True)
    settings.setTemporalRange(QgsDateTimeRange(start, start.addSecs(86399)))
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    image = job.renderedImage()
    image.save(picture)
    colors = [QColor(image.pixel(x, y)).name() for x in range(0, 720, 6) for y in range(0, 480, 6)]
    shown[day] = {color: colors.count(color) for color in sorted(set(colors))}
print(
    json.dumps(
        {
            "valid": layer.isValid(),
            "renderer": layer.renderer().type(),
            "categories": [c.label() for c in layer.renderer().categories()],
            "active": temporal.isActive(),
            "mode": int(temporal.mode()),
            "fields": [temporal.startField(), temporal.endField()],
            "shown": shown,
        }
    )
)
sys.stdout.flush()
# QGIS 3.22 may crash while it takes itself apart; all has been said by now.
os._exit(0)
