"""Click options generated from dataclasses: a field is an option, its docstring the help.

The help is the first paragraph of a field's docstring. A sentence that begins with "None:" is shown
as the default. Names of fields in backticks become their options. The docstring of the class, up to
a colon, is the heading.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import functools
import inspect
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from datetime import date
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import click
from click.shell_completion import CompletionItem

Role = Literal["file", "layer", "polygons", "output", "folder", "extent", "crs"]
"""Kind of data of an option, for programs that offer widgets; part of `geoclass schema`."""

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class Kind(click.types.StringParamType):
    """How an option's text is parsed, and its role.

    Files are checked when they are opened.
    """

    def __init__(
        self, name: str, read: Callable[[str], Any] = str, role: Role | None = None, *suffixes: str
    ) -> None:
        self.name, self.read, self.role, self.suffixes = name, read, role, suffixes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse a text; other values are defaults."""
        if not isinstance(value, str):
            return value
        try:
            return self.read(value)
        except (ValueError, OverflowError):
            form = (param and param.metavar) or self.name.upper()
            self.fail(f"{value!r} is not of the form {form}", param, ctx)

    def to_info_dict(self) -> Any:
        """Click's description with role and suffixes."""
        return {**super().to_info_dict(), "role": self.role, "suffixes": self.suffixes}

    def shell_complete(
        self, _ctx: click.Context, _param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete file names."""
        files = self.role not in (None, "extent", "crs")
        return [CompletionItem(incomplete, type="file")] if files else []


FILE = Kind("path", Path, "file")
DATE = Kind("date", date.fromisoformat)

PLAIN: Mapping[Any, click.ParamType[Any]] = {
    int: click.INT,
    float: click.FLOAT,
    Path: FILE,
    date: DATE,
}
"""Annotation → option type, except for text."""


@dataclass(frozen=True, slots=True)
class Spelling:
    """Option names and types that cannot be derived from a field."""

    flags: tuple[str, ...] = ()
    old: tuple[str, ...] = ()
    """Hidden aliases."""
    metavar: str | None = None
    role: Role | None = None
    kind: click.ParamType[Any] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    """More arguments for click."""


UNITS = {"ha": "HA", "m": "METRES"}
"""Units at the end of field names, which options omit → metavar."""

MANY = 20
"""Number of options from which help has headings."""


class Option(click.Option):
    """An option with a heading and hidden aliases."""

    def __init__(
        self, names: Any, group: str = "Options", old: tuple[str, ...] = (), **how: Any
    ) -> None:
        super().__init__(names, **how)
        self.group, self.old = group, old

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Also parse the aliases, which help, completion and schema omit."""
        every = copy.copy(self)
        every.opts = [*self.opts, *self.old]
        click.Option.add_to_parser(every, parser, ctx)


def group_options(
    command: click.Command, ctx: click.Context
) -> Mapping[str, list[tuple[str, str]]]:
    """Heading → name and help of each option; one heading for few options."""
    groups: dict[str, list[tuple[str, str]]] = {"Options": []}
    options = [param for param in command.get_params(ctx) if isinstance(param, click.Option)]
    many = sum(not option.hidden for option in options) > MANY
    for option in options:
        if record := option.get_help_record(ctx):
            title = getattr(option, "group", "Options") if many else "Options"
            groups.setdefault(title, []).append(record)
    return groups


class Command(click.Command):
    """A command with headings in its help."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each heading."""
        for title, records in group_options(self, ctx).items():
            with formatter.section(title):
                formatter.write_dl(records)


command = functools.partial(click.command, cls=Command)
"""The decorator of a command."""


def options_of(
    settings: type[Any],
    name: str,
    *,
    only: Collection[str] | None = None,
    hidden: Collection[str] = (),
    flat: bool = False,
    usual: Mapping[str, str] | None = None,
) -> Callable[[Decorated], Decorated]:
    """The options of a dataclass and its nested dataclasses, passed to a command as one object.

    `only` are the fields that become options; `hidden` options are not shown. With `flat` the
    object is a dict of values by field name. `usual` describes defaults in words; options that are
    not given are then None.
    """
    offered = {
        field_name: option
        for field_name, option in make_options(settings, hidden, usual or {})
        if only is None or field_name in only
    }

    def decorate(command: Decorated) -> Decorated:
        @functools.wraps(command)
        def collect(*args: Any, **params: Any) -> Any:
            values = {each: params.pop(each) for each in offered}
            given = values if flat else build_settings(settings, values)
            return command(*args, **params, **{name: given})

        for option in reversed(offered.values()):
            option(collect)
        return collect  # type: ignore[return-value]

    return decorate


def build_settings(settings: type[Any], values: Mapping[str, Any]) -> Any:
    """A dataclass and its nested dataclasses from flat values by field name."""
    hints, given = get_type_hints(settings), {}
    for each in fields(settings):
        if is_dataclass(hints[each.name]):
            given[each.name] = build_settings(hints[each.name], values)
        elif each.name in values:
            given[each.name] = values[each.name]
    return settings(**given)


def make_options(
    settings: type[Any], hidden: Collection[str], usual: Mapping[str, str]
) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Name and decorator for each field, then for those of nested dataclasses."""
    hints = get_type_hints(settings, include_extras=True)
    helps = read_docstrings(settings.__module__).get(settings.__name__, {})
    group = re.split(r"[:.]", inspect.getdoc(settings) or "", maxsplit=1)[0]
    inner: list[Any] = []
    for each in fields(settings):
        hint = hints[each.name]
        if is_dataclass(hint):
            inner.append(hint)
        if is_dataclass(hint) or each.name in INTERNAL:
            continue
        spelling = SPELLINGS.get(each.name, Spelling())
        flags = find_flags(each.name)
        if bool in flatten(hint) and each.default is None:
            flags = (f"{flags[-1]}/--no-{flags[-1][2:]}",)
        kind = find_kind(hint, spelling)
        option = click.option(
            each.name,
            *flags,
            cls=Option,
            group=group,
            hidden=each.name in HIDDEN or each.name in hidden,
            old=spelling.old,
            metavar=spelling.metavar or UNITS.get(each.name.rpartition("_")[2]),
            help=write_help(helps.get(each.name, ""), hints, usual.get(each.name)),
            **({"is_flag": True} if kind is None else {"type": kind}),
            **({"default": None} if each.name in usual else find_default(each)),
            **spelling.more,
        )
        yield each.name, option
    for cls in inner:
        yield from make_options(cls, hidden, usual)


def find_flags(field: str) -> tuple[str, ...]:
    """Names of a field's option; the last is used in texts."""
    stem, _, unit = field.rpartition("_")
    plain = stem if unit in UNITS else field
    return SPELLINGS.get(field, Spelling()).flags or (f"--{plain.replace('_', '-')}",)


def find_kind(hint: Any, spelling: Spelling) -> click.ParamType[Any] | None:
    """The type of an option from its field's annotation; None for a flag."""
    if "multiple" in spelling.more:
        hint = get_args(hint)[0]
    members = [member for member in flatten(hint) if member is not NoneType]
    if bool in members:
        return None
    for member in members:
        if get_origin(member) is Annotated:
            return next(item for item in get_args(member) if isinstance(item, click.ParamType))
    if spelling.kind is not None:
        return spelling.kind
    if all(get_origin(member) is Literal for member in members):
        return click.Choice([text for member in members for text in get_args(member)])
    if len(members) == 1 and members[0] in PLAIN:
        return PLAIN[members[0]]
    return Kind("text", functools.partial(read_value, members), spelling.role)


def flatten(hint: Any) -> list[Any]:
    """All members of a union; other annotations are returned alone."""
    return list(get_args(hint)) if get_origin(hint) in (Union, UnionType) else [hint]


def read_value(hints: Sequence[Any], text: str) -> Any:
    """Parse a text by the first annotation that fits; ValueError if none does."""
    for hint in hints:
        with contextlib.suppress(ValueError):
            return _read_one(hint, text)
    raise ValueError(text)


def _read_one(hint: Any, text: str) -> Any:
    args = get_args(hint)
    if get_origin(hint) is Literal:
        return args[args.index(text)]
    if isinstance(hint, type) and is_dataclass(hint):
        types = get_type_hints(hint)
        return hint(**dict(zip(types, _read_parts(tuple(types.values()), text), strict=True)))
    if get_origin(hint) is not tuple:
        return hint(text)
    if args[-1] is not Ellipsis:
        return tuple(_read_parts(args, text))
    parts = [] if text == "none" else [part.strip() for part in text.split(",")]
    numbers = int in flatten(args[0])  # the settings validate names
    return tuple(int(p) if numbers and p.isdecimal() else p for p in parts if p)


def _read_parts(hints: Sequence[Any], text: str) -> list[Any]:
    """Values separated by commas or blanks (numbers), or by `=`, `:` or `/`."""
    parts = re.split(r"[,\s]+" if float is hints[0] else r"[=:/]", text.strip())
    if not all(parts):
        raise ValueError(text)
    return [read(part) for read, part in zip(hints, parts, strict=True)]


def find_default(field: Field[Any]) -> dict[str, Any]:
    """The default, and whether help shows it."""
    default = field.default
    if default is MISSING:
        return {"required": True}
    if isinstance(default, tuple):
        default = ",".join(map(str, default)) or None
    return {"default": default, "show_default": not (default is None or isinstance(default, bool))}


def write_help(doc: str, names: Collection[str], usual: str | None) -> str:
    """Help from a docstring: its first paragraph with option names, and the default."""
    text, _, stated = " ".join(doc.split("\n\n", maxsplit=1)[0].split()).partition(" None: ")
    usual = usual or stated.rstrip(".")
    text = re.sub(
        r"`(\w+)`", lambda found: find_flags(found[1])[-1] if found[1] in names else found[0], text
    )
    return f"{text}  [default: {usual}]" if usual else text


@functools.cache
def read_docstrings(module: str) -> Mapping[str, Mapping[str, str]]:
    """Class → field → docstring, from the source code: Python does not store them."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {
        node.name: {
            field.target.id: text.value.value
            for field, text in zip(node.body, node.body[1:], strict=False)
            if isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        }
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }


def read_bytes(text: str) -> int:
    """Parse `3GB`, `800 MB`, `3G` or a number of bytes."""
    powers = {letter: power for power, letter in enumerate("kmgt", start=1)}
    found = re.fullmatch(r"([0-9.]+)\s*(?:([kmgt])(i?)b?)?", text.strip().lower())
    if not found:
        raise ValueError(text)
    base = 1024 if found[3] else 1000
    return int(float(found[1]) * base ** powers.get(found[2], 0))


BOX = "W,S,E,N"
MULTIPLE = {"multiple": True}
SEED = click.IntRange(0, 2**31 - 1)

SPELLINGS: Mapping[str, Spelling] = {
    "aoi": Spelling(metavar="FILE", role="polygons"),
    "augment": Spelling(old=("--vary",)),
    "bands": Spelling(("-b", "--bands"), ("--bidx",), "R,G,B"),
    "batch_size": Spelling(metavar="N|auto"),
    "bbox": Spelling(metavar=BOX, role="extent"),
    "bounds": Spelling(metavar=BOX),
    "creation": Spelling(("--co",), (), "NAME=VALUE", more=MULTIPLE),
    "crs": Spelling(role="crs"),
    "days": Spelling(("--date",), (), "YYYY-MM-DD", more=MULTIPLE),
    "detail": Spelling(metavar="PIXELS|none"),
    "dn_offset": Spelling(metavar="N"),
    "forest_on": Spelling(metavar="YYYY-MM-DD"),
    "haze": Spelling(metavar="auto|keep|remove|R,G,B"),
    "id_column": Spelling(("--id",), metavar="COLUMN"),
    "lists": Spelling(metavar="TRAIN VALIDATION TEST"),
    "mask": Spelling(metavar="FILE", role="layer"),
    "mask_above": Spelling(metavar="N"),
    "masked_classes": Spelling(("--mask-classes",), metavar="NAMES"),
    "memory": Spelling(metavar="BYTES", kind=Kind("text", read_bytes)),
    "min_valid_share": Spelling(("--min-valid",)),
    "model": Spelling(("-m", "--model")),
    "output": Spelling(("-o", "--output")),
    "pairs": Spelling(("--rate-of",), (), "OLD:NEW=RATE", more=MULTIPLE),
    "profile": Spelling(("--radiometry",)),
    "quantification": Spelling(metavar="N"),
    "quiet": Spelling(("-q", "--quiet")),
    "raster": Spelling(("--alerts",)),
    "ray": Spelling(metavar="ADDRESS", more={"is_flag": False, "flag_value": "local"}),
    "resampling": Spelling(("-r", "--resampling")),
    "resolution": Spelling(metavar="native|METRES"),
    "scale": Spelling(metavar="LO,HI"),
    "scl": Spelling(metavar="FILE|BAND", role="file"),
    "seed": Spelling(kind=SEED),
    "shard": Spelling(metavar="I/N"),
    "smooth": Spelling(metavar="STRENGTH"),
    "smooth_window": Spelling(metavar="CELLS"),
    "split_seed": Spelling(kind=SEED),
    "start": Spelling(("--from",)),
    "stride": Spelling(metavar="PIXELS"),
    "symmetries": Spelling(("--tta",), ("--symmetries",)),
    "watch": Spelling(metavar="GROUPS"),
}
"""Field → its spelling."""

HIDDEN = frozenset({"compile", "doubt", "fail_fast", "resampling", "smooth_window", "states"})
"""Fields with hidden options, which are rarely needed."""

INTERNAL = frozenset({"command", "map_format", "model_file"})
"""Fields without options; they are set by commands."""
