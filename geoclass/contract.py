"""What a model demands of pixels and promises of labels.

Plain data: it travels as JSON in the model file and in every map made with the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from reprlib import repr as shorten
from typing import Annotated, Any, Literal

from msgspec import Meta

from geoclass.legend import Legend
from geoclass.outside import check_depth, convert_json

SCHEMA_VERSION = 1
"""Raised when a reader of the old contract would misunderstand a new one."""

SHIPPED = "shipped"
"""What the model in the package is called wherever the path of a model is asked for."""

Precision = Literal["fp32", "bf16"]
"""Of a network's products; sums, features and probabilities are float32 in either."""

Arch = Literal["customnet", "tilenet", "tilenet-fine", "tilenet-dense"]
SHIPPED_ARCH: Arch = "tilenet-dense"

SplitKind = Literal["random", "ground", "lists"]

# `from_json` holds data against these types.
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]
Offset = Annotated[float, Meta(ge=-1e3, le=1e3)]
Divisor = Annotated[float, Meta(ge=1e-6, le=1e3)]
"""Divided by less, float32 may become infinite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRecord:
    """Which tiles a model has never seen, so that an evaluation can score just those."""

    kind: SplitKind
    """`random`: tile by tile in each class; `ground`: by blocks of ground, so that parts share
    none; `lists`: given as lists of file names, or by the data set's folders."""
    seed: Count | None
    """What the first two are drawn by; None for lists."""
    test_sha256: str
    """Hash of the test part's sample names, see `geoclass.learn.splits.hash_names`."""
    train: Count
    """Number of tiles trained on."""
    validation: Count
    """Number of tiles that choices were made on."""
    test: Count
    """Number of tiles held out."""


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
    epoch: Annotated[int, Meta(ge=1)]
    """The epoch whose weights these are, counted from 1."""
    validation_accuracy: Share
    """Share of validation tiles with the right label, 0–1."""
    skipped: Count | None = None
    """Images and folders of the data set that were left out; None where nobody has counted."""

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

    tiles: Count
    accuracy: Share
    """0–1."""
    macro_f1: Share
    """0–1."""
    calibration_error: Share
    """Expected calibration error over 15 bins, 0–1."""
    unknown_share: Share
    """Tiles taken for unlike the training data, though they are like it; 0–1."""
    corrupted: Mapping[str, Share]
    """Accuracy by corruption of the tiles, 0–1; see `geoclass.learn.corruptions`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """All that has to be known beside the weights to use a model rightly."""

    legend: Legend
    # The only ones that scenes are read as, networks are made for and tiles share features in.
    bands: tuple[Literal["B04"], Literal["B03"], Literal["B02"]] = ("B04", "B03", "B02")
    """Sentinel-2 names of the input channels in order."""
    gsd_m: Annotated[float, Meta(ge=0.1, le=1e3)] = 10.0
    """Ground sample distance of the training pixels, in metres."""
    tile_size: Literal[64] = 64
    """Side of the square of pixels that the network looks at."""
    radiometry: Literal["eurosat-l1c-8bit"] = "eurosat-l1c-8bit"
    """The name of the 8-bit scale; see `geoclass.scene.radiometry`."""
    mean: tuple[Offset, Offset, Offset]
    """Per channel, subtracted from pixels scaled to 0–1."""
    std: tuple[Divisor, Divisor, Divisor]
    """Per channel, divides what is left."""
    temperature: Divisor
    """Divides the logits before the softmax; fitted on validation (Guo et al. 2017)."""
    confusion: tuple[tuple[Count, ...], ...]
    """Counts on validation: row = true class, column = predicted class."""
    class_shares: tuple[Share, ...]
    """Share of each class among the training tiles, 0–1."""
    training: TrainingRecord
    scores: TestScores | None = None
    """On the test part; None where nobody has recorded them."""
    cell_temperature: Divisor | None = None
    """The temperature of the cells within a tile; None for a network that has none."""

    def __post_init__(self) -> None:
        n = len(self.legend)
        if n < 2:
            raise ValueError(f"there must be two classes or more, got {n}")
        if len(self.class_shares) != n or [len(row) for row in self.confusion] != [n] * n:
            raise ValueError(f"class shares and confusion matrix must fit {n} classes")

    def to_json(self) -> dict[str, Any]:
        """Plain data, understood by `from_json`."""
        return {
            "schema_version": SCHEMA_VERSION,
            **asdict(self),
            "legend": self.legend.to_json(),
        }

    @classmethod
    def from_json(cls, data: Any) -> Contract:
        """The contract that `to_json` described.

        Raises ValueError, which names the field, if it is none.
        """
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
    """ValueError for a field that no record has: a newer version would mean something by it."""
    if unknown := sorted(data.keys() - known.keys()):
        raise ValueError(f"{name} has unknown fields: {shorten(unknown)}")
    for part in {"training", "split", "scores"} & data.keys():
        if data[part] is not None:
            _refuse_unknown(part, data[part], known[part])
