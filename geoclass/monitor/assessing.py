"""What people found on the ground, and what it says of a map."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from geoclass.errors import OutputError, SettingsError
from geoclass.monitor.area import Assessment, SampleCounts, assess_counts, count_table
from geoclass.products.layers import read_columns, read_csv


def assess_sample(path: Path | str, *, partial: bool = False) -> Assessment:
    """Accuracies and areas, with 95 % intervals, from a sample that has been labelled.

    The file is what `write_sample` wrote, labelled in QGIS, or a CSV table of counts: one row a
    class of the map, with the columns stratum, area_ha, and one for each class on the ground.
    With `partial` samples without a label are left out. Raises OutputError for another file,
    SettingsError where labels are missing, foreign or too few.
    """
    path = Path(path)
    if path.suffix.lower() == ".csv":
        return assess_counts(read_table(path))
    counts, empty = read_sample(path, partial=partial)
    return replace(assess_counts(counts), unlabelled=empty)


def read_sample(path: Path | str, *, partial: bool = False) -> tuple[SampleCounts, int]:
    """The counts of a labelled sample, and how many samples are not labelled.

    Raises OutputError where the file is no sample, SettingsError where it has labels that none
    of its classes bears, or, unless `partial`, rows without a label.
    """
    path = Path(path)
    if not path.is_file():
        raise OutputError(f"no sample at {path}: check the path")
    sample, design, strata = (read_columns(path, name) for name in ("sample", "design", "strata"))
    try:
        names = [str(name) for name in strata["stratum"]]
        labels = dict(zip(sample["sample_id"].tolist(), sample["reference"], strict=True))
        drawn = list(zip(design["sample_id"], design["stratum"], design["map_class"], strict=True))
        cells = strata["cells"].astype(np.int64)
        area = strata["area_ha"].astype(float)
    except KeyError as error:
        raise OutputError(
            f"{path} is no sample of geoclass: it lacks the column {error}"
        ) from error
    given = {i: label for i, label in labels.items() if isinstance(label, str) and label.strip()}
    foreign = sorted({label for label in given.values() if label.strip() not in names})
    if foreign:
        raise SettingsError(
            f"{path} has labels that are no class of it: {', '.join(foreign)}; "
            f"known are {', '.join(names)}"
        )
    empty = sum(i not in given for i, _, _ in drawn)
    if empty and not partial:
        raise SettingsError(
            f"{empty} of {len(drawn)} samples in {path} are not labelled: label them, or give "
            "--partial to go on without them"
        )
    counts = np.zeros((len(names),) * 3, dtype=np.int64)
    for number, stratum, mapped in drawn:
        if number in given:
            place = names.index(given[number].strip())
            counts[names.index(stratum), names.index(mapped), place] += 1
    return (
        SampleCounts(
            names=tuple(names), strata=tuple(names), area_ha=area, counts=counts, cells=cells
        ),
        empty,
    )


def read_table(path: Path | str) -> SampleCounts:
    """Counts from a CSV: columns stratum, area_ha, and one for each class on the ground.

    Raises OutputError where it cannot be read, SettingsError where it is none.
    """
    columns = read_csv(Path(path))
    lacking = {"stratum", "area_ha"} - set(columns)
    if lacking:
        raise SettingsError(
            f"{path} lacks the column {', '.join(sorted(lacking))}: give stratum, area_ha and "
            "one column of counts for each class"
        )
    names = [str(name) for name in columns["stratum"]]
    classes = [name for name in columns if name not in ("stratum", "area_ha")]
    if sorted(classes) != sorted(names):
        raise SettingsError(
            f"the columns of {path} are {', '.join(classes)}, its rows {', '.join(names)}: "
            "expected the same classes"
        )
    try:
        area = [float(text) for text in columns["area_ha"]]
        table = [[int(columns[name][row]) for name in names] for row in range(len(names))]
    except ValueError as error:
        raise SettingsError(f"{path} holds what is no number: {error}") from error
    return count_table(names, area, table)
