"""The choice between possible radiometries of a scene, and a check of its range of values."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from geoclass.errors import SceneError
from geoclass.mapping.cells import fill_invalid
from geoclass.model.classifier import Prediction
from geoclass.scene.open.source import SceneSource
from geoclass.scene.radiometry.conversion import Radiometry, warn
from geoclass.scene.radiometry.sample import Sample
from geoclass.scene.radiometry.units import BYTE_ADVICE

MAX_CHANGED = 0.1
"""Maximum fraction of sampled tiles whose class may depend on the radiometry."""

TRAINING_GREY = (41, 216)
"""Minimum and maximum mean grey level of EuroSAT's 27,000 tiles, over all bands."""
TOLERANCE = 0.5
"""A scene may have half the grey level of the darkest tile, or half the distance to white of the
brightest."""


def choose_radiometry(
    source: SceneSource,
    candidates: Sequence[Radiometry],
    sample: Sample,
    predict: Callable[[np.ndarray], Prediction] | None,
) -> Radiometry:
    """The most plausible candidate, if the others would hardly change the map.

    `predict` classifies uint8 tiles (n, 3, s, s); without it, the first candidate is chosen with a
    warning. Raises SceneError if too many classes depend on the choice.
    """
    plausible = [
        c for c in candidates if (m := _find_median(c, sample)) is None or _is_plausible(m)
    ]
    usual = candidates[0]
    first, *others = candidates = plausible or candidates
    if not others and first is usual:
        return first
    if not others:
        return warn(
            first,
            f"its numbers would be far too dark or too bright as {usual.reason}, "
            f"so they are read as {first.reason}",
        )
    listed = "; ".join(f"{c.name}: {c.reason}" for c in candidates)
    if predict is None or not _has_data(sample).any():
        return warn(
            first, f"its numbers can be read in several ways, the first was taken: {listed}"
        )
    labels = [_classify(predict, candidate, sample) for candidate in candidates]
    changed = max(float((labels[0] != other).mean()) for other in labels[1:])
    if changed > MAX_CHANGED:
        advice = "say which with --radiometry, --dn-offset, --quantification or --scale"
        advice = BYTE_ADVICE if source.dtype == "uint8" else advice
        raise SceneError(
            f"{source.shown} does not say what its numbers mean, and {changed:.0%} of a sample's "
            f"labels depend on it; plausible are {listed}; {advice}"
        )
    return warn(
        first,
        f"its numbers can be read in several ways, of which the first was taken: {listed}; "
        f"{changed:.0%} of a sample's labels depend on it",
    )


def _has_data(sample: Sample) -> np.ndarray:
    """Bool (n,): True for tiles with enough valid pixels."""
    enough: np.ndarray = sample.valid.mean(axis=(1, 2)) >= 0.5
    return enough


def _classify(
    predict: Callable[[np.ndarray], Prediction], radiometry: Radiometry, sample: Sample
) -> np.ndarray:
    """Int (n,): top-1 classes of the sample's tiles with enough data."""
    enough = _has_data(sample)
    tiles = np.ascontiguousarray(radiometry.apply(sample.stored)[:, enough].swapaxes(0, 1))
    for tile, valid in zip(tiles, sample.valid[enough], strict=True):
        if not valid.all():
            fill_invalid(tile, valid)
    labels: np.ndarray = predict(tiles).probabilities.argmax(axis=1)
    return labels


def check_range(source: SceneSource, radiometry: Radiometry, sample: Sample) -> None:
    """SceneError for a scene that is far darker or brighter than all training tiles."""
    median = _find_median(radiometry, sample)
    if median is not None and not _is_plausible(median):
        numbers = ", ".join(f"{value:.0f}" for value in median)
        raise SceneError(
            f"{source.shown}, read as {radiometry.name} ({radiometry.reason}), has medians of "
            f"{numbers} in red, green and blue, where training tiles have a mean grey of "
            f"{TRAINING_GREY[0]} to {TRAINING_GREY[1]}: it is overcast or dark, or its numbers "
            "mean something else; see --radiometry, --scale and --dn-offset, or --force"
        )


def _find_median(radiometry: Radiometry, sample: Sample) -> np.ndarray | None:
    """Float (3,): median grey levels; None without valid pixels."""
    pixels = radiometry.apply(sample.stored)[:, sample.valid]
    return None if pixels.shape[1] == 0 else np.median(pixels, axis=1)


def _is_plausible(median: np.ndarray) -> bool:
    low, high = TRAINING_GREY
    return bool(TOLERANCE * low <= median.mean() <= 255 - TOLERANCE * (255 - high))
