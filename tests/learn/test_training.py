"""The training loop, on tiles that are learnt in seconds."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from torch import nn

from geoclass.cli.main import main
from geoclass.errors import (
    DatasetError,
    GeoclassError,
    ModelError,
    OutputError,
    SettingsError,
)
from geoclass.learn import objectives, run, schedule
from geoclass.learn.dataset import TileSet, read_tiles
from geoclass.learn.recipes import RECIPES, CanvasSettings, TrainSettings
from geoclass.learn.run import TrainingRun, read_state, write_checkpoint
from geoclass.learn.schedule import count_stale, ema, fit_batch_size, rate_factor
from geoclass.learn.splits import Split, count_seen, split_randomly
from geoclass.learn.training import EpochReport, train_model
from geoclass.legend import Legend
from geoclass.model.checkpoint import Model, load_model, read_tensors
from geoclass.model.classifier import Classifier
from geoclass.model.networks import CustomNet, FineTileNet, Network, TileNet, copy_weights
from tests.conftest import write_tiles
from tests.model.test_device import NO_MEMORY

Make = Callable[..., Path]
CPU = torch.device("cpu")
QUICK = TrainSettings(arch="tilenet", epochs=4, batch_size=8, learning_rate=2e-3)


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> TileSet:
    return read_tiles(write_tiles(tmp_path_factory.mktemp("data") / "tiles", classes=3, each=15))


@pytest.fixture(scope="module")
def split(tiles: TileSet) -> Split:
    return split_randomly(tiles.labels)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> TileSet:
    """18 tiles for training, where it does not matter what is learnt."""
    return read_tiles(write_tiles(tmp_path_factory.mktemp("data") / "few", classes=3, each=9))


@dataclass(frozen=True)
class Trained:
    """The model of a whole run, alone in its folder with what the run left, and its epochs."""

    output: Path
    reports: tuple[EpochReport, ...]


@pytest.fixture(scope="module")
def trained(tiles: TileSet, split: Split, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """For tests that only read it."""
    reports: list[EpochReport] = []
    output = tmp_path_factory.mktemp("trained") / "m.safetensors"
    train_model(tiles, split, QUICK, output, device=CPU, max_hours=1, on_epoch=reports.append)
    return Trained(output, tuple(reports))


@pytest.fixture(scope="module")
def begun(tiles: TileSet, split: Split, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model of one epoch."""
    output = tmp_path_factory.mktemp("begun") / "begun.safetensors"
    train_model(tiles, split, replace(QUICK, epochs=1), output, device=CPU)
    return load_model(output)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return dict(load_model(path).network.state_dict())


def assert_equal_weights(one: Path, other: Path) -> None:
    for name, tensor in weights(one).items():
        assert torch.equal(tensor, weights(other)[name]), name


def test_network_learns_plain_colours(tiles: TileSet, split: Split, trained: Trained) -> None:
    assert [r.epoch for r in trained.reports] == [1, 2, 3, 4]
    assert trained.reports[-1].loss < trained.reports[0].loss
    model = load_model(trained.output)
    predicted = Classifier(model, device="cpu").predict(tiles.images[split.test])
    assert (predicted.probabilities.argmax(axis=1) == tiles.labels[split.test]).mean() >= 0.8


def test_contract_says_what_was_done(tiles: TileSet, split: Split, trained: Trained) -> None:
    contract = load_model(trained.output).contract
    assert contract.legend.names == list(tiles.classes)
    assert contract.training.split == split.record(tiles.names)
    assert contract.training.recipe["learning_rate"] == 2e-3
    assert contract.class_shares == pytest.approx((1 / 3,) * 3)
    confusion = np.array(contract.confusion)
    assert confusion.sum() == len(split.validation)
    accuracy = confusion.trace() / confusion.sum()
    assert contract.training.validation_accuracy == pytest.approx(accuracy)
    assert 0.04 < contract.temperature < 20.1


