"""geoclass dataset"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from geoclass.cli import kinds
from geoclass.cli.options import check_pictures

if TYPE_CHECKING:
    from geoclass.learn.inspection import Inspection

LISTED = 10


@click.command("dataset")
@click.argument("data", type=kinds.FILE)
@click.option("--sheet", type=kinds.FILE, help="Draw the first ten tiles per class: .png, .svg …")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def command(data: Path, sheet: Path | None, as_json: bool) -> None:
    """Check DATA, a zip or folder of class folders: classes, sizes, problems.

    The output lists everything that `geoclass train` would refuse: images that cannot be decoded
    or are not 64×64 pixels, class folders without images, an invalid legend. It also lists images
    outside class folders and duplicate images. The exit code is 0 even if there are problems.
    """
    from geoclass.learn.inspection import inspect_tiles
    from geoclass.outside import printable

    check_pictures([sheet], data)
    found = inspect_tiles(data)
    text = json.dumps(found.to_json()) if as_json else printable(format_inspection(found))
    click.echo(text)
    if sheet is not None and found.samples:
        from geoclass.report.charts import draw_samples

        draw_samples(found.samples, sheet)


def format_inspection(found: Inspection) -> str:
    """Counts, then what is wrong, at most ten lines of each kind."""
    lines = [f"images      {found.images} in {len(found.classes)} classes"]
    lines += [f"  {name:<22}{count:>7}" for name, count in found.classes.items()]
    sizes = ", ".join(f"{size} ({count})" for size, count in found.sizes.items())
    lines.append(f"sizes       {sizes or 'none could be decoded'}")
    lines.append(f"placed      {found.placed or 'none'}, by places.csv")
    groups = [" = ".join(group) for group in found.duplicates]
    for title, items in (
        ("unusable", list(found.unusable)),
        ("not used", list(found.unused)),
        ("duplicates", groups),
    ):
        lines.append(f"{title:<12}{len(items) or 'none'}")
        lines += [f"  {item}" for item in items[:LISTED]]
        if len(items) > LISTED:
            lines.append(f"  and {len(items) - LISTED} more; --json lists them all")
    return "\n".join(lines)
