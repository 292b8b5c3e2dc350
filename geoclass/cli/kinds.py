"""Kinds of arguments: files, scenes and other things that programs have widgets for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click
from click.shell_completion import CompletionItem

Role = Literal["file", "layer", "polygons", "output", "folder", "extent", "crs"]
"""What an option is about, for programs that offer widgets: `geoclass schema` tells them."""


class FileName(click.Path):
    """A path, of what is read or, by its suffixes, of what is written.

    Files are checked where they are opened, so that all messages are of one kind.
    """

    def __init__(self, role: Role = "file", *suffixes: str) -> None:
        super().__init__(path_type=Path)
        self.role, self.suffixes = role, suffixes

    def to_info_dict(self) -> Any:
        """As click has it, with role and suffixes."""
        return {**super().to_info_dict(), "role": self.role, "suffixes": self.suffixes}


FILE = FileName()
MAP = FileName("layer")
POLYGONS = FileName("polygons")
FOLDER = FileName("folder")
GEOPACKAGE = FileName("output", ".gpkg")
PICTURE = FileName("output", ".png", ".svg", ".pdf")


class RoleName(click.types.StringParamType):
    """Text that is about a thing which programs have a widget for."""

    def __init__(self, role: Role, *suffixes: str) -> None:
        self.role, self.suffixes = role, suffixes

    def to_info_dict(self) -> Any:
        """As click has it, with role and suffixes."""
        return {**super().to_info_dict(), "role": self.role, "suffixes": self.suffixes}


CRS = RoleName("crs")
EXTENT = RoleName("extent")


class SceneName(RoleName):
    """A path, an address, the name of a subdataset, or red=FILE,green=FILE,blue=FILE."""

    def shell_complete(
        self, _ctx: click.Context, _param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Files, for most scenes are."""
        return [CompletionItem(incomplete, type="file")]


SCENE = SceneName("layer")
