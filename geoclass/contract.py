"""The contract: a model's metadata, stored as JSON in the model file and in every map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from reprlib import repr as shorten
from typing import Annotated, Any, Literal

from msgspec import Meta

from geoclass.legend import Legend
from geoclass.outside import check_depth, convert_json

SCHEMA_VERSION = 1
"""Incremented when older readers would misinterpret a new contract."""

SHIPPED = "shipped"
"""Accepted in place of a model path: the model in the package."""

Precision = Literal["fp32", "bf16"]
"""Precision of multiplications; sums, features and probabilities are always float32."""

Arch = Literal["customnet", "tilenet", "tilenet-fine", "tilenet-dense"]
SHIPPED_ARCH: Arch = "tilenet-dense"

SplitKind = Literal["random", "ground", "lists"]

# `from_json` validates against these types.
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Offset = Annotated[float, Meta(ge=-1e3, le=1e3)]
Divisor = Annotated[float, Meta(ge=1e-6, le=1e3)]
"""Division by a smaller number could overflow float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRecord:
    """How the tiles were split, so that an evaluation uses only held-out tiles."""

    kind: SplitKind
    """`random`: within each class; `ground`: by spatial blocks; `lists`: by file names, or by the
    data set's folders."""
    seed: Count | None
    """None for lists."""
    test_sha256: str
    """Hash of the names of the test tiles, see `geoclass.learn.splits.hash_names`."""
    train: Count
    """Number of training tiles."""
    validation: Count
    """Number of validation tiles."""
    test: Count
    """Number of held-out tiles."""


TRAINED_REGION = {"EuroSAT": ("Europe", (-25.0, 34.0, 35.0, 66.0))}
"""Data set → name and west, south, east, north of the region of its tiles, in degrees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """How a model was trained."""

    data_set: str
    """Name of the file or folder with the tiles."""
    split: SplitRecord
    recipe: Mapping[str, Any]
    """Settings of the training run."""
    epoch: Annotated[int, Meta(ge=1)]
    """Epoch of the weights, from 1."""
    validation_accuracy: Share
    """0–1."""
    skipped: Count | None = None
    """Number of images and folders of the data set that were skipped; None if not recorded."""

    def find_away(self, lon: float, lat: float) -> str | None:
        """Name of the region of the training tiles if a location, in degrees, is outside it."""
        for data_set, (name, (west, south, east, north)) in TRAINED_REGION.items():
            inside = west <= lon <= east and south <= lat <= north
            if self.data_set.startswith(data_set) and not inside:
                return name
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class TestScores:
    """Scores on the held-out tiles, computed once after training."""

    __test__ = False  # not a test class for pytest

    tiles: Count
    accuracy: Share
    """0–1."""
    macro_f1: Share
    """0–1."""
    calibration_error: Share
    """Expected calibration error over 15 bins, 0–1."""
    unknown_share: Share
    """Fraction of tiles wrongly detected as out-of-distribution, 0–1."""
    corrupted: Mapping[str, Share]
    """Accuracy by corruption, 0–1; see `geoclass.learn.corruptions`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """Everything except the weights that is needed to use a model."""

    legend: Legend
    # Literal fields have only one supported value.
    bands: tuple[Literal["B04"], Literal["B03"], Literal["B02"]] = ("B04", "B03", "B02")
    """Sentinel-2 names of the input channels in order."""
    gsd_m: Annotated[float, Meta(ge=0.1, le=1e3)] = 10.0
    """Ground sample distance of the training pixels, in metres."""
    tile_size: Literal[64] = 64
    """Side of a tile in pixels."""
    radiometry: Literal["eurosat-l1c-8bit"] = "eurosat-l1c-8bit"
    """Name of the 8-bit stretch; see `geoclass.scene.radiometry`."""
    mean: tuple[Offset, Offset, Offset]
    """Per channel, subtracted from pixels scaled to 0–1."""
    std: tuple[Divisor, Divisor, Divisor]
    """Per channel; divides the difference."""
    temperature: Divisor
    """Divides the logits before the softmax; fitted on validation tiles (Guo et al. 2017)."""
    confusion: tuple[tuple[Count, ...], ...]
    """Counts on validation tiles: row = true class, column = predicted class."""
    class_shares: tuple[Share, ...]
    """Fraction of each class among the training tiles, 0–1."""
    training: TrainingRecord
    scores: TestScores | None = None
    """On the held-out tiles; None if not recorded."""
    cell_temperature: Divisor | None = None
    """Temperature of the cells; None for a network that classifies tiles only."""

    def __post_init__(self) -> None:
        n = len(self.legend)
        if n < 2:
            raise ValueError(f"there must be two classes or more, got {n}")
        if len(self.class_shares) != n or [len(row) for row in self.confusion] != [n] * n:
            raise ValueError(f"class shares and confusion matrix must fit {n} classes")

    def to_json(self) -> dict[str, Any]:
        """JSON data for `from_json`."""
        return {
            "schema_version": SCHEMA_VERSION,
            **asdict(self),
            "legend": self.legend.to_json(),
        }

    @classmethod
    def from_json(cls, data: Any) -> Contract:
        """Inverse of `to_json`; ValueError, which names the field, for other data."""
        check_depth(data, "contract")
        known = convert_json(data, dict[str, Any], "contract")
        version = known.get("schema_version")
        if version != SCHEMA_VERSION:
            raise ValueError(
                f"contract has schema version {shorten(version)}, known is {SCHEMA_VERSION}"
            )
        legend = Legend.from_json(known.get("legend", ()))
        contract = convert_json({**known, "legend": asdict(legend)}, cls, "contract")
        _refuse_unknown("contract", known, contract.to_json())
        return contract


def _refuse_unknown(name: str, data: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """ValueError for unknown fields, which a newer version may have added."""
    if unknown := sorted(data.keys() - known.keys()):
        raise ValueError(f"{name} has unknown fields: {shorten(unknown)}")
    for part in {"training", "split", "scores"} & data.keys():
        if data[part] is not None:
            _refuse_unknown(part, data[part], known[part])
