"""Completion, as shells ask for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from geoclass.cli.main import COMMANDS
from geoclass.cli.qgis import SHELLS
from tests.cli.test_commands import run
from tests.conftest import ROOT

# What stands in the environment as `geoclass`, whether or not the package is installed there.
PROGRAM = f"""#!{sys.executable}
import sys; sys.path.insert(0, {str(ROOT)!r})
from geoclass.cli.main import main; main(prog_name="geoclass")
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One in which `geoclass` is a program."""
    program = tmp_path / "bin" / "geoclass"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}


def ask(environment: dict[str, str], shell: str, *words: str) -> list[str]:
    """What is offered for the last word."""
    asked = {
        "_GEOCLASS_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": words[-1] if shell == "fish" else str(len(words) - 1),
    }
    out = subprocess.run(
        ["geoclass"], env={**environment, **asked}, capture_output=True, text=True, check=True
    )
    return out.stdout.splitlines()


def test_commands_options_choices_and_files(environment: dict[str, str]) -> None:
    assert ask(environment, "bash", "geoclass", "") == [f"plain,{name}" for name in COMMANDS]
    assert ask(environment, "bash", "geoclass", "mo") == ["plain,monitor"]
    assert "plain,--legend" in ask(environment, "bash", "geoclass", "map", "--le")
    assert ask(environment, "bash", "geoclass", "map", "--radiometry", "rgb") == ["plain,rgb8"]
    for words in (("map", "sce"), ("change", "sce"), ("monitor", "a.tif", "sce"), ("style", "sce")):
        assert ask(environment, "bash", "geoclass", *words) == ["file,sce"]


def test_other_shells_are_told_what_commands_do(environment: dict[str, str]) -> None:
    text = COMMANDS["monitor"][1]
    assert ask(environment, "zsh", "geoclass", "mo") == ["plain", "monitor", text]
    assert ask(environment, "fish", "geoclass", "mo") == [f"plain,monitor\t{text}"]


@pytest.mark.parametrize("shell", SHELLS)
def test_shells_take_what_is_printed(environment: dict[str, str], shell: str) -> None:
    script = run("completion", shell).stdout
    assert f"_GEOCLASS_COMPLETE={shell}_complete" in script
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    subprocess.run([shell, "-n"], input=script, text=True, check=True, env=environment)


def test_bash_completes(environment: dict[str, str]) -> None:
    typed = "COMP_WORDS=(geoclass mo); COMP_CWORD=1; _geoclass_completion geoclass mo geoclass"
    script = f'eval "$(geoclass completion bash)"; {typed}; echo "${{COMPREPLY[@]}}"'
    out = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert out.stdout == "monitor\n"
