"""Light that haze and a low sun add to a scene, told by its darkest pixels.

Where a scene has woods or water, its darkest pixels send up hardly any light of their own: what
is more than usual is the air's (dark object subtraction, Chavez 1988).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from geoclass.scene.facts import Triple
from geoclass.scene.radiometry import EUROSAT_MAX_DN, Radiometry, warn
from geoclass.scene.sample import Sample
from geoclass.scene.settings import Haze

DARK_SHARE = 2.0
"""Per cent of pixels that are darker than what counts as dark."""
USUAL_DARK_DN: Triple = (379.0, 639.0, 790.0)
"""Digital numbers of red, green and blue that a tenth of EuroSAT's pixels stays below: its woods
and waters, as the network knows them."""
HAZY_DN = 350.0
"""With so much more in blue a scene is hazy."""
HAZIEST_DN = 700.0
"""More than this is cloud, or nothing in the scene is dark."""


def find_haze(radiometry: Radiometry, sample: Sample) -> Triple | None:
    """Digital numbers of red, green and blue that are the haze's; None where that cannot be told.

    Haze is blue or white: what is more in green than in blue, or in red than in green, is the
    ground's.
    """
    stored = sample.percentile(DARK_SHARE)
    if stored is None or radiometry.name == "rgb8":
        return None
    dark = np.array(radiometry.gain) * stored + np.array(radiometry.bias)
    red, green, blue = (float(v) for v in (dark - np.array(USUAL_DARK_DN)).clip(min=0))
    green = min(green, blue)
    return (min(red, green), green, blue) if blue <= HAZIEST_DN else None


def treat_haze(radiometry: Radiometry, sample: Sample, wish: Haze) -> Radiometry:
    """The reading with the haze's light taken off, where that is wished for and can be told."""
    haze = None if wish == "keep" else find_haze(radiometry, sample)
    if haze is None:
        if wish != "remove":
            return radiometry
        return warn(radiometry, "no haze taken off: nothing in the scene tells how much there is")
    if wish == "auto" and haze[2] < HAZY_DN:
        return radiometry
    # White stays white, since haze takes about as much from bright ground as it adds to dark.
    white = EUROSAT_MAX_DN
    left = [1 - h / (white - usual) for h, usual in zip(haze, USUAL_DARK_DN, strict=True)]
    red, green, blue = (g / share for g, share in zip(radiometry.gain, left, strict=True))
    red_b, green_b, blue_b = (
        white - (white - b) / share for b, share in zip(radiometry.bias, left, strict=True)
    )
    told = ", ".join(f"{h:.0f}" for h in haze)
    return replace(
        radiometry,
        gain=(red, green, blue),
        bias=(red_b, green_b, blue_b),
        reason=f"{radiometry.reason}; haze of {told} taken off",
    )
