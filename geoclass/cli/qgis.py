"""geoclass qgis, schema and completion: for QGIS, other programs and shells"""

from __future__ import annotations

import configparser
import json
import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

import click
from click.shell_completion import get_completion_class

from geoclass._version import __version__
from geoclass.cli.generated import Kind, command
from geoclass.cli.progress import echo
from geoclass.errors import OutputError, SettingsError
from geoclass.files.writing import write_whole

NAME = "geoclass_qgis"
"""Folder of the plugin; not the package's name, which other plugins may import."""

SOURCE = Path(__file__).parents[1] / "qgis"


@command("qgis")
@click.argument("action", type=click.Choice(["install", "uninstall", "zip"]))
@click.option(
    "--profile", metavar="NAME", help="Profile of QGIS.  [default: the one that QGIS starts with]"
)
@click.option(
    "-o", "--output", type=Kind("path", Path, "output", ".zip"), help="File to write, with zip."
)
def qgis_command(action: str, profile: str | None, output: Path | None) -> None:
    """Install the QGIS plugin with algorithms for Processing, models, batches and qgis_process.

    install copies the plugin into a QGIS profile, enables it and stores the path of this program.
    uninstall removes it. zip writes the plugin for another machine: use Plugins > Install from ZIP
    there, and choose the program in the settings.
    """
    if (output is not None) != (action == "zip"):
        raise SettingsError(
            "-o, the file to write, goes with zip: geoclass qgis zip -o geoclass.zip"
        )
    if output is not None:
        write_zip(output)
        echo(f"wrote {output}")
        return
    for folder in find_profiles(profile):
        if action == "install":
            echo(f"installed {install(folder)}")
        else:
            removed = uninstall(folder)
            echo(f"removed {removed}" if removed else f"there is no plugin in {folder}")
    if action == "install":
        echo("restart QGIS: Processing > Toolbox > geoclass")


def find_profiles(name: str | None) -> list[Path]:
    """Folders of a profile, one per major version of QGIS; of version 3 if QGIS never ran."""
    homes = [home for version in (3, 4) if (home := _find_home(version)).is_dir()]
    if not homes:
        homes = [_find_home(3)]
    found = [home / "profiles" / (name or _find_default(home)) for home in homes]
    if name is None:
        return found
    there = [profile for profile in found if profile.is_dir()]
    if not there:
        known = sorted({p.name for home in homes for p in home.glob("profiles/*") if p.is_dir()})
        raise SettingsError(
            f"QGIS has no profile {name}: give one of {', '.join(known) or 'those that it has'}, "
            "or make it in QGIS, Settings > User Profiles"
        )
    return there


def _find_home(version: int) -> Path:
    """The folder of QGIS's profiles."""
    if custom := os.environ.get("QGIS_CUSTOM_CONFIG_PATH"):
        return Path(custom)
    if sys.platform == "win32":
        data = Path(os.environ["APPDATA"])
    elif sys.platform == "darwin":
        data = Path.home() / "Library" / "Application Support"
    else:
        data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return data / "QGIS" / f"QGIS{version}"


def _find_default(home: Path) -> str:
    file = configparser.ConfigParser(interpolation=None, strict=False)
    file.read(home / "profiles" / "profiles.ini", encoding="utf-8")
    return file.get("core", "defaultProfile", fallback="default")


def build_plugin(folder: Path) -> None:
    """Write code, version and schema of the plugin into a new folder."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(SOURCE, folder, ignore=ignore)
    with (folder / "metadata.txt").open("a", encoding="utf-8") as metadata:
        metadata.write(f"version={__version__}\n")
    (folder / "schema.json").write_text(write_schema(), encoding="utf-8")


def install(profile: Path) -> Path:
    """Install or replace the plugin in a profile; OutputError if that fails."""
    plugins = profile / "python" / "plugins"
    try:
        plugins.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=plugins, prefix=f".{NAME}") as draft:
            build_plugin(Path(draft) / NAME)
            (Path(draft) / NAME / "program.txt").write_text(str(find_self()), encoding="utf-8")
            uninstall(profile)
            (Path(draft) / NAME).rename(plugins / NAME)
        settings = list(profile.glob("QGIS/QGIS[0-9].ini"))
        version = "QGIS4" if profile.parents[1].name == "QGIS4" else "QGIS3"
        enable(settings[0] if settings else profile / "QGIS" / f"{version}.ini")
    except OSError as error:
        raise OutputError(f"the plugin cannot be written into {plugins}: {error}") from error
    return plugins / NAME


def uninstall(profile: Path) -> Path | None:
    """Remove the plugin from a profile and return its folder, None if there was none."""
    folder = profile / "python" / "plugins" / NAME
    if not folder.exists():
        return None
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise OutputError(f"{folder} cannot be removed: {error}: close QGIS first") from error
    return folder


def find_self() -> Path:
    """The geoclass program of this environment."""
    name = "geoclass.exe" if sys.platform == "win32" else "geoclass"
    program = Path(sysconfig.get_path("scripts")) / name
    if not program.exists():
        raise SettingsError(
            f"there is no {program}, which QGIS would run: install geoclass with pip or uv first"
        )
    return program


def enable(settings: Path) -> None:
    """Enable the plugin in QGIS's settings; other lines do not change."""
    section, entry = "[PythonPlugins]", f"{NAME}=true"
    lines = settings.read_text(encoding="utf-8").splitlines() if settings.exists() else []
    lines = [line for line in lines if not line.startswith(f"{NAME}=")]
    if section not in lines:
        lines += ["", section]
    lines.insert(lines.index(section) + 1, entry)
    settings.parent.mkdir(parents=True, exist_ok=True)
    write_whole(settings, ("\n".join(lines) + "\n").encode())


def write_zip(output: Path) -> None:
    """Write the plugin as a zip; OutputError if that fails."""
    with tempfile.TemporaryDirectory() as draft:
        build_plugin(Path(draft) / NAME)
        packed = shutil.make_archive(f"{draft}/plugin", "zip", root_dir=draft, base_dir=NAME)
        write_whole(output, Path(packed).read_bytes())


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
