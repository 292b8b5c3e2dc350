"""What a model demands of pixels and promises of labels.

Plain data: it travels as JSON in the model file and in every map made with the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from numbers import Integral
from reprlib import repr as shorten
from typing import Any, Literal, TypeVar, get_args

from geoclass.legend import Legend

SCHEMA_VERSION = 1
"""Raised when a reader of the old contract would misunderstand a new one."""

SHIPPED = "shipped"
"""What the model in the package is called wherever the path of a model is asked for."""

Precision = Literal["fp32", "bf16"]
"""Of a network's products; sums, features and probabilities are float32 in either."""

Arch = Literal["customnet", "tilenet", "tilenet-fine", "tilenet-dense"]
SHIPPED_ARCH: Arch = "tilenet-dense"

SplitKind = Literal["random", "ground", "lists"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRecord:
    """Which tiles a model has never seen, so that an evaluation can score just those."""

    kind: SplitKind
    """`random`: tile by tile in each class; `ground`: by blocks of ground, so that parts share
    none; `lists`: given as lists of file names."""
    seed: int | None
    """What the first two are drawn by; None for lists."""
    test_sha256: str
    """Hash of the test part's sample names, see `geoclass.learn.splits.hash_names`."""
    train: int
    """Number of tiles trained on."""
    validation: int
    """Number of tiles that choices were made on."""
    test: int
    """Number of tiles kept apart."""

    def __post_init__(self) -> None:
        _check_fields(self)


TRAINED_REGION = {"EuroSAT": ("Europe", (-25.0, 34.0, 35.0, 66.0))}
"""Data set → name and west, south, east, north of nearly all of its tiles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """Where a model comes from."""

    data_set: str
    """Name of the file or folder of tiles."""
    split: SplitRecord
    recipe: Mapping[str, Any]
    """The settings of the training run."""
    epoch: int
    """The epoch whose weights these are, counted from 1."""
    validation_accuracy: float
    """Share of validation tiles with the right label, 0–1."""
    skipped: int | None = None
    """Images and folders of the data set that were left out; None where nobody has counted."""

    def __post_init__(self) -> None:
        _check_fields(self)

    def find_away(self, lon: float, lat: float) -> str | None:
        """Name of the region of the tiles where a place, in degrees, lies outside it; else None."""
        for data_set, (name, (west, south, east, north)) in TRAINED_REGION.items():
            inside = west <= lon <= east and south <= lat <= north
            if self.data_set.startswith(data_set) and not inside:
                return name
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class TestScores:
    """How a model fared on the tiles that it had never seen, read once when it was finished."""

    __test__ = False  # no test, whatever pytest makes of the name

    tiles: int
    accuracy: float
    """0–1."""
    macro_f1: float
    """0–1."""
    calibration_error: float
    """Expected calibration error over 15 bins, 0–1."""
    unknown_share: float
    """Tiles taken for unlike the training data, though they are like it; 0–1."""
    corrupted: Mapping[str, float]
    """Accuracy by corruption of the tiles, 0–1; see `geoclass.learn.corruptions`."""

    def __post_init__(self) -> None:
        _check_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """All that has to be known beside the weights to use a model rightly."""

    legend: Legend
    bands: tuple[str, ...] = ("B04", "B03", "B02")
    """Sentinel-2 names of the input channels in order."""
    gsd_m: float = 10.0
    """Ground sample distance of the training pixels, in metres."""
    tile_size: int = 64
    """Side of the square of pixels that the network looks at."""
    radiometry: str = "eurosat-l1c-8bit"
    """The name of the 8-bit scale; see `geoclass.scene.radiometry`."""
    mean: tuple[float, ...]
    """Per channel, subtracted from pixels scaled to 0–1."""
    std: tuple[float, ...]
    """Per channel, divides what is left."""
    temperature: float
    """Divides the logits before the softmax; fitted on validation (Guo et al. 2017)."""
    confusion: tuple[tuple[int, ...], ...]
    """Counts on validation: row = true class, column = predicted class."""
    class_shares: tuple[float, ...]
    """Share of each class among the training tiles, 0–1."""
    training: TrainingRecord
    scores: TestScores | None = None
    """On the test part; None where nobody has recorded them."""
    cell_temperature: float | None = None
    """The temperature of the cells within a tile; None for a network that has none."""

    def __post_init__(self) -> None:
        _check_fields(self)
        n = len(self.legend)
        if n < 2:
            raise ValueError(f"there must be two classes or more, got {n}")
        if len(self.class_shares) != n or [len(row) for row in self.confusion] != [n] * n:
            raise ValueError(f"class shares and confusion matrix must fit {n} classes")
        if len(self.mean) != len(self.bands) or len(self.std) != len(self.bands):
            raise ValueError(f"mean and std must have one value for each of {self.bands}")

    def to_json(self) -> dict[str, Any]:
        """Plain data, understood by `from_json`."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        fields["legend"] = self.legend.to_json()
        fields["training"] = asdict(self.training)
        fields["scores"] = None if self.scores is None else asdict(self.scores)
        return {"schema_version": SCHEMA_VERSION, **fields}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Contract:
        """The contract that `to_json` described.

        Raises ValueError if it is none.
        """
        parts = _check_object("contract", data)
        version = parts.pop("schema_version", None)
        if version != SCHEMA_VERSION:
            raise ValueError(
                f"contract has schema version {shorten(version)}, known is {SCHEMA_VERSION}"
            )
        training = _check_object("training", parts.get("training"))
        training["split"] = _build("split", SplitRecord, training.get("split"))
        parts["training"] = _build("training", TrainingRecord, training)
        parts["legend"] = Legend.from_json(parts.get("legend", ()))
        if parts.get("scores") is not None:
            parts["scores"] = _build("scores", TestScores, parts["scores"])
        return _build("contract", cls, parts)


Record = TypeVar("Record", SplitRecord, TrainingRecord, TestScores, Contract)


def _build(name: str, kind: type[Record], data: object) -> Record:
    """The record of a JSON object; ValueError where a key lacks or is unknown."""
    values = _check_object(name, data)
    needed = {f.name for f in fields(kind) if f.default is MISSING}
    if lacking := sorted(needed - values.keys()):
        raise ValueError(f"{name} lacks {', '.join(lacking)}")
    if unknown := sorted(values.keys() - {f.name for f in fields(kind)}):
        raise ValueError(f"{name} has unknown fields: {shorten(unknown)}")
    return kind(**{key: _freeze(value) for key, value in values.items()})


def _check_object(name: str, data: object) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise ValueError(f"{name} must be an object, got {shorten(data)}")  # noqa: TRY004
    return dict(data)


def _freeze(value: Any) -> Any:
    """JSON's lists, and those in them, as tuples."""
    if not isinstance(value, list | tuple):
        return value
    return tuple(tuple(row) if isinstance(row, list) else row for row in value)


Test = Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_whole(low: int, high: int = 2**53) -> Test:
    """Of numpy's kinds, too; but True and False are no numbers."""
    return lambda value: (
        not isinstance(value, bool) and isinstance(value, Integral) and low <= int(value) <= high
    )


def _is_number(low: float, high: float) -> Test:
    """NaN lies between no limits."""
    return lambda value: (
        not isinstance(value, bool) and isinstance(value, int | float) and low <= value <= high
    )


def _is_row(of: Test) -> Test:
    return lambda values: isinstance(values, tuple) and all(map(of, values))


def _is_object(of: Test) -> Test:
    return lambda values: isinstance(values, Mapping) and all(map(of, values.values()))


def _is_recipe(value: Any) -> bool:
    variations = value.get("augment") if isinstance(value, Mapping) else None
    return _is_object(_is_setting)(value) and isinstance(variations or {}, Mapping)


def _is_setting(value: Any, levels: int = 8) -> bool:
    """Anything that is not nested so deep that copying or printing it would fail."""
    parts = tuple(value.values()) if isinstance(value, Mapping) else value
    if not isinstance(parts, list | tuple):
        return True
    return levels > 0 and all(_is_setting(part, levels - 1) for part in parts)


_SHARE = ("a number from 0 to 1", _is_number(0, 1))
_COUNT = ("a whole number from 0", _is_whole(0))
_TEXT = ("a text", _is_text)

_RULES: Mapping[str, tuple[str, Test]] = {
    "legend": ("a legend", lambda value: isinstance(value, Legend)),
    # The only ones that scenes are read as, networks are made for and tiles share features in.
    "bands": ("B04, B03, B02", lambda value: value == ("B04", "B03", "B02")),
    "tile_size": ("64", _is_whole(64, 64)),
    "radiometry": ("eurosat-l1c-8bit", lambda value: value == "eurosat-l1c-8bit"),
    "gsd_m": ("a number from 0.1 to 1000", _is_number(0.1, 1e3)),
    "mean": ("numbers from -1000 to 1000", _is_row(_is_number(-1e3, 1e3))),
    # Divided by less, float32 may become infinite.
    "std": ("numbers from 0.000001 to 1000", _is_row(_is_number(1e-6, 1e3))),
    "temperature": ("a number from 0.000001 to 1000", _is_number(1e-6, 1e3)),
    "cell_temperature": (
        "a number from 0.000001 to 1000, or null",
        lambda value: value is None or _is_number(1e-6, 1e3)(value),
    ),
    "confusion": ("rows of whole numbers from 0", _is_row(_is_row(_is_whole(0)))),
    "class_shares": ("numbers from 0 to 1", _is_row(_SHARE[1])),
    "training": ("a record of training", lambda value: isinstance(value, TrainingRecord)),
    "scores": ("scores, or null", lambda value: isinstance(value, TestScores | None)),
    "split": ("a record of a split", lambda value: isinstance(value, SplitRecord)),
    "kind": (
        f"one of {', '.join(get_args(SplitKind))}",
        lambda value: value in get_args(SplitKind),
    ),
    "seed": ("a whole number from 0, or null", lambda v: v is None or _is_whole(0, 2**128)(v)),
    "test_sha256": _TEXT,
    "train": _COUNT,
    "validation": _COUNT,
    "test": _COUNT,
    "data_set": _TEXT,
    "recipe": ("an object of settings, augment one or null", _is_recipe),
    "epoch": ("a whole number from 1", _is_whole(1)),
    "validation_accuracy": _SHARE,
    "skipped": ("a whole number from 0, or null", lambda v: v is None or _is_whole(0)(v)),
    "tiles": _COUNT,
    "accuracy": _SHARE,
    "macro_f1": _SHARE,
    "calibration_error": _SHARE,
    "unknown_share": _SHARE,
    "corrupted": ("an object of numbers from 0 to 1", _is_object(_SHARE[1])),
}
"""By field: what it may hold, in words and as a test."""


def _check_fields(record: SplitRecord | TrainingRecord | TestScores | Contract) -> None:
    for name in record.__slots__:
        value = getattr(record, name)
        words, holds = _RULES[name]
        if not holds(value):
            raise ValueError(f"{name} must be {words}, got {shorten(value)}")
