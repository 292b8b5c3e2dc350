"""geoclass export"""

from __future__ import annotations

from pathlib import Path

import click

from geoclass.cli import kinds


@click.command("export")
@click.argument("model", type=kinds.FILE)
@click.option("-o", "--output", type=kinds.FILE, required=True, help="Output file: .onnx.")
@click.option("--overwrite", is_flag=True, help="Replace the output file.")
def command(model: Path, output: Path, overwrite: bool) -> None:
    """Export MODEL as ONNX and verify its output.

    MODEL is a model file, or the word `shipped`. The exported model takes tiles as float32
    (n, 3, 64, 64), 0–255, and returns calibrated probabilities.
    """
    from geoclass.files.writing import check_new
    from geoclass.model.checkpoint import load_model
    from geoclass.model.export import export_onnx

    check_new(output, suffix=".onnx", overwrite=overwrite)
    difference = export_onnx(load_model(model), output)
    click.echo(f"wrote {output}; probabilities differ by {difference:.1g} at most")
