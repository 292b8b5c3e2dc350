"""What a reader should know before trusting a map."""

from __future__ import annotations

import numpy as np

from geoclass.contract import Contract
from geoclass.landcover import LandCoverMap
from geoclass.legend import EUROSAT

NARROW = ("Highway", "River")
"""EuroSAT's classes whose tiles hold more of other land than of their own."""


def find_caveats(landcover: LandCoverMap) -> tuple[str, ...]:
    """Of one map."""
    provenance = landcover.provenance
    found = [_as_sentence(warning) for warning in provenance.warnings]
    if provenance.masked_by == ():
        found.append(
            "The scene came without a scene classification or another mask: clouds and snow are "
            "unknown only where the model notices them, shadows and thin veils are labelled like "
            "everything else. Look at the scene beside the map."
        )
    if provenance.masked_by is None:
        found.append(
            "It is not noted in this map whether clouds were masked: look at the scene beside it."
        )
    if provenance.options.get("keep_unknown"):
        found.append("Cells unlike anything trained on were given their likeliest class.")
    if landcover.grid.crs is None:
        found.append("The scene does not say where it lies, so that areas are unknown.")
    return tuple(found)


def doubt_model(contract: Contract, class_id: np.ndarray, cell_ha: float) -> tuple[str, ...]:
    """Of all that a model labels: codes, uint8 of any shape, on cells of `cell_ha` hectares.

    NaN hectares are not told.
    """
    found = []
    present = {
        contract.legend[code].name for code in np.unique(class_id) if code < len(contract.legend)
    }
    narrow = [EUROSAT[EUROSAT.names.index(n)].title for n in NARROW if n in present]
    if narrow and contract.legend.names == EUROSAT.names:
        size = "" if np.isnan(cell_ha) else f" of {cell_ha:.3g} ha"
        found.append(
            f"A cell of class {' or '.join(narrow)} is a square{size} that such a line runs "
            "through; most of it is other land. Compare areas by group."
        )
    found += [
        _tell_scores(contract),
        (
            "Confidence is calibrated on tiles like those that the model was trained on; on other "
            "places and days it is too high, and labels are wrong more often."
        ),
    ]
    return tuple(found)


def _tell_scores(contract: Contract) -> str:
    training = contract.training
    if contract.scores is None:
        return (
            f"The model, trained on {training.data_set}, is right on "
            f"{training.validation_accuracy:.1%} of the tiles that its training was judged by."
        )
    return (
        f"The model, trained on {training.data_set}, is right on {contract.scores.accuracy:.1%} of "
        f"{contract.scores.tiles:,} tiles of that data set that it had never seen "
        f"(macro-F1 {contract.scores.macro_f1:.3f})."
    )


def _as_sentence(text: str) -> str:
    """`the scene is …` → The scene is …."""
    ended = text if text.endswith((".", "!", "?")) else f"{text}."
    return ended[:1].upper() + ended[1:]
