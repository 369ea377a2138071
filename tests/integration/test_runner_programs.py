"""Models that train themselves, in the real runner process: results, resume, wishes, and ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labpool.catalog import Catalog
from tests.support.runners import CHECKOUT, Runner, of_type, points_of, runner, trial_of
from worker import protocol
from worker.runner import checkpoints

TEN_LINES: dict[str, Any] = {"kind": "train", "model": "ten_lines", "dataset": "xor"}
FEW = {**TEN_LINES, "parameters": {"steps_per_epoch": 200}, "epochs": 6, "seed": 3}
DQN: dict[str, Any] = {
    "kind": "train",
    "model": "dqn",
    "parameters": {"steps_per_epoch": 400, "learn_after": 100, "memory": 600},
    "epochs": 4,
    "checkpoint_every_epochs": 2,
}
SAME = ("test_return", "val_return", "test_largest_error", "best_epoch", "epochs_run")


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """One runner for all trials, which imports nothing before it needs it."""
    with runner(tmp_path_factory.mktemp("light"), "--light") as running:
        yield running


def assert_same(one: protocol.Result, two: protocol.Result) -> None:
    for key in ("weights_sha256", "best_weights_sha256"):
        assert one.summary[key] == two.summary[key], key
    for name in SAME:
        assert one.metrics.get(name) == two.metrics.get(name), name


def passed_on(saved: protocol.Checkpoint, before: Path, scratch: Path) -> protocol.Checkpoint:
    """What a slot does: it brings a checkpoint into the next attempt's folder."""
    scratch.mkdir()
    (scratch / f"resume-{saved.epoch}.npz").write_bytes((before / saved.file).read_bytes())
    return saved.model_copy(update={"file": f"resume-{saved.epoch}.npz"})


def test_ten_lines_learn_exclusive_or(light: Runner, tmp_path: Path) -> None:
    messages = light.run(trial_of(TEN_LINES, tmp_path, trial=7, fence=3))
    result = messages[-1]
    assert isinstance(result, protocol.Result), result
    outputs = np.array(result.summary["test_outputs"]).ravel()
    assert np.abs(outputs - [0, 1, 1, 0]).max() <= 0.05
    assert result.metrics["test_largest_error"] == np.abs(outputs - [0, 1, 1, 0]).max()
    assert result.metrics["test_accuracy"] == 1.0 and result.metrics["epochs_run"] == 60
    started = of_type(messages, protocol.Started)[0]
    assert "all the same examples" in started.environment["splits"]
    assert started.environment["examples"] == {"training": 4, "validation": 4, "test": 4}
    curves = points_of(messages)
    assert [m.epoch for m in curves] == list(range(1, 61))
    assert set(curves[0].values) == {
        *("loss", "learning_rate", "val_loss", "val_largest_error", "val_accuracy")
    }
    # NumPy is enough for it.
    assert "tensorflow" not in Path(f"/proc/{light.process.pid}/maps").read_text()


def test_a_checkpoint_holds_the_state_by_name(light: Runner, tmp_path: Path) -> None:
    saved = of_type(light.run(trial_of(FEW, tmp_path)), protocol.Checkpoint)[-1]
    loaded = checkpoints.load(tmp_path / saved.file, saved.sha256)
    assert loaded.names == ("syn0", "syn1")
    assert [array.shape for array in loaded.model] == [(3, 4), (4, 1)]


@pytest.mark.parametrize("spec", [FEW, DQN], ids=["ten_lines", "dqn"])
def test_resumed_it_ends_with_the_same_bits(
    light: Runner, tmp_path: Path, spec: dict[str, Any]
) -> None:
    whole = light.run(trial_of(spec, tmp_path / "whole"))
    saved = next(m for m in of_type(whole, protocol.Checkpoint) if m.epoch == 2)
    resume = passed_on(saved, tmp_path / "whole", tmp_path / "again")
    with runner(tmp_path / "home", "--light") as other:
        again = other.run(trial_of(spec, tmp_path / "again", fence=2, resume=resume))
    one, two = whole[-1], again[-1]
    assert isinstance(one, protocol.Result) and isinstance(two, protocol.Result)
    assert two.summary["resumed_at_epoch"] == 2
    assert_same(one, two)
    curve = [(m.step, m.values) for m in points_of(whole) if m.epoch > 2]
    assert [(m.step, m.values) for m in points_of(again)] == curve
    third = light.result(trial_of({**spec, "seed": 9}, tmp_path / "other"))
    assert third.summary["weights_sha256"] != one.summary["weights_sha256"]


