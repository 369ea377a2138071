"""The real runner process, handed several trials to be trained together."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.runners import Runner, of_type, points_of, runner, trial_of
from worker import protocol
from worker.protocol import FromRunner, TrialToRun

MLP: dict[str, Any] = {
    "kind": "train",
    "model": "mlp",
    "parameters": {"hidden": [16], "dropout": 0.2},
    "dataset": "digits",
    "optimizer": "sgd",
    "epochs": 4,
    "learning_rate": 0.1,
}
VARIED = (
    {"seed": 1},
    {"seed": 2, "learning_rate": 0.03},
    {
        "seed": 3, "learning_rate_decay": 0.5, "epochs": 2,
        "parameters": {"hidden": [16], "dropout": 0.5},
    },
)  # fmt: skip


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with runner(tmp_path_factory.mktemp("warm")) as running:
        yield running


def trials(folder: Path, *varied: Mapping[str, Any]) -> list[TrialToRun]:
    return [
        trial_of({**MLP, **one}, folder / str(number), trial=number)
        for number, one in enumerate(varied, start=1)
    ]


def run_together(
    warm: Runner, group: list[TrialToRun], *wishes: tuple[int, type[Any]]
) -> dict[int, list[FromRunner]]:
    """All messages of each trial, some of which are asked things before they begin."""
    warm.send(protocol.Run(trials=tuple(group), together=True))
    for number, wish in wishes:
        warm.send(wish(trial=number, fence=1))
    seen = warm.until(lambda message: isinstance(message, protocol.Idle))[:-1]
    own = [message for message in seen if hasattr(message, "trial")]
    return {one.trial: [m for m in own if m.trial == one.trial] for one in group}


def log_of(trial: TrialToRun) -> str:
    return Path(trial.log).read_text(encoding="utf-8")


def losses_of(messages: list[FromRunner]) -> list[float | None]:
    shown = [message.values for message in points_of(messages)]
    return [values["val_loss"] for values in shown if "val_loss" in values]


def assert_same_curves(ours: list[FromRunner], theirs: list[FromRunner]) -> None:
    """The same points at the same steps, those within an epoch too."""
    for one, other in zip(points_of(ours), points_of(theirs), strict=True):
        assert (one.step, one.epoch, one.values.keys()) == (
            other.step, other.epoch, other.values.keys(),
        )  # fmt: skip
        assert one.values == pytest.approx(other.values, abs=1e-4)


def assert_measured_before_it_is_saved(messages: list[FromRunner]) -> None:
    """A slot stores with a checkpoint what was measured before it; no resumed run does so again."""
    for place, message in enumerate(messages):
        if isinstance(message, protocol.Checkpoint):
            epochs = [one.epoch for one in points_of(messages[:place]) if "val_loss" in one.values]
            assert epochs == list(range(1, message.epoch + 1))


def test_it_works(warm: Runner, tmp_path: Path) -> None:
    """Each has the curve, the checkpoints and the result that it would have alone."""
    found = run_together(warm, trials(tmp_path / "together", *VARIED))
    for number, trial in enumerate(trials(tmp_path / "alone", *VARIED), start=1):
        alone = warm.run(trial)
        ours, theirs = found[number][-1], alone[-1]
        assert isinstance(ours, protocol.Result) and isinstance(theirs, protocol.Result)
        for name, value in theirs.metrics.items():
            if name not in ("train_seconds", "images_per_second"):
                assert ours.metrics[name] == pytest.approx(value, abs=1e-4), name
        assert ours.summary.keys() == theirs.summary.keys()
        assert ours.summary["layers"] == theirs.summary["layers"]
        assert ours.ended_early == theirs.ended_early
        assert losses_of(found[number]) == pytest.approx(losses_of(alone), abs=1e-4)
        assert_same_curves(found[number], alone)
        assert_measured_before_it_is_saved(found[number])
        assert_measured_before_it_is_saved(alone)
        for form in (protocol.Checkpoint, protocol.Artifact, protocol.Started):
            assert len(of_type(found[number], form)) == len(of_type(alone, form))
        started = of_type(found[number], protocol.Started)[0]
        assert started.environment["trained_together"] == 3
        assert "epoch 2/" in log_of(trial)


def test_one_that_diverges_and_one_that_is_cancelled(warm: Runner, tmp_path: Path) -> None:
    """The others' results have the bits that they have beside healthy neighbours."""
    # One that does not die at a high rate.
    dense = {"type": "Dense", "units": 16, "activation": "leaky_relu"}
    layers = {"layers": [{"type": "Flatten"}, dense, dense]}
    deep = {"model": "layers", "parameters": layers, "learning_rate": 0.03}
    varied: list[dict[str, Any]] = [{**deep, "seed": seed} for seed in range(1, 6)]
    healthy = run_together(warm, trials(tmp_path / "a", *varied))
    varied[1]["learning_rate"] = 100
    found = run_together(warm, trials(tmp_path / "b", *varied), (4, protocol.Cancel))
    failed = found[2][-1]
    assert isinstance(failed, protocol.Failed)
    assert failed.reason_kind == "diverged" and "lower learning rate" in failed.reason
    assert isinstance(found[4][-1], protocol.Cancelled)
    for number in (1, 3, 5):
        ours, theirs = found[number][-1], healthy[number][-1]
        assert isinstance(ours, protocol.Result) and isinstance(theirs, protocol.Result)
        assert ours.summary["weights_sha256"] == theirs.summary["weights_sha256"]


