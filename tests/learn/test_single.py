"""Labels for single images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geoclass.errors import DatasetError
from geoclass.learn import single
from geoclass.learn.single import label_images
from geoclass.model.classifier import Classifier, Prediction
from tests.conftest import FakeClassifier, paint


def save(pixels: np.ndarray, path: Path) -> Path:
    Image.fromarray(pixels.transpose(1, 2, 0)).save(path)
    return path


@pytest.fixture
def fake(classifier: FakeClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single, "Classifier", lambda *_args, **_kwargs: classifier)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_tile_in_the_middle(tmp_path: Path, fake: None, suffix: str) -> None:
    path = save(paint([[0, 1, 2], [3, 8, 5], [6, 7, 9]]), tmp_path / f"image.{suffix}")
    (label,) = label_images([path], device="cpu")
    assert (label.row, label.col, label.name) == (64, 64, "River")
    assert label.confidence == pytest.approx(0.9)
    assert sum(label.probabilities.values()) == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(label.tile, paint([[8]]))


def test_all_tiles_the_last_moved_inward(tmp_path: Path, fake: None) -> None:
    path = save(paint([[0, 1]])[:, :, :100], tmp_path / "image.png")
    labels = label_images([path], device="cpu", whole=True)
    assert [(label.row, label.col) for label in labels] == [(0, 0), (0, 36)]


def test_image_of_one_tile(tmp_path: Path, fake: None) -> None:
    path = save(paint([[9]]), tmp_path / "image.png")
    assert [label.name for label in label_images([path], device="cpu", whole=True)] == ["SeaLake"]


@pytest.mark.parametrize("together", [1, 3, 1024])
def test_images_are_labelled_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    asked: list[int] = []
    predict = Classifier.predict

    def count(self: Classifier, images: np.ndarray) -> Prediction:
        asked.append(len(images))
        return predict(self, images)

    monkeypatch.setattr(Classifier, "predict", count)
    monkeypatch.setattr(single, "LABELLED_TOGETHER", together)
    paths = [save(paint([[k]]), tmp_path / f"{k}.png") for k in range(5)]
    told: list[int] = []
    labels = label_images(paths, device="cpu", on_images=lambda done, _: told.append(done))
    assert asked == {1: [1] * 5, 3: [3, 2], 1024: [5]}[together]
    assert told == [1, 2, 3, 4, 5]
    assert [label.image for label in labels] == [str(path) for path in paths]
    assert label_images([], device="cpu") == []


def test_images_that_cannot_be(tmp_path: Path, fake: None) -> None:
    with pytest.raises(DatasetError, match="cannot read the image"):
        label_images([tmp_path / "none.png"], device="cpu")
    small = save(paint([[0]])[:, :, :63], tmp_path / "small.png")
    with pytest.raises(DatasetError, match="has 63×64 pixels, expected at least 64×64"):
        label_images([small], device="cpu")
    Image.new("RGBA", (64, 64)).save(tmp_path / "rgba.png")
    with pytest.raises(DatasetError, match="is of mode RGBA, expected RGB"):
        label_images([tmp_path / "rgba.png"], device="cpu")
    whole = save(paint([[0]]), tmp_path / "cut.png")
    whole.write_bytes(whole.read_bytes()[:60])
    with pytest.raises(DatasetError, match="cannot be decoded"):
        label_images([whole], device="cpu")


def test_images_that_cannot_be_are_left_out_where_somebody_is_told(tmp_path: Path) -> None:
    good = save(paint([[1]]), tmp_path / "good.png")
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    said: list[str] = []
    labels = label_images([bad, good, bad], device="cpu", on_bad=said.append)
    assert [label.image for label in labels] == [str(good)]
    assert said == [f"image {bad} cannot be decoded: replace or remove it"] * 2
    with pytest.raises(DatasetError, match="cannot be decoded"):
        label_images([good, bad], device="cpu")
