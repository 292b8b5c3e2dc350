"""What a model demands of pixels and promises of labels.

Plain data: it travels as JSON in the model file and in every map made with the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from geoclass.legend import Legend

SCHEMA_VERSION = 1
"""Raised when a reader of the old contract would misunderstand a new one."""

Precision = Literal["fp32", "bf16"]
"""Of a network's products; sums, features and probabilities are float32 in either."""

SplitKind = Literal["random", "lists"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRecord:
    """Which tiles a model has never seen, so that an evaluation can score just those."""

    kind: SplitKind
    """`random`: stratified by `seed`; `lists`: given as lists of file names."""
    seed: int | None
    """Seed of the random split; None for lists."""
    test_sha256: str
    """Hash of the test part's sample names, see `geoclass.learn.splits.hash_names`."""
    train: int
    """Number of tiles trained on."""
    validation: int
    """Number of tiles that choices were made on."""
    test: int
    """Number of tiles kept apart."""


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

    def __post_init__(self) -> None:
        n = len(self.legend)
        if len(self.class_shares) != n or [len(row) for row in self.confusion] != [n] * n:
            raise ValueError(f"class shares and confusion matrix must fit {n} classes")
        if len(self.mean) != len(self.bands) or len(self.std) != len(self.bands):
            raise ValueError(f"mean and std must have one value for each of {self.bands}")
        if not self.temperature > 0:
            raise ValueError(f"temperature must be positive, got {self.temperature}")

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

        Raises ValueError, KeyError or TypeError if it is none.
        """
        fields = dict(data)
        version = fields.pop("schema_version")
        if version != SCHEMA_VERSION:
            raise ValueError(f"contract has schema version {version}, known is {SCHEMA_VERSION}")
        training = dict(fields.pop("training"))
        training["split"] = SplitRecord(**training["split"])
        scores = fields.pop("scores", None)
        return cls(
            legend=Legend.from_json(fields.pop("legend")),
            training=TrainingRecord(**training),
            scores=None if scores is None else TestScores(**scores),
            bands=tuple(fields.pop("bands")),
            mean=tuple(fields.pop("mean")),
            std=tuple(fields.pop("std")),
            confusion=tuple(tuple(row) for row in fields.pop("confusion")),
            class_shares=tuple(fields.pop("class_shares")),
            **fields,
        )
