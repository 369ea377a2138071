"""The real runner process, told to pause, to go on and to stop: not a bit may come out otherwise.

Each optimizer that a spec offers goes through the same story on a model with dropout.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.runners import Runner, of_type, points_of, runner, trial_of
from worker import protocol
from worker.protocol import FromRunner, TrialToRun
from worker.runner.optimizers import RULES

EPOCHS = 6
# Checkpoints at 3 and 6, so that a pause after epoch 2 or 4 needs one of its own.
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
RATES = {"sgd": 0.1, "momentum": 0.1, "rmsprop": 0.003, "adam": 0.003, "adadelta": 1.0}
SAME = ("test_accuracy", "test_loss", "val_accuracy", "val_loss", "best_epoch", "epochs_run")


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with runner(tmp_path_factory.mktemp("warm")) as running:
        yield running


def start(warm: Runner, trial: TrialToRun) -> None:
    """Hand a trial over. The runner is held back at each checkpoint until `keep`."""
    warm.send(protocol.Run(trials=(trial,)))


def epochs_of(messages: list[FromRunner]) -> list[float | None]:
    """The epochs at whose ends something was measured."""
    return [m.epoch for m in points_of(messages) if "val_loss" in m.values]


def told(trial: TrialToRun, form: type[Any], **fields: Any) -> Any:
    return form(trial=trial.trial, fence=trial.fence, **fields)


def until_answered(warm: Runner) -> list[FromRunner]:
    return warm.until(lambda message: isinstance(message, protocol.Idle))[:-1]


def run_with(warm: Runner, trial: TrialToRun, *wishes: type[Any]) -> list[FromRunner]:
    """Run a trial that is asked these things before it begins; all its messages."""
    warm.send(protocol.Run(trials=(trial,)))
    for wish in wishes:
        warm.send(told(trial, wish))
    return until_answered(warm)


def pass_on(messages: list[FromRunner], scratch: Path) -> protocol.Checkpoint:
    """What a slot does: the newest checkpoint into the scratch folder of the next attempt."""
    newest: protocol.Checkpoint = of_type(messages, protocol.Checkpoint)[-1]
    scratch.mkdir()
    file = f"resume-{newest.epoch}.npz"
    (scratch / file).write_bytes(
        (scratch.parent / f"{scratch.name}-before" / newest.file).read_bytes()
    )
    return newest.model_copy(update={"file": file})


def assert_same(one: protocol.Result, two: protocol.Result) -> None:
    for key in ("weights_sha256", "best_weights_sha256"):
        assert one.summary[key] == two.summary[key], key
    for name in SAME:
        assert one.metrics[name] == two.metrics[name], name


@pytest.mark.parametrize("optimizer", RULES)
def test_paused_and_resumed_it_ends_with_the_same_bits(
    warm: Runner, tmp_path: Path, optimizer: str
) -> None:
    spec = {**MLP, "optimizer": optimizer, "learning_rate": RATES[optimizer]}
    whole = warm.result(trial_of(spec, tmp_path / "whole"))

    # Asked before it begins, so it pauses after its first epoch, where no checkpoint is due.
    first = run_with(warm, trial_of(spec, tmp_path / "second-before"), protocol.Pause)
    assert first[-1] == protocol.Paused(trial=1, fence=1, epoch=1)
    [saved] = of_type(first, protocol.Checkpoint)
    assert (saved.epoch, saved.best) == (1, False), "it must not compete for the best"
    assert of_type(first, protocol.Progress)[-1].done == 1

    resume = pass_on(first, tmp_path / "second")
    trial = trial_of(spec, tmp_path / "second", fence=2, resume=resume)
    start(warm, trial)
    # And again in the middle, at whichever epoch it then is.
    seen = warm.until(lambda m: isinstance(m, protocol.Checkpoint) and m.epoch == 3)
    warm.send(told(trial, protocol.Pause))
    seen += until_answered(warm)
    if isinstance(seen[-1], protocol.Paused):
        (tmp_path / "second").rename(tmp_path / "third-before")
        resume = pass_on(seen, tmp_path / "third")
        trial = trial_of(spec, tmp_path / "third", fence=3, resume=resume)
        last = warm.run(trial)
        assert epochs_of(last) == list(range(seen[-1].epoch + 1, EPOCHS + 1))
    else:
        last = seen
    answer = last[-1]
    assert isinstance(answer, protocol.Result)
    assert_same(whole, answer)


def test_a_pause_that_is_taken_back_changes_nothing(warm: Runner, tmp_path: Path) -> None:
    whole = warm.result(trial_of(MLP, tmp_path / "whole"))
    messages = run_with(
        warm, trial_of(MLP, tmp_path / "asked"), protocol.Pause, protocol.Pause, protocol.GoOn
    )
    # It may have come too late only for a runner that was through its first epoch by then.
    answer = messages[-1]
    assert isinstance(answer, protocol.Result), answer
    assert [m.epoch for m in of_type(messages, protocol.Checkpoint)] == [3, 6]
    assert_same(whole, answer)


@pytest.mark.parametrize("every", [1, 4])
def test_stopped_it_equals_a_run_of_that_many_epochs(
    warm: Runner, tmp_path: Path, every: int
) -> None:
    spec = {**MLP, "checkpoint_every_epochs": every}
    trial = trial_of({**spec, "epochs": 3000, "early_stopping_patience": None}, tmp_path / "long")
    start(warm, trial)
    seen = warm.until(lambda message: isinstance(message, protocol.Checkpoint))
    warm.send(told(trial, protocol.Stop))
    seen += until_answered(warm)
    stopped = seen[-1]
    assert isinstance(stopped, protocol.Result)
    ran = int(stopped.metrics["epochs_run"])
    assert stopped.ended_early and stopped.summary["stopped_by_user"] and every <= ran < 3000
    assert of_type(seen, protocol.Checkpoint)[-1].epoch == ran
    assert of_type(seen, protocol.Progress)[-1].done == ran
    files = [m.file for m in of_type(seen, protocol.Checkpoint)]
    assert len(files) == len(set(files)), "a slot takes no file twice"
    whole = warm.result(
        trial_of({**spec, "epochs": ran, "early_stopping_patience": None}, tmp_path / "whole")
    )
    assert_same(whole, stopped)


def test_stopped_while_paused_it_trains_no_further(warm: Runner, tmp_path: Path) -> None:
    first = run_with(warm, trial_of(MLP, tmp_path / "next-before"), protocol.Pause)
    trial = trial_of(MLP, tmp_path / "next", fence=2, resume=pass_on(first, tmp_path / "next"))
    messages = run_with(warm, trial, protocol.Stop)
    stopped = messages[-1]
    assert isinstance(stopped, protocol.Result) and stopped.ended_early
    assert epochs_of(messages) == []
    [saved] = of_type(messages, protocol.Checkpoint)
    assert (saved.epoch, saved.best) == (1, True), "it is the last epoch now, and the best"
    assert_same(warm.result(trial_of({**MLP, "epochs": 1}, tmp_path / "whole")), stopped)


def test_paused_again_before_its_first_epoch_it_saves_nothing_new(
    warm: Runner, tmp_path: Path
) -> None:
    first = run_with(warm, trial_of(MLP, tmp_path / "next-before"), protocol.Pause)
    trial = trial_of(MLP, tmp_path / "next", fence=2, resume=pass_on(first, tmp_path / "next"))
    messages = run_with(warm, trial, protocol.Pause)
    assert messages[-1] == protocol.Paused(trial=1, fence=2, epoch=1)
    assert of_type(messages, protocol.Checkpoint) == []


def test_a_pause_at_the_end_is_too_late(warm: Runner, tmp_path: Path) -> None:
    messages = run_with(warm, trial_of({**MLP, "epochs": 1}, tmp_path), protocol.Pause)
    answer = messages[-1]
    assert isinstance(answer, protocol.Result) and not answer.ended_early


def test_no_epoch_ends_while_the_checkpoint_before_is_not_kept(
    warm: Runner, tmp_path: Path
) -> None:
    spec = {**MLP, "checkpoint_every_epochs": 2}
    trial = trial_of(spec, tmp_path)
    warm.keeps = False
    try:
        start(warm, trial)
        # It tells that it is alive, and how far: within the epoch after the checkpoint.
        waiting = (protocol.Progress, 2.5)
        seen = warm.until(lambda m: isinstance(m, waiting[0]) and m.done > waiting[1])
        seen += warm.until(lambda message: isinstance(message, protocol.Progress))
        assert epochs_of(seen) == [1, 2]
        assert seen[-1].done < 3  # type: ignore[union-attr]
    finally:
        warm.keeps = True
        warm.send(told(trial, protocol.Kept, epoch=2))
    rest = until_answered(warm)
    assert epochs_of(rest) == [3, 4, 5, 6]
    assert isinstance(rest[-1], protocol.Result)


def test_a_cancel_ends_the_wait_for_a_checkpoint(warm: Runner, tmp_path: Path) -> None:
    trial = trial_of({**MLP, "checkpoint_every_epochs": 1}, tmp_path)
    warm.keeps = False
    try:
        start(warm, trial)
        warm.until(lambda message: isinstance(message, protocol.Checkpoint))
        warm.send(told(trial, protocol.Cancel))
        assert until_answered(warm)[-1] == protocol.Cancelled(trial=1, fence=1)
    finally:
        warm.keeps = True
