"""Click options generated from dataclasses: a field is an option, its docstring the help.

The first paragraph of a field's docstring is the help. A sentence that begins with "None:" says
what happens without the option, and is shown as its default. The name of a field in backticks
becomes the option of that field. The docstring of the class, up to a colon, is the heading.
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
"""What an option is about, for programs that offer widgets: `geoclass schema` prints it."""

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class Kind(click.types.StringParamType):
    """How the text of an option is read, and which widget a program can offer for it.

    Files are checked where they are opened, so that all messages are of one kind.
    """

    def __init__(
        self, name: str, read: Callable[[str], Any] = str, role: Role | None = None, *suffixes: str
    ) -> None:
        self.name, self.read, self.role, self.suffixes = name, read, role, suffixes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value that a text stands for; other values are defaults."""
        if not isinstance(value, str):
            return value
        try:
            return self.read(value)
        except (ValueError, OverflowError):
            form = (param and param.metavar) or self.name.upper()
            self.fail(f"{value!r} is not of the form {form}", param, ctx)

    def to_info_dict(self) -> Any:
        """As click has it, with role and suffixes."""
        return {**super().to_info_dict(), "role": self.role, "suffixes": self.suffixes}

    def shell_complete(
        self, _ctx: click.Context, _param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Files, for what is about files."""
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
"""Annotation → type of the option, where it is no text."""


@dataclass(frozen=True, slots=True)
class Spelling:
    """How an option is typed, where the name and the type of its field do not say it."""

    flags: tuple[str, ...] = ()
    old: tuple[str, ...] = ()
    """Names that still work, but are not shown."""
    metavar: str | None = None
    role: Role | None = None
    kind: click.ParamType[Any] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    """What else click is told."""


UNITS = {"ha": "HA", "m": "METRES"}
"""Ends of the names of fields that options go without → metavar."""

MANY = 20
"""No more options are listed under one heading."""


class Option(click.Option):
    """An option with a heading, and with old names that still work."""

    def __init__(
        self, names: Any, group: str = "Options", old: tuple[str, ...] = (), **how: Any
    ) -> None:
        super().__init__(names, **how)
        self.group, self.old = group, old

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Parse all names; help, completion and schema know the new ones alone."""
        every = copy.copy(self)
        every.opts = [*self.opts, *self.old]
        click.Option.add_to_parser(every, parser, ctx)


def group_options(
    command: click.Command, ctx: click.Context
) -> Mapping[str, list[tuple[str, str]]]:
    """Heading → name and help of each option; one heading where options are few."""
    groups: dict[str, list[tuple[str, str]]] = {"Options": []}
    options = [param for param in command.get_params(ctx) if isinstance(param, click.Option)]
    many = sum(not option.hidden for option in options) > MANY
    for option in options:
        if record := option.get_help_record(ctx):
            title = getattr(option, "group", "Options") if many else "Options"
            groups.setdefault(title, []).append(record)
    return groups


class Command(click.Command):
    """A command whose help lists its options under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each heading."""
        for title, records in group_options(self, ctx).items():
            with formatter.section(title):
                formatter.write_dl(records)


def command(name: str) -> Callable[[Callable[..., Any]], Command]:
    """The decorator of a command."""
    return click.command(name, cls=Command)


def options_of(
    settings: type[Any],
    name: str,
    *,
    only: Collection[str] | None = None,
    hidden: Collection[str] = (),
    build: Callable[..., Any] | None = None,
    usual: Mapping[str, str] | None = None,
) -> Callable[[Decorated], Decorated]:
    """The options of a dataclass and of those within it, which a command gets as one object.

    `only` names the fields that are options; `hidden` are those that work without being shown.
    `build` makes the object of flat values, in place of the dataclass. `usual` tells the defaults
    in words; values are then None where no option is given.
    """
    offered = [
        option
        for option in make_options(settings, hidden)
        if only is None or option["param_decls"][0] in only
    ]
    if usual is not None:
        for option in offered:
            text = option["help"].partition("  [default: ")[0]
            text += f"  [default: {usual[option['param_decls'][0]]}]"
            option.update(default=None, show_default=False, help=text)

    def decorate(command: Decorated) -> Decorated:
        @functools.wraps(command)
        def collect(*args: Any, **params: Any) -> Any:
            names = [option["param_decls"][0] for option in offered]
            values = {each: params.pop(each) for each in names}
            built = build(**values) if build else build_settings(settings, values)
            return command(*args, **params, **{name: built})

        for option in reversed(offered):
            how = dict(option)
            click.option(*how.pop("param_decls"), cls=Option, **how)(collect)
        return collect  # type: ignore[return-value]

    return decorate


def build_settings(settings: type[Any], values: Mapping[str, Any]) -> Any:
    """A dataclass, and those within it, from values by the names of fields."""
    hints, given = get_type_hints(settings), {}
    for each in fields(settings):
        if is_dataclass(hints[each.name]):
            given[each.name] = build_settings(hints[each.name], values)
        elif each.name in values:
            given[each.name] = values[each.name]
    return settings(**given)


def make_options(settings: type[Any], hidden: Collection[str] = ()) -> Iterator[dict[str, Any]]:
    """What click is told of each field: of its own first, then of dataclasses within."""
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
        yield {
            "param_decls": (each.name, *flags),
            "group": group,
            "hidden": each.name in HIDDEN or each.name in hidden,
            "old": spelling.old,
            "metavar": spelling.metavar or UNITS.get(each.name.rpartition("_")[2]),
            **({"is_flag": True} if kind is None else {"type": kind}),
            **find_default(each),
            **spelling.more,
            "help": write_help(helps.get(each.name, ""), hints),
        }
    for cls in inner:
        yield from make_options(cls, hidden)


def find_flags(field: str) -> tuple[str, ...]:
    """How the option of a field is typed; the last is the one to speak of."""
    stem, _, unit = field.rpartition("_")
    plain = stem if unit in UNITS else field
    return SPELLINGS.get(field, Spelling()).flags or (f"--{plain.replace('_', '-')}",)


def find_kind(hint: Any, spelling: Spelling) -> click.ParamType[Any] | None:
    """The type of an option by the annotation of its field; None for a flag."""
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
    """The members of a union, and of unions within it; another annotation by itself."""
    if get_origin(hint) in (Union, UnionType):
        return [member for each in get_args(hint) for member in flatten(each)]
    return [hint]


def read_value(hints: Sequence[Any], text: str) -> Any:
    """A text as a value of the first annotation that it fits; ValueError where it fits none."""
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
    numbers = int in flatten(args[0])  # names are checked by the settings
    return tuple(int(p) if numbers and p.isdecimal() else p for p in parts if p)


def _read_parts(hints: Sequence[Any], text: str) -> list[Any]:
    """As many values: numbers between commas or blanks, others between `=`, `:` or `/`."""
    parts = re.split(r"[,\s]+" if float is hints[0] else r"[=:/]", text.strip())
    if not all(parts):
        raise ValueError(text)
    return [read(part) for read, part in zip(hints, parts, strict=True)]


def find_default(field: Field[Any]) -> dict[str, Any]:
    """The default as it is typed, and whether help shows it."""
    default = field.default
    if default is MISSING:
        return {"required": True}
    if isinstance(default, tuple):
        default = ",".join(map(str, default)) or None
    return {"default": default, "show_default": not (default is None or isinstance(default, bool))}


def write_help(doc: str, names: Collection[str]) -> str:
    """The first paragraph of a docstring, with options in place of fields and the default."""
    text, _, usual = " ".join(doc.split("\n\n", maxsplit=1)[0].split()).partition(" None: ")
    text = re.sub(
        r"`(\w+)`", lambda found: find_flags(found[1])[-1] if found[1] in names else found[0], text
    )
    return f"{text}  [default: {usual.rstrip('.')}]" if usual else text


@functools.cache
def read_docstrings(module: str) -> Mapping[str, Mapping[str, str]]:
    """Class → field → the text below it, which Python itself does not keep."""
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
    """`3GB`, `800 MB`, `3G` or a plain number → bytes."""
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
"""Field → its spelling, if it has one of its own."""

HIDDEN = frozenset({"compile", "doubt", "fail_fast", "resampling", "smooth_window", "states"})
"""Fields whose options still work, but are not shown: hardly anybody sets them."""

INTERNAL = frozenset({"command", "map_format", "model_file"})
"""Fields that are found out, not given."""
