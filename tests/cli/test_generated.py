"""Options generated from dataclasses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, get_args, get_type_hints

import click
import pytest
from click.testing import CliRunner, Result

from geoclass.cli.generated import (
    HIDDEN,
    INTERNAL,
    SPELLINGS,
    Option,
    command,
    options_of,
    read_docstrings,
)
from geoclass.cli.main import COMMANDS, main
from geoclass.cli.map_scene import CampaignOptions
from geoclass.mapping.settings import MapRequest, MapSettings
from geoclass.monitor.settings import MonitorSettings, PlotSettings, SampleSettings
from geoclass.scene.settings import FrameSettings, MaskSettings, RadiometrySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    """Details: more of the same."""

    area_ha: float = 0.5
    """Least area."""
    box: tuple[float, float] | None = None
    """Two numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Main things."""

    name: str
    """What it is called."""
    kind: Literal["small", "large"] = "small"
    """Its size, unlike `name`."""
    level: int | Literal["none"] | None = None
    """How far.
    None: as far as possible.

    For readers of Python.
    """
    words: tuple[str, ...] = ("one", "two")
    """Some words."""
    merge: bool | None = None
    """Whether to merge. None: by size."""
    symmetries: bool = False
    """Look twice."""
    inner: Inner = field(default_factory=Inner)


@command("show")
@options_of(Settings, "settings", hidden={"words"})
def show(settings: Settings) -> None:
    """Show settings."""
    click.echo(repr(settings))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(show, arguments)


def test_names_types_defaults_and_help() -> None:
    text = " ".join(run("--help").output.split())
    assert "--name TEXT What it is called. [required]" in text
    assert "--kind [small|large] Its size, unlike --name. [default: small]" in text
    assert "--level TEXT How far. [default: as far as possible]" in text
    assert "--merge / --no-merge Whether to merge. [default: by size]" in text
    assert "--area HA Least area. [default: 0.5]" in text
    assert "readers of Python" not in text
    assert "--words" not in text  # hidden
    assert "--tta Look twice." in text
    assert "--symmetries" not in text


def test_values_reach_the_dataclass_and_the_one_within() -> None:
    assert run("--name", "x").output == f"{Settings(name='x')}\n"
    given = run(
        "--name", "x", "--kind", "large", "--level", "none", "--words", "a, b", "--no-merge",
        "--symmetries", "--area", "2", "--box", "1,2.5",
    )  # fmt: skip
    expected = Settings(
        name="x", kind="large", level="none", words=("a", "b"), merge=False, symmetries=True,
        inner=Inner(area_ha=2.0, box=(1.0, 2.5)),
    )  # fmt: skip
    assert given.output == f"{expected}\n"
    assert "level=7," in run("--name", "x", "--level", "7").output
    assert "words=()" in run("--name", "x", "--words", "none").output


@pytest.mark.parametrize(
    ("option", "value"),
    [("--level", "far"), ("--box", "1"), ("--box", "1,2,3"), ("--kind", "x"), ("--area", "wide")],
)
def test_what_cannot_be_read_is_a_usage_error(option: str, value: str) -> None:
    done = run("--name", "x", option, value)
    assert done.exit_code == 2
    assert f"'{value}' is not" in done.output


def test_many_options_stand_under_headings() -> None:
    text = CliRunner().invoke(main, ["map", "--help"]).output
    assert re.findall(r"^\w[^:]*:$", text, re.MULTILINE) == [
        "Options:", "Cells and classes:", "Area and grid:", "Post-processing:", "Masks:",
        "Radiometry:", "Output files:", "Many scenes:",
    ]  # fmt: skip
    few = CliRunner().invoke(main, ["sample", "--help"]).output
    assert re.findall(r"^\w[^:]*:$", few, re.MULTILINE) == ["Options:"]


def leaves(settings: type[Any]) -> Iterator[tuple[type[Any], str]]:
    """Every field that is no dataclass itself, with its owner."""
    hints = get_type_hints(settings)
    for each in fields(settings):
        if is_dataclass(hints[each.name]):
            yield from leaves(hints[each.name])
        else:
            yield settings, each.name


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("map", MapRequest), ("map", CampaignOptions), ("monitor", MonitorSettings),
        ("plots", PlotSettings), ("sample", SampleSettings), ("tiles", FrameSettings),
        ("info", MaskSettings), ("change", RadiometrySettings),
    ],
)  # fmt: skip
def test_each_setting_is_an_option_with_help(name: str, settings: type[Any]) -> None:
    found = main.get_command(click.Context(main), name)
    assert found is not None
    options = {param.name: param for param in found.params if isinstance(param, Option)}
    for owner, each in leaves(settings):
        if each in INTERNAL:
            continue
        doc = read_docstrings(owner.__module__)[owner.__name__][each]
        assert (options[each].help or "-").split()[0] == doc.split()[0], each


def test_tables_name_fields_that_there_are() -> None:
    names = set[str | None]()
    for name in COMMANDS:
        found = main.get_command(click.Context(main), name)
        assert found is not None
        names |= {param.name for param in found.params}
    assert set(SPELLINGS) <= names
    assert names >= HIDDEN
    assert {name for _, name in leaves(MapSettings)} <= names


@pytest.mark.parametrize(
    ("name", "old"),
    [
        ("map", "--bidx"), ("map", "--symmetries"), ("map", "--timeout"), ("map", "--driver"),
        ("map", "--smooth-window"), ("map", "--batch-size"), ("map", "-r"),
        ("map", "--fail-fast"), ("monitor", "--doubt"), ("monitor", "--states"),
        ("change", "--radiometry"), ("info", "--resolution"), ("train", "--vary"),
        ("train", "--compile"), ("predict", "--symmetries"), ("evaluate", "--batch-size"),
    ],
)  # fmt: skip
def test_names_that_are_no_longer_shown_still_work(name: str, old: str) -> None:
    found = main.get_command(click.Context(main), name)
    assert found is not None
    context = click.Context(found, info_name=name)
    assert old in found.make_parser(context)._long_opt | found.make_parser(context)._short_opt
    assert f"{old} " not in found.get_help(context)


def test_no_option_tells_two_defaults() -> None:
    for name in COMMANDS:
        text = CliRunner().invoke(main, [name, "--help"]).output
        records = re.split(r"\n  (?=-)", text)
        assert [r for r in records if r.count("[default:") > 1] == []


def test_choices_are_those_of_the_annotation() -> None:
    found = main.get_command(click.Context(main), "sample")
    assert found is not None
    option = next(param for param in found.params if param.name == "allocation")
    assert isinstance(option.type, click.Choice)
    hint = get_type_hints(SampleSettings)["allocation"]
    assert tuple(option.type.choices) == get_args(hint)