def test_log_is_left_and_checkpoints_are_not(trained: Trained) -> None:
    folder = trained.output.parent
    assert sorted(file.name for file in folder.iterdir()) == ["m.csv", "m.safetensors"]
    with (folder / "m.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]


def test_same_seed_same_weights(few: TileSet, tmp_path: Path) -> None:
    settings, split = replace(QUICK, epochs=1), split_randomly(few.labels)
    for name in ("a", "b"):
        train_model(few, split, settings, tmp_path / f"{name}.safetensors", device=CPU)
    other = replace(settings, seed=1)
    train_model(few, split, other, tmp_path / "c.safetensors", device=CPU)
    assert_equal_weights(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    with pytest.raises(AssertionError):
        assert_equal_weights(tmp_path / "a.safetensors", tmp_path / "c.safetensors")


class Stopped(Exception):
    """The plug, pulled."""


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "bf16", "drop_partial_batch": False},
        {"ema_decay": None, "schedule": "plateau", "patience": 4},
        {"optimizer": "adamw"},
        {"arch": "tilenet-dense", "canvases": CanvasSettings(size=64), "batch_size": 2},
        {"optimizer": "adam", "weight_decay": 0.0},
    ],
)
def test_resumed_run_ends_as_an_undisturbed_one(
    few: TileSet, tmp_path: Path, change: dict[str, Any]
) -> None:
    settings, split = replace(QUICK, epochs=3, **change), split_randomly(few.labels)
    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    train_model(few, split, settings, whole, device=CPU)

    def stop(epoch: int, batch: int, _batches: int) -> None:
        if (epoch, batch) == (2, 2):
            raise Stopped

    with pytest.raises(Stopped):
        train_model(few, split, settings, broken, device=CPU, on_batch=stop)
    assert not broken.exists()
    seen: list[EpochReport] = []
    train_model(few, split, settings, broken, device=CPU, resume=True, on_epoch=seen.append)
    assert [r.epoch for r in seen] == [2, 3]
    assert_equal_weights(whole, broken)


