"""What was asked for, told apart before a pixel is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from geoclass.legend import Legend
from geoclass.mapping.settings import MapSettings
from geoclass.scene.dataset import hide_secrets
from geoclass.scene.source import SceneSource, spell_file

RESULT_VERSION = 7
"""Raised when the same inputs and options may give other pixels than before."""


def fingerprint_request(
    source: SceneSource, model_sha256: str, legend: Legend, settings: MapSettings
) -> str:
    """Hash of scene, model, legend and options: equal requests give equal maps.

    It needs neither the scene's pixels nor the network, so that hundreds are told in a second.
    `source` is the scene as `open_scene` finds it. Files that options name count with size and
    time of last change.
    """
    named = (settings.frame.aoi, settings.masks.mask, settings.masks.scl)
    return fingerprint(
        {
            "source": source.identity,
            "bands": source.bands,
            "model": model_sha256,
            "legend": legend.to_json(),
            "options": describe_options(settings),
            "files": [_identify_file(name) for name in named if name is not None],
        }
    )


def describe_options(settings: MapSettings) -> dict[str, Any]:
    """The options as plain data; files by their one path, addresses without signatures."""
    options = asdict(settings)
    for group, name in (("frame", "aoi"), ("masks", "mask"), ("masks", "scl")):
        if options[group][name] is not None:
            options[group][name] = hide_secrets(_spell_option(str(options[group][name])))
    return options


def _spell_option(name: str) -> str:
    return name if name.isdecimal() else spell_file(name)  # a number is a band


def fingerprint(decisive: Mapping[str, Any]) -> str:
    """SHA-256 of plain data that decides about a map, and of the version of its making."""
    text = json.dumps({"result_version": RESULT_VERSION, **decisive}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _identify_file(name: str | Path) -> dict[str, Any]:
    """Empty for what is no file, such as a band's name or an address."""
    try:
        status = Path(name).stat()
    except (OSError, ValueError):
        return {}
    return {"bytes": status.st_size, "modified_ns": status.st_mtime_ns}
