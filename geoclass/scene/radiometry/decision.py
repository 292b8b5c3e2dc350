"""The radiometry of a scene: the choice between candidates, missing values, and checks."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from geoclass.errors import SceneError
from geoclass.scene.open.source import SceneSource
from geoclass.scene.radiometry.candidates import (
    BYTE_ADVICE,
    SCALE_ADVICE,
    find_candidates,
    find_units,
)
from geoclass.scene.radiometry.conversion import Possible, Radiometry, Sample
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
    if not _is_plausible(radiometry, sample):
        numbers = ", ".join(f"{value:.0f}" for value in _find_median(radiometry, sample))
        raise SceneError(
            f"{source.shown}, read as {radiometry.name} ({radiometry.reason}), has medians of "
            f"{numbers} in red, green and blue, but training tiles have a mean grey of "
            f"{TRAINING_GREY[0]} to {TRAINING_GREY[1]}: it is overcast or dark, or its values "
            "mean something else; see --radiometry, --scale and --dn-offset, or --force"
        )


def _find_median(radiometry: Radiometry, sample: Sample) -> np.ndarray:
    """Float (3,): median grey levels; NaN without valid pixels."""
    return replace(sample, stored=radiometry.apply(sample.stored)).percentile(50)


def _is_plausible(radiometry: Radiometry, sample: Sample) -> bool:
    """Whether a scene is about as bright as the training tiles; True without valid pixels."""
    grey, (low, high) = _find_median(radiometry, sample).mean(), TRAINING_GREY
    return not (grey < TOLERANCE * low or grey > 255 - TOLERANCE * (255 - high))


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


LEAST_DN, MOST_DN = -1500.0, 30000.0
"""Dark pixels after an offset is subtracted reach -0.15; clouds of 2.8 were found."""
DARK_DN = 400.0
"""In 160 Level-2A chips of Europe, 99.9 % of pixels with 0 or 1 in one band are darker than this
in the others. Pixels with a missing band are brighter over land."""
RIM_DN, RIM_SHARE, MOST_RIM = 5.0, 0.005, 0.9
"""Values and fractions of a rim of zeros after resampling or compression. Above MOST_RIM the whole
scene is dark."""
MOST_AFFECTED = 0.1
"""Maximum fraction of missing pixels in a sample without the user's confirmation."""
BYTE_DN = 10.0
"""Approximate step of an 8-bit picture."""
ABSURD = 65535.0
"""No unit has such values."""
CLIPPED_SHARE = 1.0
"""Per cent of pixels at each end; viewers clip 2 %."""


def find_missing(
    source: SceneSource, settings: RadiometrySettings, sample: Sample, *, force: bool
) -> tuple[Possible | None, Sample, tuple[str, ...]]:
    """Limits of valid values, the sample within them, and warnings.

    Raises SceneError if many pixels of the sample exceed them, unless `force` is set.
    """
    # With a scale or a known radiometry, all values have a meaning.
    if settings.scale is not None or source.facts.radiometry is not None:
        return None, sample, ()
    if settings.tells_nothing and not source.is_true_color:
        _check_clipped(source, sample)
    absurd = (np.abs(sample.stored.astype(np.float64)) >= ABSURD).any(axis=0)
    absurd |= (sample.stored == 0).any(axis=0)
    rough = replace(sample, valid=sample.valid & ~absurd)
    is_byte = source.dtype == "uint8" or settings.profile in ("tci", "rgb8")
    gain = BYTE_DN
    if not is_byte or settings.quantification is not None:
        gain = max(find_units(source, settings, rough)[0][0])
    possible = Possible(low=LEAST_DN / gain, high=MOST_DN / gain, dark=DARK_DN / gain)
    rim = (sample.stored.max(axis=0) <= RIM_DN / gain) & sample.valid
    if not is_byte and RIM_SHARE < rim.sum() / max(1, sample.valid.sum()) < MOST_RIM:
        possible = replace(possible, rim=RIM_DN / gain)
    affected = sample.valid & possible.excludes(sample.stored)
    if not affected.any():
        return possible, sample, ()
    pixels = sample.stored[:, affected]
    beyond = pixels[(pixels < possible.low) | (pixels > possible.high)]
    share = float(affected.sum() / sample.valid.sum())
    told = f"{share:.1%} of a sample's pixels have {_describe(pixels, beyond, possible)}"
    is_explained = source.nodata == 0 and not beyond.size
    if share > MOST_AFFECTED and not force and not is_explained:
        raise SceneError(
            f"{source.shown}: {told}, which no tag explains: give the nodata value with "
            "--nodata N, or take all of these pixels as missing with --force"
        )
    clean = replace(sample, valid=sample.valid & ~affected)
    return possible, clean, (f"{told}: taken as missing",)


def _check_clipped(source: SceneSource, sample: Sample) -> None:
    """SceneError for 8 bits, or floats from 0 to 1, that a viewer has stretched in each band."""
    low, high = sample.percentile(CLIPPED_SHARE), sample.percentile(100 - CLIPPED_SHARE)
    is_byte, is_float = source.dtype == "uint8", source.dtype.startswith("float")
    white = 255.0 if is_byte else 1.0
    is_picture = is_byte or (is_float and sample.percentile(100).max() == white)
    if is_picture and low.max() <= white / 255 and high.min() >= white * 254 / 255:
        raise SceneError(
            f"{source.shown} has {source.dtype} values of which many are black and many white "
            "in each band, as in pictures that a viewer has stretched: the original values are "
            f"lost; give the original product, or {BYTE_ADVICE if is_byte else SCALE_ADVICE}"
        )


def _describe(pixels: np.ndarray, beyond: np.ndarray, possible: Possible) -> str:
    """What is wrong with pixels (3, n), of whose values `beyond` (m,) are out of range."""
    if beyond.size:
        common = Counter(beyond.tolist()).most_common(2)
        return f"impossible values ({', '.join(f'{value:g}' for value, _ in common)})"
    if possible.rim is not None and (pixels.max(axis=0) <= possible.rim).any():
        return f"values from {pixels.min():g} to {possible.rim:.2g} in all bands"
    return "0 in one of three bands"
