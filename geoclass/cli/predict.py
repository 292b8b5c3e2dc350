"""geoclass predict"""

from __future__ import annotations

import json
from pathlib import Path

import click

from geoclass.cli import kinds, options
from geoclass.cli.options import check_pictures

MOST_SHOWN = 40


@click.command("predict")
@click.argument("images", type=kinds.FILE, nargs=-1, required=True, metavar="IMAGE...")
@click.option("-m", "--model", type=kinds.FILE, help="Model file.  [default: the shipped model]")
@click.option(
    "--tiles", is_flag=True, help="Label all tiles of an image, not only the central one."
)
@click.option("--show", type=kinds.FILE, help="Draw the tiles with their labels: .png, .svg …")
@click.option("--json", "as_json", is_flag=True, help="Print JSON with all probabilities.")
@options.symmetries
@options.device
@options.batch_size
@options.skip_bad
def command(
    images: tuple[Path, ...],
    model: Path | None,
    tiles: bool,
    show: Path | None,
    as_json: bool,
    symmetries: bool,
    device: str | None,
    batch_size: int | None,
    skip_bad: bool,
) -> None:
    """Label single images: JPEG, PNG or TIFF, 8-bit RGB, 64×64 pixels or larger.

    The central tile is labelled; --tiles labels all tiles. For georeferenced scenes use
    `geoclass map`.
    """
    from geoclass.errors import DatasetError
    from geoclass.learn.single import label_images
    from geoclass.model.checkpoint import load_model
    from geoclass.outside import printable

    check_pictures([show], model, *images)
    skipped: list[str] = []
    labels = label_images(
        images,
        load_model(model),
        whole=tiles,
        symmetries=symmetries,
        device=device,
        batch_size=batch_size,
        on_bad=skipped.append if skip_bad else None,
    )
    options.list_skipped(skipped)
    if not labels:
        raise DatasetError("none of the images can be used")
    if as_json:
        click.echo(json.dumps([label.to_json() for label in labels]))
    else:
        for label in labels:
            place = f" {label.row},{label.col}" if tiles else ""
            doubt = "unlike the training data; likeliest " if label.unknown else ""
            said = f"{label.image}{place}: {doubt}{label.name} {label.confidence:.1%}"
            click.echo(printable(said))
    if show is not None:
        from geoclass.report.charts import draw_labels

        draw_labels(labels[:MOST_SHOWN], show)
        click.echo(f"wrote {show}", err=True)
        if len(labels) > MOST_SHOWN:
            click.echo(f"{show} shows the first {MOST_SHOWN} of {len(labels)} tiles", err=True)
