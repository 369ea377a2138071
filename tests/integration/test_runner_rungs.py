"""The real runner process on a trial that halts at rungs: not a bit may come out otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.runners import Runner, of_type, points_of, runner, trial_of
from worker import protocol
from worker.protocol import FromRunner

EPOCHS = 6
# Its rates fall by a factor each epoch and its checkpoints are due at 3 and 6: rungs must change
# neither. The best epoch is one with a checkpoint of the plan.
MLP: dict[str, Any] = {
    "kind": "train",
    "model": "mlp",
    "parameters": {"hidden": [16, 16], "dropout": 0.3},
    "dataset": "spirals",
    "dataset_parameters": {"examples": 300},
    "epochs": EPOCHS,
    "checkpoint_every_epochs": 3,
    "learning_rate_decay": 0.8,
    "early_stopping_patience": 5,
}
# The rates of these follow the epochs of the spec, and fit counts epochs by itself.
KINDS: dict[str, dict[str, Any]] = {
    "adam": {**MLP, "optimizer": "adam", "learning_rate": 0.003},
    "momentum": {**MLP, "optimizer": "momentum", "learning_rate": 0.1},
    "fit": {**MLP, "engine": "fit"},
    "program": {
        "kind": "train", "model": "ten_lines", "dataset": "xor", "epochs": EPOCHS,
        "checkpoint_every_epochs": 3, "learning_rate_decay": 0.8,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with runner(tmp_path_factory.mktemp("warm")) as running:
        yield running


def resume_from(messages: list[FromRunner], before: Path, scratch: Path) -> protocol.Checkpoint:
    """What a slot does: the newest checkpoint into the scratch folder of the next attempt."""
    newest: protocol.Checkpoint = of_type(messages, protocol.Checkpoint)[-1]
    scratch.mkdir()
    file = f"resume-{newest.epoch}.npz"
    (scratch / file).write_bytes((before / newest.file).read_bytes())
    return newest.model_copy(update={"file": file})


def rates_of(messages: list[FromRunner]) -> list[float | None]:
    return [
        message.values["learning_rate"]
        for message in points_of(messages)
        if "learning_rate" in message.values
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_promoted_twice_it_ends_with_the_bits_of_one_never_stopped(
    warm: Runner, tmp_path: Path, kind: str
) -> None:
    spec = KINDS[kind]
    straight = warm.run(trial_of(spec, tmp_path / "whole"))
    whole = straight[-1]
    assert isinstance(whole, protocol.Result)
    messages: list[FromRunner] = []
    told: list[FromRunner] = []
    resume, before = None, tmp_path
    for fence, halts_at in enumerate((1, 4, None), 1):
        scratch = tmp_path / f"rung{fence}"
        if messages:
            resume = resume_from(messages, before, scratch)
        trial = trial_of(spec, scratch, fence=fence, resume=resume)
        messages = warm.run(trial.model_copy(update={"halts_at": halts_at}))
        told += messages
        before = scratch
        if halts_at is not None:
            assert messages[-1] == protocol.Paused(trial=1, fence=fence, epoch=halts_at)
            assert of_type(messages, protocol.Started)[0].total == EPOCHS
    result = messages[-1]
    assert isinstance(result, protocol.Result)
    for key in ("weights_sha256", "best_weights_sha256"):
        assert whole.summary[key] == result.summary[key], key
    for name in whole.metrics.keys() - {"train_seconds", "images_per_second"}:
        assert whole.metrics[name] == result.metrics[name], name
    assert rates_of(told) == rates_of(straight)
    assert result.summary["resumed_at_epoch"] == 4


def test_one_that_was_at_its_rung_already_halts_at_once(warm: Runner, tmp_path: Path) -> None:
    """Its worker was lost between the checkpoint and the pause."""
    first = warm.run(trial_of(MLP, tmp_path / "a").model_copy(update={"halts_at": 2}))
    resume = resume_from(first, tmp_path / "a", tmp_path / "b")
    again = trial_of(MLP, tmp_path / "b", fence=2, resume=resume)
    messages = warm.run(again.model_copy(update={"halts_at": 2}))
    assert messages[-1] == protocol.Paused(trial=1, fence=2, epoch=2)
    assert not of_type(messages, protocol.Checkpoint)
    assert not points_of(messages)


def test_who_stops_it_before_its_rung_gets_a_result(warm: Runner, tmp_path: Path) -> None:
    trial = trial_of(MLP, tmp_path / "stopped").model_copy(update={"halts_at": 3})
    warm.send(protocol.Run(trials=(trial,)))
    warm.send(protocol.Stop(trial=trial.trial, fence=trial.fence))
    messages = warm.until(lambda message: isinstance(message, protocol.Idle))[:-1]
    answer = messages[-1]
    assert isinstance(answer, protocol.Result)
    assert answer.ended_early
    assert answer.metrics["epochs_run"] < 3


def test_a_rung_at_the_last_epoch_is_none(warm: Runner, tmp_path: Path) -> None:
    trial = trial_of(MLP, tmp_path / "top").model_copy(update={"halts_at": EPOCHS})
    assert isinstance(warm.run(trial)[-1], protocol.Result)
