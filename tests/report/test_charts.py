"""Pictures of tiles, read as text: matplotlib notes in an SVG what it drew as curves."""

import errno
import html
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from geoclass.errors import OutputError
from geoclass.learn.scoring import Mistake
from geoclass.learn.single import ImageLabel
from geoclass.report.charts import draw_labels, draw_learning_curve, draw_mistakes, draw_samples

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


def find_titles(path: Path) -> list[str]:
    drawn = path.read_text()
    return [html.unescape(text) for text in re.findall("<!-- (.*?) -->", drawn, re.DOTALL)]


def test_long_names_leave_room_for_their_neighbours(tmp_path: Path) -> None:
    name = "Obst & Wein_bolzano_20220612_l2a_b04b03b02b08scl_6_0.png"
    mistake = Mistake(
        tile=f"Obst/{name}", true="Heath\nland", predicted="Moor", confidence=1, pixels=TILES[0]
    )
    draw_mistakes([mistake], tmp_path / "mistakes.svg")
    drawn = " ".join(find_titles(tmp_path / "mistakes.svg"))
    assert "Obst & Wein_…scl_6_0.png" in drawn
    assert "Heath land, called" in drawn
    label = ImageLabel(
        image=f"new\n{name}", row=0, col=64, name="Heath" * 20, confidence=1.0, unknown=False,
        probabilities={"Heath" * 20: 1.0}, tile=TILES[0],
    )  # fmt: skip
    draw_labels([label], tmp_path / "labels.svg")
    titles = find_titles(tmp_path / "labels.svg")
    assert "new Obst & Wei…08scl_6_0.png 0,64" in titles
    assert "HeathHeathHeat…athHeathHeath" in [text.removesuffix(" 100.0%") for text in titles]
    draw_samples({"Heath\nand moor" + "s" * 200: TILES}, tmp_path / "sheet.svg")
    (title,) = find_titles(tmp_path / "sheet.svg")
    assert title == "Heath and moor" + "s" * 21 + "…" + "s" * 34


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_epochs_are_whole(tmp_path: Path, epochs: int) -> None:
    lines = [f"{epoch},1.0,0.9,0.8" for epoch in range(1, epochs + 1)]
    log = tmp_path / "log.csv"
    log.write_text("\n".join(["epoch,loss,validation_loss,validation_accuracy", *lines]))
    draw_learning_curve(log, tmp_path / "curve.svg")
    drawn = (tmp_path / "curve.svg").read_text()
    ticks = re.findall(r'id="xtick_\d+">.*?<!-- (.*?) -->', drawn, re.DOTALL)
    assert ticks == [str(epoch) for epoch in range(1, epochs + 1)] * 2


def test_letters_that_no_font_has_are_not_warned_of(tmp_path: Path) -> None:
    code = (
        "import sys; import numpy as np; from geoclass.report.charts import draw_samples\n"
        "draw_samples({'日本': np.zeros((1, 3, 64, 64), np.uint8)}, sys.argv[1])"
    )
    # Without the filters of this test's own process.
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "sheet.png"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""


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
