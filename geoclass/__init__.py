"""geoclass: land-cover maps from satellite scenes.

    import geoclass

    landcover = geoclass.map_scene("scene.tif")
    geoclass.write_map(landcover, "landcover.gpkg")

Whatever a command does is a function here. Files are named by `str` or `Path`, settings are
keyword-only dataclasses, and nothing is printed. Functions that take long report progress to a
callback, `on_…`; what it raises, `geoclass.Cancelled` for one, stops the work. Errors that a
person can put right are `geoclass.GeoclassError`.

Names are imported when they are first used, so that `import geoclass` is quick.
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from geoclass.campaign.cluster import ExecuteOnRay
    from geoclass.campaign.jobs import CampaignSettings, Shard
    from geoclass.campaign.run import Progress, run_campaign
    from geoclass.campaign.summary import Summary
    from geoclass.campaign.workers import ExecuteInProcesses
    from geoclass.contract import Contract
    from geoclass.errors import (
        Cancelled,
        DatasetError,
        GeoclassError,
        ModelError,
        OutputError,
        SceneError,
        SettingsError,
    )
    from geoclass.grid import Grid
    from geoclass.landcover import AreaRow, LandCoverMap, Provenance
    from geoclass.learn.augment import AugmentSettings
    from geoclass.learn.download import fetch_dataset
    from geoclass.learn.evaluation import Evaluation
    from geoclass.learn.inspection import Inspection, inspect_tiles
    from geoclass.learn.recipes import TrainSettings
    from geoclass.learn.scoring import Mistake, ModelScore, score_on_tiles
    from geoclass.learn.single import ImageLabel, label_images
    from geoclass.learn.tasks import choose_recipe, train_on_tiles
    from geoclass.learn.training import EpochReport
    from geoclass.legend import Legend
    from geoclass.mapping.cutting import CutTiles, cut_scene
    from geoclass.mapping.estimate import estimate_work
    from geoclass.mapping.pipeline import map_scene, plan_scene
    from geoclass.mapping.plan import MapPlan
    from geoclass.mapping.settings import MapSettings
    from geoclass.model.checkpoint import Model, load_model
    from geoclass.model.classifier import Classifier
    from geoclass.model.export import export_onnx
    from geoclass.monitor.align import DatedMap
    from geoclass.monitor.area import Assessment
    from geoclass.monitor.assessing import assess_sample
    from geoclass.monitor.change import Change, change_maps, write_change
    from geoclass.monitor.dates import date_map
    from geoclass.monitor.files import read_monitor, update_monitor, write_monitor, write_tables
    from geoclass.monitor.history import Alert
    from geoclass.monitor.raster import write_alerts
    from geoclass.monitor.sampling import Sample, sample_map, write_sample
    from geoclass.monitor.settings import (
        AlignSettings,
        MonitorSettings,
        PairRate,
        SampleSettings,
        SeriesSettings,
    )
    from geoclass.monitor.watch import Monitoring, monitor_maps
    from geoclass.monitor.zones import read_zones
    from geoclass.products.dataset import to_xarray
    from geoclass.products.files import read_map, write_map
    from geoclass.products.gather import find_maps
    from geoclass.products.mosaic import merge_maps, write_mosaic
    from geoclass.products.shapes import to_geodataframe
    from geoclass.products.style_files import write_styles
    from geoclass.report.card import describe_model
    from geoclass.report.charts import (
        draw_confusion,
        draw_labels,
        draw_learning_curve,
        draw_mistakes,
        draw_samples,
    )
    from geoclass.report.page.render import write_report
    from geoclass.report.preview import draw_preview
    from geoclass.report.timeline import draw_timeline
    from geoclass.scene.settings import FrameSettings, MaskSettings, RadiometrySettings

_HOMES = {
    "Alert": "geoclass.monitor.history",
    "AlignSettings": "geoclass.monitor.settings",
    "AreaRow": "geoclass.landcover",
    "Assessment": "geoclass.monitor.area",
    "AugmentSettings": "geoclass.learn.augment",
    "CampaignSettings": "geoclass.campaign.jobs",
    "Cancelled": "geoclass.errors",
    "Change": "geoclass.monitor.change",
    "Classifier": "geoclass.model.classifier",
    "Contract": "geoclass.contract",
    "CutTiles": "geoclass.mapping.cutting",
    "DatasetError": "geoclass.errors",
    "DatedMap": "geoclass.monitor.align",
    "EpochReport": "geoclass.learn.training",
    "Evaluation": "geoclass.learn.evaluation",
    "ExecuteInProcesses": "geoclass.campaign.workers",
    "ExecuteOnRay": "geoclass.campaign.cluster",
    "FrameSettings": "geoclass.scene.settings",
    "GeoclassError": "geoclass.errors",
    "Grid": "geoclass.grid",
    "ImageLabel": "geoclass.learn.single",
    "Inspection": "geoclass.learn.inspection",
    "LandCoverMap": "geoclass.landcover",
    "Legend": "geoclass.legend",
    "MapPlan": "geoclass.mapping.plan",
    "MapSettings": "geoclass.mapping.settings",
    "MaskSettings": "geoclass.scene.settings",
    "Model": "geoclass.model.checkpoint",
    "ModelError": "geoclass.errors",
    "Mistake": "geoclass.learn.scoring",
    "ModelScore": "geoclass.learn.scoring",
    "MonitorSettings": "geoclass.monitor.settings",
    "Monitoring": "geoclass.monitor.watch",
    "OutputError": "geoclass.errors",
    "PairRate": "geoclass.monitor.settings",
    "Progress": "geoclass.campaign.run",
    "Provenance": "geoclass.landcover",
    "RadiometrySettings": "geoclass.scene.settings",
    "Sample": "geoclass.monitor.sampling",
    "SampleSettings": "geoclass.monitor.settings",
    "SceneError": "geoclass.errors",
    "SeriesSettings": "geoclass.monitor.settings",
    "SettingsError": "geoclass.errors",
    "Shard": "geoclass.campaign.jobs",
    "Summary": "geoclass.campaign.summary",
    "TrainSettings": "geoclass.learn.recipes",
    "assess_sample": "geoclass.monitor.assessing",
    "change_maps": "geoclass.monitor.change",
    "choose_recipe": "geoclass.learn.tasks",
    "cut_scene": "geoclass.mapping.cutting",
    "date_map": "geoclass.monitor.dates",
    "describe_model": "geoclass.report.card",
    "draw_confusion": "geoclass.report.charts",
    "draw_labels": "geoclass.report.charts",
    "draw_learning_curve": "geoclass.report.charts",
    "draw_mistakes": "geoclass.report.charts",
    "draw_preview": "geoclass.report.preview",
    "draw_samples": "geoclass.report.charts",
    "draw_timeline": "geoclass.report.timeline",
    "estimate_work": "geoclass.mapping.estimate",
    "export_onnx": "geoclass.model.export",
    "fetch_dataset": "geoclass.learn.download",
    "find_maps": "geoclass.products.gather",
    "inspect_tiles": "geoclass.learn.inspection",
    "label_images": "geoclass.learn.single",
    "load_model": "geoclass.model.checkpoint",
    "map_scene": "geoclass.mapping.pipeline",
    "merge_maps": "geoclass.products.mosaic",
    "monitor_maps": "geoclass.monitor.watch",
    "plan_scene": "geoclass.mapping.pipeline",
    "read_map": "geoclass.products.files",
    "read_monitor": "geoclass.monitor.files",
    "read_zones": "geoclass.monitor.zones",
    "run_campaign": "geoclass.campaign.run",
    "sample_map": "geoclass.monitor.sampling",
    "score_on_tiles": "geoclass.learn.scoring",
    "to_geodataframe": "geoclass.products.shapes",
    "to_xarray": "geoclass.products.dataset",
    "train_on_tiles": "geoclass.learn.tasks",
    "update_monitor": "geoclass.monitor.files",
    "write_alerts": "geoclass.monitor.raster",
    "write_change": "geoclass.monitor.change",
    "write_map": "geoclass.products.files",
    "write_monitor": "geoclass.monitor.files",
    "write_mosaic": "geoclass.products.mosaic",
    "write_report": "geoclass.report.page.render",
    "write_sample": "geoclass.monitor.sampling",
    "write_styles": "geoclass.products.style_files",
    "write_tables": "geoclass.monitor.files",
}

__all__ = [
    "Alert",
    "AlignSettings",
    "AreaRow",
    "Assessment",
    "AugmentSettings",
    "CampaignSettings",
    "Cancelled",
    "Change",
    "Classifier",
    "Contract",
    "CutTiles",
    "DatasetError",
    "DatedMap",
    "EpochReport",
    "Evaluation",
    "ExecuteInProcesses",
    "ExecuteOnRay",
    "FrameSettings",
    "GeoclassError",
    "Grid",
    "ImageLabel",
    "Inspection",
    "LandCoverMap",
    "Legend",
    "MapPlan",
    "MapSettings",
    "MaskSettings",
    "Mistake",
    "Model",
    "ModelError",
    "ModelScore",
    "MonitorSettings",
    "Monitoring",
    "OutputError",
    "PairRate",
    "Progress",
    "Provenance",
    "RadiometrySettings",
    "Sample",
    "SampleSettings",
    "SceneError",
    "SeriesSettings",
    "SettingsError",
    "Shard",
    "Summary",
    "TrainSettings",
    "assess_sample",
    "change_maps",
    "choose_recipe",
    "cut_scene",
    "date_map",
    "describe_model",
    "draw_confusion",
    "draw_labels",
    "draw_learning_curve",
    "draw_mistakes",
    "draw_preview",
    "draw_samples",
    "draw_timeline",
    "estimate_work",
    "export_onnx",
    "fetch_dataset",
    "find_maps",
    "inspect_tiles",
    "label_images",
    "load_model",
    "map_scene",
    "merge_maps",
    "monitor_maps",
    "plan_scene",
    "read_map",
    "read_monitor",
    "read_zones",
    "run_campaign",
    "sample_map",
    "score_on_tiles",
    "to_geodataframe",
    "to_xarray",
    "train_on_tiles",
    "update_monitor",
    "write_alerts",
    "write_change",
    "write_map",
    "write_monitor",
    "write_mosaic",
    "write_report",
    "write_sample",
    "write_styles",
    "write_tables",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'geoclass' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
