"""geoclass download"""

from __future__ import annotations

from pathlib import Path

import click

from geoclass.cli import kinds, options
from geoclass.cli.progress import open_bar


@click.command("download")
@click.argument("name", type=click.Choice(["eurosat"]))
@click.option(
    "-o",
    "--output",
    type=kinds.FILE,
    default=Path(),
    show_default="current folder",
    help="Folder for the download.",
)
@click.option("--url", help="Download the same file from another URL.")
@click.option(
    "--unpack", "unpacked", is_flag=True, help="Also unpack the zip; geoclass does not need this."
)
@options.quiet
def command(name: str, output: Path, url: str | None, unpacked: bool, quiet: bool) -> None:
    """Download and verify the data set NAME; a stopped download resumes.

    eurosat is EuroSAT RGB, 27,000 JPEG tiles in 95 MB, from Zenodo record 7711810.
    """
    from geoclass.learn.download import SOURCES, fetch_dataset

    file = SOURCES[name].file
    with open_bar(quiet=quiet, unit="B", unit_scale=True, desc=file) as bar:

        def show(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        path = fetch_dataset(name, output, url=url, unpacked=unpacked, on_bytes=show)
    if not quiet:
        click.echo(f"{path} is there, whole and as published")
