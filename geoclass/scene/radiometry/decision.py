"""The radiometry of a scene: the choice between candidates, and checks of the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from geoclass.errors import SceneError
from geoclass.scene.open.source import SceneSource
from geoclass.scene.radiometry.candidates import find_candidates
from geoclass.scene.radiometry.conversion import Radiometry
from geoclass.scene.radiometry.missing import find_missing
from geoclass.scene.radiometry.sample import Possible, Sample
from geoclass.scene.radiometry.units import BYTE_ADVICE
from geoclass.scene.settings import RadiometrySettings

MAX_CHANGED = 0.1
"""Maximum fraction of sampled tiles whose class may depend on the radiometry."""

TRAINING_GREY = (41, 216)
"""Minimum and maximum mean grey level of EuroSAT's 27,000 tiles, over all bands."""
TOLERANCE = 0.5
"""A scene may have half the grey level of the darkest tile, or half the distance to white of the
brightest."""

MOST_REDDER, REDDER_SHARE = 2.0, 0.3
"""Ratio of red to green, and fraction of pixels above it, which visible light never reaches."""

Label = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Classes, int (n,), of uint8 tiles (n, 3, s, s) and their valid pixels, bool (n, s, s)."""


def decide_radiometry(
    source: SceneSource,
    settings: RadiometrySettings,
    sample: Sample,
    *,
    read_more: Callable[[Possible | None], Sample],
    label: Label | None,
    force: bool,
) -> Radiometry:
    """Decide how stored values are converted, and which of them are missing.

    If several radiometries are plausible, a larger sample is read and labelled with each; without
    `label`, the most likely one is used, with a warning. Raises SceneError if many labels depend on
    the choice, or, unless `force` is set, if the result is out of range.
    """
    possible, sample, warnings = find_missing(source, settings, sample, force=force)
    candidates = find_candidates(source, settings, sample)
    if len(candidates) > 1:
        sample = read_more(possible)
    radiometry = _choose(source, candidates, sample, label)
    if not force:
        _check_range(source, radiometry, sample)
        check_colors(source, radiometry, sample)
    return replace(radiometry, possible=possible, warnings=(*warnings, *radiometry.warnings))


def _choose(
    source: SceneSource, candidates: Sequence[Radiometry], sample: Sample, label: Label | None
) -> Radiometry:
    usual = candidates[0]
    first, *others = candidates = [c for c in candidates if _is_plausible(c, sample)] or candidates
    if not others and first is usual:
        return first
    if not others:
        return first.warn(
            f"its values would be far too dark or too bright as {usual.reason}, "
            f"so they are read as {first.reason}"
        )
    listed = "; ".join(f"{c.name}: {c.reason}" for c in candidates)
    doubt = f"its values have several possible meanings, the first is used: {listed}"
    enough = sample.valid.mean(axis=(1, 2)) >= 0.5
    if label is None or not enough.any():
        return first.warn(doubt)
    tiles = [
        np.ascontiguousarray(candidate.apply(sample.stored)[:, enough].swapaxes(0, 1))
        for candidate in candidates
    ]
    labels = [label(pixels, sample.valid[enough]) for pixels in tiles]
    changed = max(float((labels[0] != other).mean()) for other in labels[1:])
    if changed > MAX_CHANGED:
        advice = "say which with --radiometry, --dn-offset, --quantification or --scale"
        advice = BYTE_ADVICE if source.dtype == "uint8" else advice
        raise SceneError(
            f"the values of {source.shown} have several possible meanings, and {changed:.0%} of a "
            f"sample's labels depend on it; plausible are {listed}; {advice}"
        )
    return first.warn(f"{doubt}; {changed:.0%} of a sample's labels depend on it")


def _check_range(source: SceneSource, radiometry: Radiometry, sample: Sample) -> None:
    """SceneError for a scene that is far darker or brighter than all training tiles."""
    median = _find_median(radiometry, sample)
    if median is not None and not _is_plausible(radiometry, sample):
        numbers = ", ".join(f"{value:.0f}" for value in median)
        raise SceneError(
            f"{source.shown}, read as {radiometry.name} ({radiometry.reason}), has medians of "
            f"{numbers} in red, green and blue, but training tiles have a mean grey of "
            f"{TRAINING_GREY[0]} to {TRAINING_GREY[1]}: it is overcast or dark, or its values "
            "mean something else; see --radiometry, --scale and --dn-offset, or --force"
        )


def _find_median(radiometry: Radiometry, sample: Sample) -> np.ndarray | None:
    """Float (3,): median grey levels; None without valid pixels."""
    pixels = radiometry.apply(sample.stored)[:, sample.valid]
    return np.median(pixels, axis=1) if pixels.shape[1] else None


def _is_plausible(radiometry: Radiometry, sample: Sample) -> bool:
    median = _find_median(radiometry, sample)
    low, high = TRAINING_GREY
    return median is None or bool(
        TOLERANCE * low <= median.mean() <= 255 - TOLERANCE * (255 - high)
    )


def check_colors(source: SceneSource, radiometry: Radiometry, sample: Sample) -> None:
    """SceneError for a scene whose red is near infrared, by the brightness of plants."""
    if source.facts.radiometry is not None:  # made for networks
        return
    red, green, _ = (
        band[sample.valid] * gain + bias
        for band, gain, bias in zip(sample.stored, radiometry.gain, radiometry.bias, strict=True)
    )
    share = float((red > MOST_REDDER * np.maximum(green, 1)).mean()) if red.size else 0.0
    if share > REDDER_SHARE:
        raise SceneError(
            f"band {source.bands[0]} of {source.shown}, taken as red, is over twice as bright "
            f"as green in {share:.0%} of a sample's pixels, like near infrared over plants: give "
            "bands of visible light with -b"
        )
