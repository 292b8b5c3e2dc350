"""geoclass completion"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the script that completes geoclass commands, options and files in SHELL.

    In ~/.bashrc: eval "$(geoclass completion bash)". In ~/.zshrc: eval "$(geoclass completion
    zsh)". For fish: geoclass completion fish > ~/.config/fish/completions/geoclass.fish
    """
    from geoclass.cli.main import main

    completion = get_completion_class(shell)
    assert completion is not None  # click knows all three
    click.echo(completion(main, {}, "geoclass", "_GEOCLASS_COMPLETE").source())