def test_one_is_paused_and_goes_on_alone(warm: Runner, tmp_path: Path) -> None:
    group = trials(tmp_path, *VARIED[:2])
    found = run_together(warm, group, (2, protocol.Pause))
    paused = found[2][-1]
    assert isinstance(paused, protocol.Paused) and paused.epoch == 1
    assert isinstance(found[1][-1], protocol.Result)
    checkpoint = of_type(found[2], protocol.Checkpoint)[-1]
    (tmp_path / "on").mkdir()
    shutil.copyfile(tmp_path / "2" / checkpoint.file, tmp_path / "on" / checkpoint.file)
    went_on = warm.result(
        trial_of({**MLP, **VARIED[1]}, tmp_path / "on", trial=2, fence=2, resume=checkpoint)
    )
    alone = warm.result(trial_of({**MLP, **VARIED[1]}, tmp_path / "alone", trial=3))
    assert went_on.metrics["epochs_run"] == 4
    assert went_on.metrics["test_loss"] == pytest.approx(alone.metrics["test_loss"], abs=1e-4)


def test_all_are_paused_and_go_on_together(warm: Runner, tmp_path: Path) -> None:
    """To the bits of a group that was never stopped."""
    through = run_together(warm, trials(tmp_path / "through", *VARIED[:2]))
    group = trials(tmp_path, *VARIED[:2])
    found = run_together(warm, group, (1, protocol.Pause), (2, protocol.Pause))
    again = []
    for number in (1, 2):
        checkpoint = of_type(found[number], protocol.Checkpoint)[-1]
        scratch = tmp_path / f"on-{number}"
        scratch.mkdir()
        shutil.copyfile(tmp_path / str(number) / checkpoint.file, scratch / checkpoint.file)
        spec = {**MLP, **VARIED[number - 1]}
        again.append(trial_of(spec, scratch, trial=number, resume=checkpoint))
    ended = run_together(warm, again)
    for number in (1, 2):
        ours, theirs = ended[number][-1], through[number][-1]
        assert isinstance(ours, protocol.Result) and isinstance(theirs, protocol.Result)
        assert ours.summary["weights_sha256"] == theirs.summary["weights_sha256"]
        assert ours.summary["resumed_at_epoch"] == 1


@pytest.mark.parametrize(
    ("varied", "reason"),
    [
        ({"parameters": {"hidden": [8], "dropout": 0.2}}, "not of one architecture"),
        ({"batch_size": 16}, "not of one architecture"),
        ({"optimizer": "adam"}, "not of one architecture"),
    ],
)
def test_what_is_not_alike_is_given_back_but_for_one(
    warm: Runner, tmp_path: Path, varied: dict[str, Any], reason: str
) -> None:
    group = trials(tmp_path, {"epochs": 1}, {"epochs": 1, **varied})
    found = run_together(warm, group)
    apart, *_, result = found[1]
    assert isinstance(apart, protocol.Apart) and reason in apart.reason and not apart.for_good
    assert isinstance(result, protocol.Result)
    assert found[2] == []
    assert all(reason in log_of(trial) for trial in group)


def test_an_engine_that_trains_one_at_a_time(warm: Runner, tmp_path: Path) -> None:
    group = trials(tmp_path, *[{"epochs": 1, "engine": "fit", "seed": seed} for seed in (1, 2)])
    found = run_together(warm, group)
    apart, *_, result = found[1]
    assert isinstance(apart, protocol.Apart) and apart.for_good
    assert "engine: fit trains one trial at a time" in apart.reason
    assert isinstance(result, protocol.Result) and found[2] == []
