#!/usr/bin/env python3
"""Write docs/cli.md from the commands and docs/api.md from the docstrings.

Run it after a change to either: a test fails while a page says something else than the code.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click
import griffe

import geoclass
from geoclass.cli.generated import group_options
from geoclass.cli.main import main as geoclass_command

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
WIDTH = 88

GENERATED = "<!-- Written by scripts/make_docs.py from the code: change it there. -->"

CLI_HEAD = f"""# Commands

{GENERATED}

`-h` or `--help` prints the help of a command.
An error is one line that says what to do.
The exit code is 1 after an error and 2 for wrong usage.
The [tutorial](tutorial.md) shows most commands. [Scenes](scenes.md) describes SCENE."""

API_HEAD = f"""# Python

{GENERATED}

"""

SECTIONS = {
    "Maps": (
        "load_model", "map_scene", "plan_scene", "estimate_work", "write_map", "read_map",
        "find_maps", "to_geodataframe", "to_xarray", "write_styles", "draw_preview", "write_report",
        "run_campaign", "MapRequest", "Progress", "Shard", "Summary", "ExecuteInProcesses",
        "ExecuteOnRay", "merge_maps", "write_mosaic",
        "MapSettings", "FrameSettings", "MaskSettings", "RadiometrySettings",
        "LandCoverMap", "AreaRow", "Areas", "Provenance", "MapPlan", "Grid", "Legend",
    ),
    "Places over time": (
        "date_map", "change_maps", "write_change", "monitor_maps", "read_zones", "write_monitor",
        "read_monitor", "update_monitor", "write_tables", "write_alerts", "draw_timeline",
        "assess_plots", "write_verdicts",
        "MonitorSettings", "SeriesSettings", "PairRate", "AlignSettings",
        "PlotSettings",
        "DatedMap", "LeftOut", "Change", "Monitoring", "Alert", "PlotVerdicts", "Verdict",
    ),
    "Accuracy": (
        "sample_map", "write_sample", "assess_sample", "measure_zones", "write_zone_areas",
        "SampleSettings", "Sample", "Assessment", "ZoneAreas", "ZoneArea",
    ),
    "Images, training, models": (
        "label_images", "draw_labels", "fetch_dataset", "inspect_tiles", "draw_samples",
        "cut_scene", "choose_recipe", "train_on_tiles", "draw_learning_curve", "score_on_tiles",
        "draw_confusion", "draw_mistakes", "describe_model", "export_onnx",
        "TrainSettings", "AugmentSettings", "TrainingPlan", "EpochReport", "ModelScore", "Mistake",
        "Evaluation", "Inspection", "ImageLabel", "CutTiles", "Model", "Contract", "Classifier",
    ),
    "Errors": (
        "GeoclassError", "SceneError", "ModelError", "DatasetError", "OutputError",
        "SettingsError", "Cancelled",
    ),
}  # fmt: skip
"""What api.md tells of, in order of use: calls first, then what they take and give."""


def main() -> None:
    for name, text in (("cli.md", describe_commands()), ("api.md", describe_names())):
        (DOCS / name).write_text(text, encoding="utf-8")
        print(f"wrote docs/{name}")


def describe_commands() -> str:
    """cli.md: each command with its arguments and options."""
    settings = geoclass_command.context_settings
    top = click.Context(geoclass_command, info_name="geoclass", **settings)
    parts = [CLI_HEAD, _describe_command(geoclass_command, top)]
    for name in geoclass_command.list_commands(top):
        command = geoclass_command.get_command(top, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=top)
        parts += [f"## geoclass {name}", _describe_command(command, context)]
    return "\n\n".join(parts) + "\n"


def _describe_command(command: click.Command, context: click.Context) -> str:
    usage = " ".join(command.collect_usage_pieces(context))
    help_text = _unwrap(inspect.cleandoc(command.help or ""))
    parts = [f"    {context.command_path} {usage}", help_text]
    groups = group_options(command, context)
    for title, records in groups.items():
        parts += [f"**{title}**"] if len(groups) > 1 else []
        listed = [f"- `{names}`: {text}" for names, text in records if "--help" not in names]
        parts.append("\n".join(listed))
    return "\n\n".join(parts)


def describe_names() -> str:
    """api.md: each public name with its signature, its fields and its docstring."""
    package = griffe.load("geoclass", search_paths=[ROOT], allow_inspection=False)
    head, *rest = inspect.cleandoc(geoclass.__doc__ or "").split("\n\n")
    parts = [API_HEAD + head, *map(_unwrap, rest)]
    for title, names in SECTIONS.items():
        parts.append(f"## {title}")
        for name in names:
            parts += _describe_name(name, package[name])
    return "\n\n".join(parts) + "\n"


def _describe_name(name: str, item: griffe.Object | griffe.Alias) -> Iterator[str]:
    yield f"### {name}"
    if item.is_function:
        yield _fence(_format_call(item))
    yield _unwrap(item.docstring.value if item.docstring else "")
    if not item.is_class:
        return
    members = [m for m in item.members.values() if m.is_public and (m.docstring or _is_field(m))]
    fields = [m for m in members if not m.is_function]
    if fields:
        yield "\n".join(map(_describe_field, fields))
    for method in members:
        if method.is_function:
            said = _unwrap(method.docstring.value).replace("\n\n", "\n\n  ")
            yield f"- `{_format_call(method, WIDTH * 10)}`\n  {said}"


def _is_field(member: griffe.Object | griffe.Alias) -> bool:
    return member.is_attribute and bool(member.annotation)


def _describe_field(field: griffe.Attribute) -> str:
    default = "" if field.value is None else f" = {_shorten(str(field.value))}"
    said = _unwrap(field.docstring.value) if field.docstring else ""
    return f"- `{field.name}: {field.annotation}{default}`" + (f": {said}" if said else "")


def _format_call(function: griffe.Function, width: int = WIDTH) -> str:
    """The signature on one line, or, if that is too long, a line a parameter."""
    parameters, starred = [], False
    for parameter in function.parameters:
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is griffe.ParameterKind.keyword_only and not starred:
            parameters.append("*")
            starred = True
        star = "**" if parameter.kind is griffe.ParameterKind.var_keyword else ""
        default = (
            "" if star or parameter.default is None else f" = {_shorten(str(parameter.default))}"
        )
        parameters.append(f"{star}{parameter.name}: {parameter.annotation}{default}")
    returned = f" -> {function.returns}"
    line = f"{function.name}({', '.join(parameters)}){returned}"
    if len(line) <= width:
        return line
    lines = "".join(f"    {parameter},\n" for parameter in parameters)
    return f"{function.name}(\n{lines}){returned}"


def _shorten(default: str) -> str:
    """What stands for a default: not how it is made."""
    made = re.fullmatch(r"field\(default_factory=(\w+)\)", default)
    if made:
        return f"{made[1]}()"
    return "…" if default.startswith("lambda") or default == "ignore" else default


def _fence(code: str) -> str:
    return f"```python\n{code}\n```"


def _unwrap(text: str) -> str:
    """Paragraphs on one line each; indented blocks stay as they are."""
    paragraphs = text.split("\n\n")
    kept = ("    ", "- ")
    return "\n\n".join(p if p.startswith(kept) else p.replace("\n", " ") for p in paragraphs)


if __name__ == "__main__":
    main()
