"""geoclass schema and completion"""

from __future__ import annotations

import json
from typing import Any

import click
from click.shell_completion import get_completion_class

from geoclass.cli.generated import command

SHELLS = ("bash", "zsh", "fish")


@command("schema")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; this is the only format.")
def schema_command(as_json: bool) -> None:  # noqa: ARG001  # for clarity in scripts
    """Print commands and options as JSON for other programs, such as the QGIS plugin.

    An option has names, type, default, help, group and, for data, a role and suffixes.
    """
    click.echo(write_schema())


def write_schema() -> str:
    """Version, and click's description of each command, with metavar and group of options."""
    from geoclass._version import __version__
    from geoclass.cli.main import main

    context = click.Context(main)
    commands: dict[str, Any] = {}
    for name in main.list_commands(context):
        found = main.get_command(context, name)
        assert found is not None
        info = found.to_info_dict(click.Context(found, parent=context))
        params = zip(found.get_params(context), info["params"], strict=True)
        info["params"] = [
            {**described, "metavar": param.metavar, "group": getattr(param, "group", None)}
            for param, described in params
        ]
        commands[name] = info
    schema = {"version": __version__, "commands": commands}
    return json.dumps(schema, ensure_ascii=False, default=str)  # paths as text


@command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def completion_command(shell: str) -> None:
    """Print the script that completes geoclass commands, options and files in SHELL.

    In ~/.bashrc: eval "$(geoclass completion bash)". In ~/.zshrc: eval "$(geoclass completion
    zsh)". For fish: geoclass completion fish > ~/.config/fish/completions/geoclass.fish
    """
    from geoclass.cli.main import main

    completion = get_completion_class(shell)
    assert completion is not None  # click knows all three
    click.echo(completion(main, {}, "geoclass", "_GEOCLASS_COMPLETE").source())
