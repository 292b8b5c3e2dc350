"""geoclass schema"""

from __future__ import annotations

import json
from typing import Any

import click


@click.command("schema")
@click.option("--json", "as_json", is_flag=True, help="As JSON, the only form there is.")
def command(as_json: bool) -> None:  # noqa: ARG001  # for those who ask for it
    """Print commands and options for programs that offer them, such as the QGIS plugin.

    An option has names, type, default, help, and, where it is about data, a role and suffixes.
    """
    click.echo(write_schema())


def write_schema() -> str:
    """Version, and each command as click describes it, with the metavar of each parameter."""
    from geoclass._version import __version__
    from geoclass.cli.main import main

    context = click.Context(main)
    commands: dict[str, Any] = {}
    for name in main.list_commands(context):
        found = main.get_command(context, name)
        assert found is not None
        told = found.to_info_dict(click.Context(found, parent=context))
        params = zip(found.get_params(context), told["params"], strict=True)
        told["params"] = [{**info, "metavar": param.metavar} for param, info in params]
        commands[name] = told
    schema = {"version": __version__, "commands": commands}
    return json.dumps(schema, ensure_ascii=False, default=str)  # paths as text
