"""Which of several readings of a scene's numbers is right, and whether any can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from geoclass.errors import SceneError
from geoclass.mapping.cells import fill_invalid
from geoclass.model.classifier import Prediction
from geoclass.scene.radiometry import Radiometry, warn
from geoclass.scene.sample import Sample
from geoclass.scene.source import SceneSource

MOST_CHANGED = 0.1
"""Readings that give more of the sample's tiles another class are not chosen between."""

KNOWN_GREY = (41, 216)
"""Least and greatest mean grey level of EuroSAT's 27,000 tiles, over all bands."""
SLACK = 0.5
"""A scene may have half the grey of the darkest tile, or half the distance to white of the
brightest."""


def choose_radiometry(
    source: SceneSource,
    candidates: Sequence[Radiometry],
    sample: Sample,
    predict: Callable[[np.ndarray], Prediction] | None,
) -> Radiometry:
    """The likeliest reading, if the others would hardly change the map.

    `predict` labels uint8 tiles (n, 3, s, s); without it the likeliest is taken with a warning.
    Raises SceneError where the readings give too many tiles another class.
    """
    known = [c for c in candidates if (m := _find_middle(c, sample)) is None or _is_known(m)]
    first, *others = candidates = known or candidates
    if not others:
        return first
    listed = "; ".join(f"{c.name}: {c.reason}" for c in candidates)
    if predict is None or not _find_full(sample).any():
        return warn(
            first, f"its numbers can be read in several ways, the first was taken: {listed}"
        )
    labels = [_label(predict, candidate, sample) for candidate in candidates]
    changed = max(float((labels[0] != other).mean()) for other in labels[1:])
    if changed > MOST_CHANGED:
        raise SceneError(
            f"{source.shown} does not say what its numbers mean, and {changed:.0%} of a sample's "
            f"labels depend on it; plausible are {listed}; say which with --radiometry, "
            "--dn-offset or --scale"
        )
    return warn(
        first,
        f"its numbers can be read in several ways, of which the first was taken: {listed}; "
        f"{changed:.0%} of a sample's labels depend on it",
    )


def _find_full(sample: Sample) -> np.ndarray:
    """Bool (n,): True for tiles that have enough data to be labelled."""
    full: np.ndarray = sample.valid.mean(axis=(1, 2)) >= 0.5
    return full


def _label(
    predict: Callable[[np.ndarray], Prediction], radiometry: Radiometry, sample: Sample
) -> np.ndarray:
    """Int (n,): the likeliest classes of the sample's tiles that have enough data."""
    enough = _find_full(sample)
    tiles = np.ascontiguousarray(radiometry.apply(sample.stored)[:, enough].swapaxes(0, 1))
    for tile, valid in zip(tiles, sample.valid[enough], strict=True):
        if not valid.all():
            fill_invalid(tile, valid)
    labels: np.ndarray = predict(tiles).probabilities.argmax(axis=1)
    return labels


def check_range(source: SceneSource, radiometry: Radiometry, sample: Sample) -> None:
    """Refuse a scene that is far darker or brighter than all training tiles; SceneError."""
    middle = _find_middle(radiometry, sample)
    if middle is not None and not _is_known(middle):
        numbers = ", ".join(f"{value:.0f}" for value in middle)
        raise SceneError(
            f"{source.shown}, read as {radiometry.name} ({radiometry.reason}), has medians of "
            f"{numbers} in red, green and blue, where training tiles have a mean grey of "
            f"{KNOWN_GREY[0]} to {KNOWN_GREY[1]}: it is overcast or dark, or its numbers mean "
            "something else; see --radiometry, --scale and --dn-offset, or --force"
        )


def _find_middle(radiometry: Radiometry, sample: Sample) -> np.ndarray | None:
    """Float (3,): medians of the grey levels; None where nothing is valid."""
    pixels = radiometry.apply(sample.stored)[:, sample.valid]
    return None if pixels.shape[1] == 0 else np.median(pixels, axis=1)


def _is_known(middle: np.ndarray) -> bool:
    low, high = KNOWN_GREY
    return bool(SLACK * low <= middle.mean() <= 255 - SLACK * (255 - high))
