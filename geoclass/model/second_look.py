"""Tiles that half the bits cannot decide about, so that they are looked at again in float32.

bfloat16 moves a tile's logits by a few hundredths. That changes no label but where two classes are
as good as equally likely, or where a score of novelty lies at its threshold.

All but about one in 1,000 errors keep within the margins: of EuroSAT's tiles for training and
validation and of eight scenes, with the model that ships; see docs/results.md.
"""

from __future__ import annotations

import torch
from torch import Tensor

from geoclass.model.novelty import Novelty

LOGITS_MARGIN = 0.08
"""By which the distance of two classes' logits may be off."""
ENERGY_MARGIN = 0.03
"""By which −log Σ exp(logits) may be off."""
FEATURES_MARGIN = 0.02
"""By which the distance of features may be off, as a share of its threshold."""


def find_close(probabilities: Tensor, temperature: float) -> Tensor:
    """Bool (n,): whether another class may be the likeliest of float (n, classes)."""
    first, second = probabilities.topk(2, dim=1).values.log().unbind(dim=1)
    return (first - second) * temperature < LOGITS_MARGIN


def find_borderline(novelty: Novelty, scores: Tensor) -> Tensor:
    """Bool (n,): whether scores (n, 3) may lie on the other side of what makes tiles unknown.

    A tile that is unknown by far for one score is not, whatever the others are. Statistics of
    pixels are float32 in either precision.
    """
    features_margin = FEATURES_MARGIN * novelty.thresholds[1]
    margins = torch.stack(
        [
            torch.full_like(features_margin, ENERGY_MARGIN),
            features_margin,
            torch.zeros_like(features_margin),
        ]
    )
    return novelty.is_unknown(scores + margins) & ~novelty.is_unknown(scores - margins)
