"""Which maps of a series are of use, and why others are left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from geoclass.errors import SettingsError
from geoclass.landcover import STATUS_NAMES, LandCoverMap
from geoclass.monitor.align import (
    DatedMap,
    LeftOut,
    Stack,
    check_legends,
    check_places,
    find_mismatches,
    find_offset,
)
from geoclass.monitor.settings import AlignSettings


def sift_maps(
    maps: Sequence[DatedMap], settings: AlignSettings, like: LandCoverMap | None = None
) -> tuple[list[DatedMap], list[LeftOut]]:
    """The maps that can be laid over one another and show something, and the others.

    They are like the map `like`; without it, like those of the most dates, the first where two
    kinds have as many.
    """
    faults = {id(item): _find_lack(item.landcover) for item in maps}
    sound = [item for item in maps if faults[id(item)] is None]
    if like is None and sound:
        like = _choose_kind(sound, settings)
    for item in sound:
        assert like is not None
        faults[id(item)] = _find_difference(like, item.landcover, settings)
    left_out = [
        LeftOut(day=item.day, scene=item.landcover.provenance.scene, reason=reason)
        for item in maps
        if (reason := faults[id(item)]) is not None
    ]
    return [item for item in maps if faults[id(item)] is None], left_out


def _choose_kind(maps: Sequence[DatedMap], settings: AlignSettings) -> LandCoverMap:
    """The first map of those that can be compared and have the most dates."""
    kinds: list[list[DatedMap]] = []
    for item in maps:
        for kind in kinds:
            if _find_difference(kind[0].landcover, item.landcover, settings) is None:
                kind.append(item)
                break
        else:
            kinds.append([item])
    return max(kinds, key=lambda kind: len({item.day for item in kind}))[0].landcover


def _find_lack(landcover: LandCoverMap) -> str | None:
    """Why a map says nothing; None if it says something."""
    codes = landcover.finest.class_id
    if not (codes < len(landcover.legend)).any():
        kinds = ((name, (codes == code).mean()) for code, name in STATUS_NAMES.items())
        shares = ", ".join(f"{share:.0%} {name}" for name, share in kinds if share)
        return f"no cell could be classified ({shares})"
    try:
        check_places([landcover])
    except SettingsError as error:
        return str(error)
    return None


def _find_difference(
    first: LandCoverMap, other: LandCoverMap, settings: AlignSettings
) -> str | None:
    """Why a map cannot be compared with the first one; None if it can."""
    mismatches = [] if settings.allow_mismatch else find_mismatches(first, other)
    if mismatches:
        return f"{'; '.join(mismatches)}: map it as the others are, or give --allow-mismatch"
    try:
        check_legends([first, other])
        if not settings.resample:
            find_offset(first.finest, other.finest)
    except SettingsError as error:
        return str(error)
    return None


def check_dates(stack: Stack) -> None:
    """Refuse a stack that no change can be seen in; SettingsError says what was left out."""
    if len(stack.dates) >= 2:
        return
    reasons = "; ".join(map(str, stack.left_out))
    raise SettingsError(
        f"all maps are of one date, {stack.dates[0]}"
        + (f", after leaving out {reasons}" if reasons else "")
        + ": give two dates or more, or say the dates with --date"
    )


def list_dates(stack: Stack) -> dict[str, np.ndarray]:
    """One row a date that is used and a scene that was left out."""
    used = zip(stack.dates, stack.scenes, stack.observed.mean(axis=(1, 2)), strict=True)
    rows = [(str(day), scene, "used", "", float(share)) for day, scene, share in used]
    rows += [
        (str(item.day or "NaT"), item.scene, "left out", item.reason, 0.0)
        for item in stack.left_out
    ]
    days, scenes, statuses, reasons, shares = zip(*rows, strict=True)
    return {
        "date": np.array(days, dtype="datetime64[D]"),
        "scene": np.array(scenes, dtype=object),
        "status": np.array(statuses, dtype=object),
        "reason": np.array(reasons, dtype=object),
        "observed_share": np.array(shares).round(4),
    }
