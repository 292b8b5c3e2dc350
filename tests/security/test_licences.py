"""What geoclass depends on may be used as its own licence says."""

from __future__ import annotations

import re
from importlib.metadata import distribution, requires

import pytest

PERMISSIVE = re.compile(
    r"(?i)\b(mit|mit-cmu|hpnd|bsd|apache|psf|python software foundation|isc|0bsd)\b"
)


@pytest.mark.parametrize(
    "name",
    sorted(
        {
            re.split(r"[<>=!~; \[]", line)[0]
            for line in requires("geoclass") or ()
            if not re.search("extra == .test.", line)
        }
    ),
)
def test_licences_are_permissive(name: str) -> None:
    metadata = distribution(name).metadata
    said = [metadata.get("License-Expression"), (metadata.get("License") or "")[:60]]
    said += [c for c in metadata.get_all("Classifier") or () if c.startswith("License ::")]
    texts = " ".join(filter(None, said)) or str(distribution(name).read_text("LICENSE"))
    assert PERMISSIVE.search(texts), f"{name}: {texts[:200]}"
    assert not re.search(r"(?i)\b(A?GPL|GNU Affero|GNU General)\b", texts.replace("LGPL", ""))
