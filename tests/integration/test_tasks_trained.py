"""Boxes and masks, found by whole trials in real runner processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.runners import Runner, of_type, runner, trial_of
from worker import protocol

SMALL: dict[str, dict[str, Any]] = {
    "localise": {"filters": 4, "hidden": 8},
    "segment": {"filters": 4},
}


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with runner(tmp_path_factory.mktemp("warm"), "--light") as running:
        yield running


def spec_of(model: str, **other: Any) -> dict[str, Any]:
    return {"kind": "train", "model": model, "dataset": "shapes", "device": "cpu", **other}


def small(model: str, **other: Any) -> dict[str, Any]:
    data = {"examples": 120, "size": 16}
    return spec_of(model, parameters=SMALL[model], dataset_parameters=data, epochs=4, **other)


@pytest.mark.parametrize(
    ("model", "beside"), [("localise", "accuracy"), ("segment", "pixel_accuracy")]
)
def test_the_defaults_reach_the_floor(
    warm: Runner, tmp_path: Path, model: str, beside: str
) -> None:
    result = warm.result(trial_of(spec_of(model), tmp_path / "scratch"))
    assert result.metrics["test_iou"] >= 0.7, result.metrics
    assert result.metrics[f"test_{beside}"] >= 0.9, result.metrics
    assert result.metrics["best_epoch"] >= 1 and "val_iou" in result.metrics


@pytest.mark.parametrize("model", SMALL)
def test_resumed_it_ends_with_the_bits_of_an_uninterrupted_run(
    warm: Runner, tmp_path: Path, model: str
) -> None:
    whole = warm.result(trial_of(small(model), tmp_path / "whole"))
    trial = trial_of(small(model), tmp_path / "before")
    # Asked before it begins, it pauses after its first epoch.
    warm.send(protocol.Run(trials=(trial,)))
    warm.send(protocol.Pause(trial=trial.trial, fence=trial.fence))
    messages = warm.until(lambda message: isinstance(message, protocol.Idle))[:-1]
    assert isinstance(messages[-1], protocol.Paused)
    (saved,) = of_type(messages, protocol.Checkpoint)
    assert saved.epoch == 1
    with runner(tmp_path / "home", "--light") as another:
        (tmp_path / "after").mkdir()
        (tmp_path / "before" / saved.file).rename(tmp_path / "after" / saved.file)
        resumed = another.result(trial_of(small(model), tmp_path / "after", fence=2, resume=saved))
    assert resumed.summary["resumed_at_epoch"] == 1
    assert_same(resumed, whole)


@pytest.mark.parametrize("model", SMALL)
def test_keras_own_fit_ends_with_the_same_bits(warm: Runner, tmp_path: Path, model: str) -> None:
    by_loop = warm.result(trial_of(small(model), tmp_path / "loop"))
    by_fit = warm.result(trial_of(small(model, engine="fit"), tmp_path / "fit"))
    assert_same(by_loop, by_fit)


@pytest.mark.parametrize("model", SMALL)
def test_a_warm_runner_gives_the_bits_of_a_fresh_one(
    warm: Runner, tmp_path: Path, model: str
) -> None:
    # The same pictures for another task must not be taken for these.
    other = next(name for name in SMALL if name != model)
    warm.result(trial_of(small(other), tmp_path / "other"))
    in_turn = warm.result(trial_of(small(model, seed=3), tmp_path / "in_turn"))
    with runner(tmp_path / "home", "--light") as fresh:
        alone = fresh.result(trial_of(small(model, seed=3), tmp_path / "alone"))
    assert_same(in_turn, alone)


def assert_same(one: protocol.Result, two: protocol.Result) -> None:
    for key in ("weights_sha256", "best_weights_sha256"):
        assert one.summary[key] == two.summary[key], key
    for name in ("test_iou", "test_loss", "val_iou", "val_loss", "best_epoch", "epochs_run"):
        assert one.metrics[name] == two.metrics[name], name
