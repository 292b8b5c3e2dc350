"""QGIS, where it is there."""

from __future__ import annotations

import os

import pytest

from tests.qgis.program import MISSING, find_qgis


@pytest.fixture(scope="session")
def qgis() -> tuple[str, ...]:
    """The command that starts QGIS's Python; skips where there is none, unless one has to be."""
    python = find_qgis()
    if python is None:
        if os.environ.get("GEOCLASS_REQUIRE_QGIS"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    return python
