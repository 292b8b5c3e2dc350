"""Options that several commands share, each defined once."""

from __future__ import annotations

from pathlib import Path

import click

FILE = click.Path(path_type=Path)
"""Files are checked where they are opened, so that all messages are of one kind."""

SCENE = click.STRING
"""A path, an address, the name of a subdataset, or red=FILE,green=FILE,blue=FILE."""

quiet = click.option("-q", "--quiet", is_flag=True, help="Print warnings and errors only, no bar.")
device = click.option(
    "--device", help="cpu, cuda, cuda:1 …  [default: cuda if there is one, else cpu]"
)
batch_size = click.option(
    "--batch-size", type=int, help="Tiles at a time.  [default: by the device]"
)
lists = click.option(
    "--lists",
    type=(FILE, FILE, FILE),
    metavar="TRAIN VALIDATION TEST",
    help="Three text files with a tile's file name a line, instead of the random split.",
)


def named_model(path: Path) -> Path | None:
    """None, which is the model that ships, where the word `shipped` stands for a file."""
    return None if str(path) == "shipped" else path
