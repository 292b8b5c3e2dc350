"""Pictures of tiles, read as text: matplotlib notes in an SVG what it drew as curves."""

import errno
from pathlib import Path

import numpy as np
import pytest

from geoclass.errors import OutputError
from geoclass.learn.tasks import Mistake
from geoclass.report.charts import draw_mistakes, draw_samples

TILES = np.full((12, 3, 64, 64), 100, np.uint8)


def test_samples_stand_under_their_class(tmp_path: Path) -> None:
    draw_samples({"Heath": TILES, "$Лес": TILES[:1]}, tmp_path / "sheet.svg")
    drawn = (tmp_path / "sheet.svg").read_text()
    assert drawn.index("<!-- Heath -->") < drawn.index("<!-- $Лес -->")
    assert drawn.count("<image ") == 2


def test_mistakes_say_what_is_what(tmp_path: Path) -> None:
    mistake = Mistake(
        tile="Heath/a_1.png", true="Heath", predicted="Moor", confidence=0.987, pixels=TILES[0]
    )
    draw_mistakes([mistake] * 7, tmp_path / "mistakes.svg")
    drawn = (tmp_path / "mistakes.svg").read_text()
    for text in ("a_1.png", "Heath, called", "Moor 99%"):
        assert drawn.count(f"<!-- {text} -->") + drawn.count(text) >= 7
    assert drawn.count("<image ") == 7


def test_picture_that_fails_leaves_the_former(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(path: Path, _content: bytes) -> int:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "sheet.png").write_bytes(b"before")
    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        draw_samples({"Heath": TILES}, tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]
