"""geoclass assess"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from geoclass.cli import kinds

if TYPE_CHECKING:
    from geoclass.monitor.area import Assessment


@click.command("assess")
@click.argument("sample", metavar="SAMPLE", type=kinds.MAP)
@click.option("--partial", is_flag=True, help="Ignore samples that have no label.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def command(sample: Path, partial: bool, as_json: bool) -> None:
    """Estimate accuracy and areas from SAMPLE, with 95 % intervals.

    SAMPLE is a labelled output of `geoclass sample`, or a CSV table of counts: one row per map
    class, with the columns stratum, area_ha, and one column per reference class. Totals are
    checked and left out.
    """
    from geoclass.monitor.area import assess_sample

    result = assess_sample(sample, partial=partial)
    if result.unlabelled:
        click.echo(f"Warning: {result.unlabelled} samples have no label and are left out", err=True)
    click.echo(json.dumps(result.to_json()) if as_json else format_assessment(result))


def tell_left_out(sampled_ha: float, left_out_ha: Mapping[str, float]) -> str:
    """For which part of a map a sample speaks."""
    all_ha = sampled_ha + sum(left_out_ha.values())
    parts = ", ".join(f"{ha:,.0f} ha {name}" for name, ha in left_out_ha.items())
    return f"holds for {sampled_ha:,.0f} of {all_ha:,.0f} ha: not for {parts}"


def format_assessment(result: Assessment) -> str:
    """Accuracies and areas, then the error matrix in shares of the area."""
    overall = result.overall
    left_out = result.left_out_ha
    width = max(12, *(len(c.name) + 2 for c in result.classes))
    lines = [
        f"{result.samples} samples; ± is half of a 95 % interval",
        f"overall accuracy {overall.value:.3f} ± {overall.margin:.3f}",
        *([tell_left_out(result.area_ha, left_out)] if left_out else []),
        "",
        f"{'class':<{width}}{'users':>16}{'producers':>16}{'hectares':>24}{'mapped':>14}",
    ]
    for c in result.classes:
        users = f"{c.users.value:.3f} ± {c.users.margin:.3f}"
        producers = f"{c.producers.value:.3f} ± {c.producers.margin:.3f}"
        area = f"{c.area_ha.value:,.0f} ± {c.area_ha.margin:,.0f}"
        lines.append(f"{c.name:<{width}}{users:>16}{producers:>16}{area:>24}{c.mapped_ha:>14,.0f}")
    lines += ["", "shares of the area; rows are the map, columns the ground"]
    lines += [
        f"{c.name:<{width}}" + "".join(f"{share:>9.4f}" for share in row)
        for c, row in zip(result.classes, result.matrix, strict=True)
    ]
    return "\n".join(lines)