@pytest.mark.parametrize("spec", [FEW, DQN], ids=["ten_lines", "dqn"])
def test_paused_and_resumed_it_ends_with_the_same_bits(
    light: Runner, tmp_path: Path, spec: dict[str, Any]
) -> None:
    whole = light.result(trial_of(spec, tmp_path / "whole"))
    trial = trial_of(spec, tmp_path / "first")
    light.send(protocol.Run(trials=(trial,)))
    light.send(protocol.Pause(trial=1, fence=1))
    seen = light.until(lambda message: isinstance(message, protocol.Idle))
    assert isinstance(seen[-2], protocol.Paused), seen[-2]
    saved = of_type(seen, protocol.Checkpoint)[-1]
    assert saved.epoch == seen[-2].epoch
    resume = passed_on(saved, tmp_path / "first", tmp_path / "second")
    assert_same(whole, light.result(trial_of(spec, tmp_path / "second", fence=2, resume=resume)))


def test_a_cancel_within_an_epoch_is_heard(light: Runner, tmp_path: Path) -> None:
    parameters = {"steps_per_epoch": 100_000, "learn_after": 100}
    trial = trial_of({**DQN, "parameters": parameters}, tmp_path)
    light.send(protocol.Run(trials=(trial,)))
    light.until(lambda m: isinstance(m, protocol.Progress) and 0 < m.done < 1)
    began = time.monotonic()
    light.send(protocol.Cancel(trial=1, fence=1))
    seen = light.until(lambda message: isinstance(message, protocol.Idle))
    assert seen[-2] == protocol.Cancelled(trial=1, fence=1)
    assert time.monotonic() - began < 10, "it was heard long before the epoch's end"


def test_it_stops_when_it_gets_no_better(light: Runner, tmp_path: Path) -> None:
    # Steps too small to change a bit.
    spec = {**FEW, "learning_rate": 1e-300, "epochs": 50, "early_stopping_patience": 2}
    result = light.result(trial_of({**spec, "parameters": {"steps_per_epoch": 1}}, tmp_path))
    assert result.ended_early and result.metrics["epochs_run"] == 3


def test_dqn_shows_its_returns(light: Runner, tmp_path: Path) -> None:
    messages = light.run(trial_of(DQN, tmp_path))
    result = messages[-1]
    assert isinstance(result, protocol.Result), result
    curves = points_of(messages)
    assert {"return", "val_return", "val_worst_return", "loss"} <= set(curves[0].values)
    assert all(value is not None for m in curves for value in m.values.values())
    assert 8 <= result.metrics["test_return"] <= 500
    assert "val_loss" not in result.metrics
    best = max(of_type(messages, protocol.Checkpoint), key=lambda m: (m.value, -m.epoch))
    assert result.metrics["val_return"] == best.value
    assert result.metrics["best_epoch"] == best.epoch


BROKEN = {
    "2 * random.random((hidden, 1)) - 1": ("np.array([object()])", "not as an array of numbers"),
    '"largest_error": float(error.max())': ('"other": 1.0', "no 'largest_error'"),
    "float(np.mean((y - l2) ** 2))": ("float('nan')", "lower learning rate"),
    '"syn1": syn1}, {': ('"syn1": syn1 * np.inf}, {', "not finite after epoch 1"),
    'return {"syn0": syn0, "syn1": syn1}': ('return {"syn0": syn0}', "other names"),
}


@pytest.mark.parametrize("old", BROKEN)
def test_a_program_that_breaks_its_word_is_named(light: Runner, tmp_path: Path, old: str) -> None:
    new, says = BROKEN[old]
    folder = tmp_path / "catalog" / "models" / "broken"
    folder.mkdir(parents=True)
    source = CHECKOUT / "catalog" / "models" / "ten_lines"
    (folder / "model.toml").write_bytes((source / "model.toml").read_bytes())
    code = (source / "model.py").read_text()
    assert old in code
    (folder / "model.py").write_text(code.replace(old, new, 1))
    catalog = Catalog.load([CHECKOUT / "catalog", tmp_path / "catalog"])
    spec = {**FEW, "model": "broken"}
    answer = light.run(trial_of(spec, tmp_path / "trial", catalog=catalog))[-1]
    assert isinstance(answer, protocol.Failed)
    assert says in answer.reason
    assert answer.reason_kind == ("diverged" if "finite" in says or "rate" in says else "internal")


def test_classes_that_do_not_fit_are_refused(light: Runner, tmp_path: Path) -> None:
    answer = light.run(trial_of({**TEN_LINES, "dataset": "digits"}, tmp_path))[-1]
    assert isinstance(answer, protocol.Failed) and answer.reason_kind == "user_error"
    assert "two classes" in answer.reason
