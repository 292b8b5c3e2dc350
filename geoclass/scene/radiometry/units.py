"""Units of stored values: which value is a reflectance of 1.

Units are recognised by percentiles, so by most pixels of a sample: a few unmarked nodata values
must not change how the others are read.
"""

from __future__ import annotations

import re

from geoclass.errors import SceneError
from geoclass.scene.open.facts import Triple
from geoclass.scene.open.source import SceneSource
from geoclass.scene.radiometry.sample import Sample
from geoclass.scene.settings import RadiometrySettings

Unit = tuple[Triple, str]
"""Digital numbers (reflectance × 10000) of a stored 1 in each band, and the reason."""

FRACTION_GAIN = 1e4
"""Digital number of a reflectance of 1."""
MOST_FRACTION, LEAST_NUMBER = 2.0, 100.0
"""Medians of reflectance are below, of digital numbers above; between them are other units."""
LEAST_FRACTION_SCALE = 0.01
"""Smaller scales are for digital numbers, not for reflectance."""

PICTURE_GAIN = 2.5
"""Usual brightening of reflectance for display."""
_PICTURE_NAME = re.compile(r"true.?colou?r|visual", re.IGNORECASE)
MOST_DARK_BLUE = 1350.0
"""Top of the atmosphere, the haziest of 25 scenes has 1232."""
LEAST_LAND_DN = 250.0
"""Minimum median in green of 230 Level-2A scenes of land."""

MOST_BYTE = 255.0
MOST_THOUSANDTHS = (130.0, 200.0, 700.0)
"""Maximum dark blue, median green and brightest value of clear scenes in thousandths."""

BYTE_ADVICE = (
    "say --radiometry tci (Sentinel-2's true colour image) or rgb8 (stretched as EuroSAT's tiles "
    "are), or with --quantification N which value a reflectance of 1 would have (255: plain; "
    "637.5: gain 2.5; 850: 0–0.3 stretched), or with --scale LO,HI what is black and white"
)
SCALE_ADVICE = "say with --scale LO,HI what is black and white"


def find_units(source: SceneSource, settings: RadiometrySettings, sample: Sample) -> list[Unit]:
    """Plausible units, the most likely first; SceneError if there is none."""
    if settings.quantification is not None:
        reason = f"{settings.quantification:g} for a reflectance of 1, as requested"
        return [((1e4 / settings.quantification,) * 3, reason)]
    middle = sample.percentile(50)
    is_float = source.dtype.startswith("float")
    is_fraction = is_float and (middle is None or float(middle.max()) <= MOST_FRACTION)
    facts = source.facts
    if facts.scales is not None:
        if is_fraction and max(facts.scales) < LEAST_FRACTION_SCALE:
            reason = "fractions of 1, to which the scale of the bands is already applied"
            return [((FRACTION_GAIN,) * 3, reason)]
        red, green, blue = (1e4 * scale for scale in facts.scales)
        return [((red, green, blue), "")]
    if is_fraction:
        return [((FRACTION_GAIN,) * 3, "fractions of 1"), *_find_picture(source, sample)]
    if is_float and middle is not None and float(middle.max()) < LEAST_NUMBER:
        raise SceneError(
            f"{source.shown} has {source.dtype} values with medians up to {middle.max():.3g}, "
            "neither reflectance (0–1) nor reflectance × 10000: say with --quantification N which "
            "value is a reflectance of 1, such as 100 or 255, or with --scale LO,HI what is black "
            "and white"
        )
    found = [((1.0,) * 3, "reflectance × 10000" if is_float else "")]
    if facts.add_offset is None and facts.baseline is None:
        if _may_be_thousandths(sample):
            found.append(((10.0,) * 3, "reflectance × 1000, which fits its darkness"))
        top = sample.percentile(100)
        if top is not None and float(top.max()) <= MOST_BYTE:
            found.append(((1e4 / MOST_BYTE,) * 3, "reflectance × 255, as no value is above 255"))
    return found


def _find_picture(source: SceneSource, sample: Sample) -> list[Unit]:
    """The unit of reflectance that may have been brightened for display."""
    dark, middle = sample.percentile(2), sample.percentile(50)
    gain = FRACTION_GAIN / PICTURE_GAIN
    if dark is None or middle is None:
        return []
    facts = source.facts
    told = facts.baseline is not None or facts.add_offset is not None
    sure = _PICTURE_NAME.search(source.name) is not None
    sure |= not told and dark[2] * FRACTION_GAIN > MOST_DARK_BLUE
    # At the top of the atmosphere dark pixels are brightest in blue.
    fits = dark[1] > dark[2] and middle[1] * gain > LEAST_LAND_DN
    if sure or (fits and not source.described):
        return [((gain,) * 3, "fractions of 1, brightened 2.5 times for display")]
    return []


def _may_be_thousandths(sample: Sample) -> bool:
    """Whether values fit the reflectance of land × 1000 better than × 10000."""
    dark, middle, bright = (sample.percentile(share) for share in (2, 50, 98))
    if dark is None or middle is None or bright is None:
        return False
    return bool(
        dark[2] < MOST_THOUSANDTHS[0]
        and LEAST_LAND_DN / 10 < middle[1] < MOST_THOUSANDTHS[1]
        and bright.max() < MOST_THOUSANDTHS[2]
    )
