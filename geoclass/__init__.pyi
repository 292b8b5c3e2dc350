# The public names, and where each is at home: read by type checkers, and when geoclass is imported.

from .campaign.jobs import Shard, Summary
from .campaign.run import Progress, run_campaign
from .campaign.workers import ExecuteInProcesses, ExecuteOnRay
from .contract import Contract
from .errors import (
    Cancelled,
    DatasetError,
    GeoclassError,
    ModelError,
    OutputError,
    SceneError,
    SettingsError,
)
from .grid import Grid
from .landcover import AreaRow, Areas, LandCoverMap, Provenance
from .learn.cutting import CutTiles, cut_scene
from .learn.download import fetch_dataset
from .learn.inspection import Inspection, inspect_tiles
from .learn.recipes import AugmentSettings, TrainSettings
from .learn.scoring import Evaluation, Mistake, ModelScore, score_on_tiles
from .learn.single import ImageLabel, label_images
from .learn.training import EpochReport, TrainingPlan, choose_recipe, train_on_tiles
from .legend import Legend
from .mapping.job import map_scene, plan_scene
from .mapping.pipeline import estimate_work
from .mapping.plan import MapPlan
from .mapping.settings import MapRequest, MapSettings
from .model.checkpoint import Model, load_model
from .model.classifier import Classifier
from .model.export import export_onnx
from .monitor.align import DatedMap, LeftOut, date_map
from .monitor.area import Assessment, assess_sample
from .monitor.change import Change, change_maps, write_change
from .monitor.files import read_monitor, update_monitor, write_monitor, write_tables
from .monitor.history import Alert, Monitoring, monitor_maps
from .monitor.layers import write_alerts
from .monitor.plots import PlotVerdicts, Verdict, assess_plots, write_verdicts
from .monitor.sampling import Sample, sample_map, write_sample
from .monitor.settings import (
    AlignSettings,
    MonitorSettings,
    PairRate,
    PlotSettings,
    SampleSettings,
    SeriesSettings,
)
from .monitor.tables import read_zones
from .monitor.zone_areas import ZoneArea, ZoneAreas, measure_zones, write_zone_areas
from .products.exports import to_xarray
from .products.files import read_map, write_map, write_styles
from .products.mosaic import find_maps, merge_maps, write_mosaic
from .products.shapes import to_geodataframe
from .report.card import describe_model
from .report.charts import (
    draw_confusion,
    draw_labels,
    draw_learning_curve,
    draw_mistakes,
    draw_samples,
    draw_timeline,
)
from .report.page.render import write_report
from .report.preview import draw_preview
from .scene.settings import FrameSettings, MaskSettings, RadiometrySettings

__version__: str

__all__ = [
    "Alert",
    "AlignSettings",
    "AreaRow",
    "Areas",
    "Assessment",
    "AugmentSettings",
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
    "LeftOut",
    "Legend",
    "MapPlan",
    "MapRequest",
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
    "PlotSettings",
    "PlotVerdicts",
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
    "TrainingPlan",
    "Verdict",
    "ZoneArea",
    "ZoneAreas",
    "assess_plots",
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
    "measure_zones",
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
    "write_verdicts",
    "write_zone_areas",
]