class Forgetful(Network):
    """A small network with dropout, as CustomNet has."""

    last = "head"

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 8, 8)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(8, classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return self.dropout(torch.relu(self.conv(x)).mean(dim=(2, 3)))

    def decide(self, features: torch.Tensor) -> torch.Tensor:
        return self.head(features)


def test_what_is_dropped_out_depends_on_the_epoch_alone(
    tiles: TileSet, split: Split, tmp_path: Path
) -> None:
    settings = replace(QUICK, optimizer="adamw")

    def begin() -> TrainingRun:
        return TrainingRun(
            tiles, split, settings, CPU, None, build=lambda _arch, classes: Forgetful(classes)
        )

    def note(epoch: int) -> None:
        whole.train_epoch(epoch, lambda *_: None)
        whole.record({"validation_accuracy": 0.0})

    whole = begin()
    note(1)
    checkpoint = tmp_path / "m.last.safetensors"
    write_checkpoint(checkpoint, whole.tensors(), whole.state(1))
    note(2)
    torch.rand(7)  # whatever else draws from torch's generator
    again = begin()
    again.restore(checkpoint)
    again.train_epoch(2, lambda *_: None)
    for name, tensor in whole.tensors().items():
        assert torch.equal(again.tensors()[name], tensor), name


@pytest.fixture(scope="module")
def stopped_once(tiles: TileSet, split: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was stopped in its second epoch."""
    folder: Path = tmp_path_factory.mktemp("stopped")

    def stop(epoch: int, _batch: int, _batches: int) -> None:
        if epoch == 2:
            raise Stopped

    with pytest.raises(Stopped):
        train_model(tiles, split, QUICK, folder / "m.safetensors", device=CPU, on_batch=stop)
    return folder


@pytest.fixture
def stopped(stopped_once: Path, tmp_path: Path) -> Path:
    """The output of that run, in a folder of the test."""
    shutil.copytree(stopped_once, tmp_path, dirs_exist_ok=True)
    return tmp_path / "m.safetensors"


def test_resume_with_other_settings_is_refused(tiles: TileSet, split: Split, stopped: Path) -> None:
    other = replace(QUICK, learning_rate=1e-3, seed=3)
    said = r"made with learning_rate 0.002 \(now 0.001\), seed 0 \(now 3\): give the same options"
    with pytest.raises(SettingsError, match=said):
        train_model(tiles, split, other, stopped, device=CPU, resume=True)
    moved = replace(split, train=split.validation, validation=split.train)
    with pytest.raises(SettingsError, match="another train part, another validation part: give"):
        train_model(tiles, moved, QUICK, stopped, device=CPU, resume=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"nothing of the kind", "is not a checkpoint of training, is damaged"),
        ({"other": "{}"}, "is not a checkpoint of training, is damaged"),
        ({"training": "[1]"}, "is not a checkpoint of training, is damaged"),
        ({"training": '{"epoch": 1, "parts": 2}'}, "or comes from another version of geoclass"),
    ],
)
def test_damaged_checkpoint_is_refused(
    tiles: TileSet, split: Split, stopped: Path, content: bytes | dict[str, str], message: str
) -> None:
    last = stopped.with_suffix(".last.safetensors")
    if isinstance(content, bytes):
        last.write_bytes(content)
    else:
        save_file({"x": torch.zeros(1)}, last, content)
    with pytest.raises(ModelError, match=message):
        train_model(tiles, split, QUICK, stopped, device=CPU, resume=True)


def test_optimizer_of_another_version_is_refused(
    tiles: TileSet, split: Split, stopped: Path
) -> None:
    last = stopped.with_suffix(".last.safetensors")
    tensors = {  # as Muon kept them once
        name: value.flatten(1) if name.startswith("optimizer/0/") else value
        for name, value in read_tensors(last)[0].items()
    }
    write_checkpoint(last, tensors, read_state(last))
    with pytest.raises(SettingsError, match="optimiser is of another version of geoclass: train"):
        train_model(tiles, split, QUICK, stopped, device=CPU, resume=True)


def test_log_is_whole_whatever_became_of_it(tiles: TileSet, split: Split, stopped: Path) -> None:
    log = stopped.with_suffix(".csv")
    log.unlink()
    train_model(tiles, split, QUICK, stopped, device=CPU, resume=True)
    with log.open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]


def test_infinite_loss_stops_the_run_and_keeps_the_checkpoint(
    tiles: TileSet, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "m.safetensors"
    good = objectives.normalise

    def break_later(epoch: int, _batch: int, _batches: int) -> None:
        if epoch == 2:
            monkeypatch.setattr(objectives, "normalise", lambda x, m, s: good(x, m, s) * torch.nan)

    with pytest.raises(GeoclassError, match="loss became nan in epoch 2"):
        train_model(tiles, split, QUICK, output, device=CPU, on_batch=break_later)
    assert output.with_suffix(".last.safetensors").exists()


def test_weights_that_go_astray_with_the_last_step_stop_the_run(
    tiles: TileSet, split: Split, tmp_path: Path
) -> None:
    """Their loss was looked at before it."""
    output = tmp_path / "m.safetensors"
    far = replace(QUICK, epochs=1, batch_size=len(split.train), learning_rate=1e38)
    with pytest.raises(GeoclassError, match="loss became nan in epoch 1"):
        train_model(tiles, split, far, output, device=CPU)
    assert not list(tmp_path.glob("m.*"))


def test_test_part_is_never_looked_at(few: TileSet, tmp_path: Path) -> None:
    """Rubbish in the test part changes nothing."""
    images, labels, split = few.images.copy(), few.labels.copy(), split_randomly(few.labels)
    images[split.test] = 0
    labels[split.test] = 0
    rubbish = replace(few, images=images, labels=labels)
    settings = replace(QUICK, epochs=1)
    train_model(few, split, settings, tmp_path / "a.safetensors", device=CPU)
    train_model(rubbish, split, settings, tmp_path / "b.safetensors", device=CPU)
    assert_equal_weights(tmp_path / "a.safetensors", tmp_path / "b.safetensors")


def test_single_class_is_refused(make_tiles: Make, tmp_path: Path) -> None:
    tiles = read_tiles(make_tiles(classes=1))
    with pytest.raises(DatasetError, match="has 1 class, expected 2 to 250"):
        train_model(tiles, split_randomly(tiles.labels), QUICK, tmp_path / "m", device=CPU)


def test_class_missing_from_the_training_part_is_refused(
    tiles: TileSet, split: Split, tmp_path: Path
) -> None:
    lacking = replace(split, train=split.train[tiles.labels[split.train] != 1])
    with pytest.raises(DatasetError, match="class Forest has no tile in the training part"):
        train_model(tiles, lacking, QUICK, tmp_path / "m", device=CPU)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"patience": 0},
        {"patience": 3, "schedule": "plateau"},
        {"optimizer": "adam"},
    ],
)
def test_impossible_settings_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        replace(QUICK, **change)


def test_customnet_recipe_is_the_tutorials() -> None:
    recipe = RECIPES["customnet"]
    assert (recipe.epochs, recipe.batch_size, recipe.optimizer) == (30, 64, "adam")
    assert (recipe.learning_rate, recipe.schedule, recipe.augment) == (1e-3, "constant", None)
    assert recipe.mean == recipe.std == (0.5, 0.5, 0.5)


def test_one_cycle_rises_and_falls() -> None:
    factors = [rate_factor(QUICK, progress) for progress in np.linspace(0, 0.999, 200)]
    top = int(np.argmax(factors))
    assert factors[top] == pytest.approx(1, abs=0.01)
    assert (np.diff(factors[: top + 1]) > 0).all()
    assert (np.diff(factors[top:]) < 0).all()
    assert factors[-1] < 0.001
    assert rate_factor(RECIPES["customnet"], 0.9) == 1


def test_average_forgets_its_beginning() -> None:
    averaged = [torch.zeros(1)]
    for n in range(50):
        ema(0.998)(averaged, [torch.ones(1)], n)
    assert averaged[0].item() > 0.99


def test_training_may_begin_with_a_model(
    begun: Model, tiles: TileSet, split: Split, tmp_path: Path
) -> None:
    """Weights that hardly move stay what they were."""
    output = tmp_path / "m.safetensors"
    still = replace(QUICK, epochs=1, learning_rate=1e-9, weight_decay=0.0)
    train_model(tiles, split, still, output, device=CPU, start=begun)
    for name, tensor in begun.network.state_dict().items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(weights(output)[name], tensor, atol=1e-6, rtol=0)
    assert load_model(output).contract.training.recipe["start"] == begun.sha256


def test_classes_keep_what_decides_about_them_by_name(
    begun: Model, tiles: TileSet, split: Split, tmp_path: Path
) -> None:
    """As many, but other classes: one is known, at another place."""
    output = tmp_path / "other.safetensors"
    names = ("Forest", "Heath", "Moor")
    moved = replace(tiles, name="other", classes=names, legend=Legend.for_names(names))
    still = replace(QUICK, epochs=1, learning_rate=1e-9, weight_decay=0.0, seed=5)
    train_model(moved, split, still, output, device=CPU, start=begun)
    theirs, ours = begun.network.state_dict()["head.weight"], weights(output)["head.weight"]
    torch.testing.assert_close(ours[0], theirs[tiles.classes.index("Forest")], atol=1e-6, rtol=0)
    assert not torch.allclose(ours[1:], theirs[1:], atol=1e-3)
    assert load_model(output).contract.legend.names == list(names)


def test_fewer_classes_get_a_smaller_head(
    begun: Model, tiles: TileSet, split: Split, tmp_path: Path
) -> None:
    two = replace(
        tiles,
        name="two",
        classes=tiles.classes[:2],
        labels=np.minimum(tiles.labels, 1),
        legend=Legend.for_names(tiles.classes[:2]),
    )
    output = tmp_path / "two.safetensors"
    train_model(two, split, replace(QUICK, epochs=1), output, device=CPU, start=begun)
    assert load_model(output).contract.legend.names == ["AnnualCrop", "Forest"]


def test_model_remembers_the_tiles_that_had_a_say(
    begun: Model, tiles: TileSet, split: Split, tmp_path: Path
) -> None:
    assert count_seen(begun, tiles.images[split.test]) == 0
    for part in (split.train, split.validation):
        assert count_seen(begun, tiles.images[part]) == len(part)
    others = replace(tiles, name="others", images=tiles.images // 2)
    output = tmp_path / "n.safetensors"
    train_model(others, split, replace(QUICK, epochs=1), output, device=CPU, start=begun)
    both = load_model(output)
    for images in (tiles.images, others.images):
        assert count_seen(both, images) == len(split.train) + len(split.validation)


@pytest.mark.parametrize("name", ["tiles", "copy"])
def test_beginning_that_has_seen_the_test_part_is_refused(
    begun: Model, tiles: TileSet, tmp_path: Path, name: str
) -> None:
    """Whatever the data set is called now."""
    other = split_randomly(tiles.labels, 1)
    moved = replace(tiles, name=name)
    with pytest.raises(
        SettingsError, match=r"another split, with \d of the 9 tiles that are held out"
    ):
        train_model(moved, other, QUICK, tmp_path / "n", device=CPU, start=begun)


def test_beginning_that_remembers_names_alone(
    begun: Model, tiles: TileSet, split: Split, tmp_path: Path
) -> None:
    old = replace(begun, seen=None)
    other = split_randomly(tiles.labels, 1)
    with pytest.raises(
        SettingsError, match="another split, with tiles of tiles that are held out now"
    ):
        train_model(tiles, other, QUICK, tmp_path / "n", device=CPU, start=old)
    output = tmp_path / "m.safetensors"
    train_model(tiles, split, replace(QUICK, epochs=1), output, device=CPU, start=old)
    assert load_model(output).seen is None  # it would not be the whole


def test_beginning_of_another_network_is_refused() -> None:
    with torch.device("meta"), pytest.raises(ModelError, match="TileNet do not fit CustomNet"):
        copy_weights(TileNet(), CustomNet(), {})
    with pytest.raises(ModelError, match="TileNet do not fit FineTileNet"):
        copy_weights(TileNet(), FineTileNet(), {})


def test_plateau_lowers_the_rate_and_a_better_epoch_starts_the_count_anew() -> None:
    settings = replace(QUICK, schedule="plateau")
    history = [0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.7, 0.7, 0.7, 0.7]
    factors = [rate_factor(settings, 0.5, history[:n]) for n in range(len(history) + 1)]
    assert factors == pytest.approx([1] * 5 + [1 / 3] * 5 + [1 / 9])


def test_early_stopping_takes_the_last_of_equal_epochs(
    tiles: TileSet, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter([0.5, 0.4, 0.6, 0.6, 0.5, 0.5, 0.9])
    monkeypatch.setattr(run.TrainingRun, "validate", lambda _self: (1.0, next(found)))
    output, seen = tmp_path / "m.safetensors", list[EpochReport]()
    settings = replace(QUICK, epochs=7, patience=2)
    train_model(tiles, split, settings, output, device=CPU, on_epoch=seen.append)
    assert len(seen) == 5
    assert load_model(output).contract.training.epoch == 4


def test_run_that_had_too_few_hours_goes_on_later(
    tiles: TileSet, split: Split, trained: Trained, tmp_path: Path
) -> None:
    output = tmp_path / "m.safetensors"
    train_model(tiles, split, QUICK, output, device=CPU, max_hours=1e-9)
    assert load_model(output).contract.training.epoch == 1
    seen: list[EpochReport] = []
    train_model(tiles, split, QUICK, output, device=CPU, resume=True, on_epoch=seen.append)
    assert [r.epoch for r in seen] == [2, 3, 4]
    assert_equal_weights(trained.output, output)
    assert not list(tmp_path.glob("*.last.*")) + list(tmp_path.glob("*.best.*"))


def test_no_hours_are_refused(tiles: TileSet, split: Split, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="must be positive, got 0"):
        train_model(tiles, split, QUICK, tmp_path / "m.safetensors", device=CPU, max_hours=0)


@pytest.mark.parametrize(
    ("history", "stale"),
    [([], 0), ([0.1], 0), ([0.5, 0.4], 1), ([0.5, 0.4, 0.5], 2), ([1, 1, 1], 2), ([0.5, 0.6], 0)],
)
def test_stale_epochs(history: list[float], stale: int) -> None:
    assert count_stale(history) == stale


def test_report_says_where_the_time_went(trained: Trained) -> None:
    for report in trained.reports:
        assert 0 < report.data_share < 1


def test_two_runs_do_not_write_one_model(tiles: TileSet, split: Split, tmp_path: Path) -> None:
    output = tmp_path / "m.safetensors"
    code = f"""
import pathlib, sys
from geoclass.files.writing import claim
with claim(pathlib.Path({str(output)!r})):
    print("claimed", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(OutputError, match=f"number {other.pid}. is making .*m.safetensors"):
            train_model(tiles, split, QUICK, output, device=CPU)
        other.kill()
    train_model(tiles, split, replace(QUICK, epochs=1), output, device=CPU)
    assert {file.name for file in tmp_path.iterdir()} == {"m.safetensors", "m.csv"}


@pytest.mark.parametrize("error", NO_MEMORY)
@pytest.mark.parametrize("method", ["__init__", "_step", "validate", "release"])
def test_batch_that_memory_cannot_hold_is_a_clear_error(
    tiles: TileSet,
    split: Split,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    error: RuntimeError,
) -> None:
    def fill(*_args: object, **_settings: object) -> None:
        raise error

    monkeypatch.setattr(run.TrainingRun, method, fill)
    few = replace(QUICK, epochs=1)
    with pytest.raises(SettingsError, match="cannot hold a batch of 8 tiles: give a smaller"):
        train_model(tiles, split, few, tmp_path / "m.safetensors", device=CPU)


def test_largest_batch_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    def fits(*args: object) -> bool:
        return args[-1] <= 300

    monkeypatch.setattr(schedule, "fits", fits)
    fitted = fit_batch_size(replace(QUICK, batch_size=64), 10, torch.device("cuda"))
    assert fitted.batch_size == 256
    assert fitted.learning_rate == pytest.approx(2 * QUICK.learning_rate)
    assert fit_batch_size(QUICK, 10, CPU) == QUICK
    # A run that goes on keeps its size, whatever is free now.
    begun = {"batch_size": 128, "learning_rate": 0.5, "epochs": 9}
    kept = fit_batch_size(QUICK, 10, torch.device("cuda"), begun)
    assert kept == replace(QUICK, batch_size=128, learning_rate=0.5)


def test_a_step_is_really_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    assert schedule.fits(QUICK, 3, CPU, 2)

    def build(*_args: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(schedule, "build_network", build)
    assert not schedule.fits(QUICK, 3, CPU, 2)


def test_full_disk_leaves_the_last_checkpoint(tmp_path: Path, make_tiles: Make) -> None:
    """A file-size limit stands for the full disk: writing fails half-way."""
    data, output = make_tiles(classes=3, each=15), tmp_path / "m.safetensors"
    command = ["train", str(data), "-o", str(output)]
    command += ["--epochs", "3", "--batch-size", "8", "--device", "cpu"]
    code = """
import resource, runpy, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from geoclass.learn import training
write = training.write_log
def limit(path, rows):
    write(path, rows)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
training.write_log = limit
sys.argv = ["geoclass", *sys.argv[1:]]
from geoclass.cli.main import main
main()
"""
    stopped = subprocess.run(
        [sys.executable, "-c", code, *command],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert stopped.returncode == 1, stopped.stderr
    assert stopped.stderr.splitlines()[-1].startswith("Error: cannot write")
    assert not output.exists()
    left = {file.name for file in tmp_path.glob("m.*")} | set(tmp_path.glob(".m.*"))
    assert left == {"m.last.safetensors", "m.best.safetensors", "m.csv"}
    done = CliRunner().invoke(main, [*command, "--resume"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "epoch   1/3" not in done.stdout
    assert "epoch   3/3" in done.stdout
