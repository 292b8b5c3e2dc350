"""Run by QGIS's Python: run an algorithm as the toolbox does, and say what became of it.

usage: algorithm.py PLUGINS ALGORITHM PARAMETERS.json [stop]

PLUGINS is the folder of plugins that holds ours. With `stop` it is cancelled at the first line
that it says.
"""

import json
import os
import sys

from qgis.core import (
    QgsApplication,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProject,
)

plugins, name, file, *stop = sys.argv[1:]
sys.path[:0] = ["/usr/share/qgis/python/plugins", plugins]
application = QgsApplication([], False)
application.initQgis()

import geoclass_qgis  # noqa: E402
import processing  # noqa: E402
from processing.core.Processing import Processing  # noqa: E402

Processing.initialize()
plugin = geoclass_qgis.classFactory(None)
plugin.initProcessing()


class Feedback(QgsProcessingFeedback):
    """Keeps what it is told."""

    def __init__(self):
        super().__init__()
        self.said, self.warned, self.steps = [], [], []
        self.progressChanged.connect(self.steps.append)

    def pushInfo(self, text):  # noqa: N802
        self.said.append(text)
        if stop:
            self.cancel()

    def pushWarning(self, text):  # noqa: N802
        self.warned.append(text)


with open(file) as opened:  # noqa: PTH123
    parameters = json.load(opened)
feedback = Feedback()
error = None
try:
    results = processing.runAndLoadResults(name, parameters, feedback=feedback)
except QgsProcessingException as raised:
    error, results = str(raised), {}
layers = {}
for position, node in enumerate(QgsProject.instance().layerTreeRoot().findLayers()):
    layer = node.layer()
    renderer = layer.renderer()
    items = getattr(renderer, "legendSymbolItems", getattr(renderer, "legendSymbologyItems", list))
    layers[layer.name()] = {
        "position": position,
        "renderer": renderer.type(),
        "legend": len(items()),
        "temporal": layer.temporalProperties().isActive(),
    }
print(
    json.dumps(
        {
            "error": error,
            "results": results,
            "said": feedback.said,
            "warned": feedback.warned,
            "steps": feedback.steps,
            "layers": layers,
        }
    )
)
sys.stdout.flush()
# QGIS 3.22 may crash while it takes itself apart; all has been said by now.
os._exit(0)
