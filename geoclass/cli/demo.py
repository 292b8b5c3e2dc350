"""geoclass demo"""

from __future__ import annotations

import shlex
from pathlib import Path

import click

import geoclass
from geoclass.cli.generated import Kind, command
from geoclass.cli.progress import echo
from geoclass.errors import OutputError, SceneError

SAMPLE = "havelland_20170216_l1c.tif"


def find_sample() -> Path:
    """The sample scene: in an installed package, or beside the package in its source."""
    package = Path(geoclass.__file__).parent
    for folder in (package / "sample_scenes", package.parent / "sample_scenes"):
        if (folder / SAMPLE).is_file():
            return folder / SAMPLE
    raise SceneError(f"the sample scene {SAMPLE} is missing: install geoclass again")


@command("demo")
@click.option(
    "-o",
    "--output",
    "folder",
    type=Kind("path", Path, "folder"),
    default=Path("geoclass_demo"),
    show_default=True,
    help="Output folder; results of an earlier demo in it are replaced.",
)
@click.pass_context
def demo_command(context: click.Context, folder: Path) -> None:
    """Map the sample scene, which comes with geoclass, and write a report.

    Prints each command before it runs.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {folder}: {error.strerror or error}") from error
    scene, landcover = str(find_sample()), str(folder / "landcover.gpkg")
    steps = (
        ("map", scene, "-o", landcover, "--overwrite"),
        ("report", landcover, "--scene", scene, "-o", str(folder / "report.html"), "--overwrite"),
    )
    program = context.find_root().command
    for step in steps:
        echo(f"$ geoclass {shlex.join(step)}")
        if code := program.main(step, "geoclass", standalone_mode=False):
            context.exit(code)
    echo(
        f"\nOpen {landcover} in QGIS: drag the file into the window.\n"
        f"Without QGIS, open {folder / 'report.html'} in a browser."
    )
