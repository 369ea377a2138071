"""The real runner process: what it draws, and what it says of its mistakes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labpool.catalog import Catalog
from labpool.parameters import fill
from tests.faults import frame
from tests.lab.gan import BOUNDS, figures
from tests.support.runners import CATALOG, Runner, of_type, reference_to, runner, trial_of
from worker import protocol
from worker.protocol import FromRunner, TrialToRun
from worker.runner import backend, checkpoints, data, loading

GAN: dict[str, Any] = {
    "kind": "train",
    "model": "gan",
    "parameters": {"filters": 4, "noise": 4},
    "dataset": "digits",
    "epochs": 6,
    "seed": 3,
    "checkpoint_every_epochs": 2,
}
MLP: dict[str, Any] = {"kind": "train", "model": "mlp", "dataset": "digits", "epochs": 4}


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with runner(tmp_path_factory.mktemp("warm"), "--light") as running:
        yield running


def pictures_of(messages: list[FromRunner]) -> dict[str, str]:
    """The digest of each picture that was drawn, by name."""
    found = [m for m in of_type(messages, protocol.Artifact) if m.name.startswith("samples-")]
    assert len(found) == len({m.name for m in found})
    return {m.name: m.sha256 for m in found}


def told(trial: TrialToRun, form: type[Any]) -> Any:
    return form(trial=trial.trial, fence=trial.fence)


def asked(warm: Runner, trial: TrialToRun, wish: type[Any]) -> list[FromRunner]:
    """Run a trial that is asked for something before it begins."""
    warm.send(protocol.Run(trials=(trial,)))
    warm.send(told(trial, wish))
    return warm.until(lambda message: isinstance(message, protocol.Idle))[:-1]


def names(*epochs: int) -> list[str]:
    return [f"samples-{epoch:06d}.png" for epoch in epochs]


def test_it_works(warm: Runner, tmp_path: Path) -> None:
    messages = warm.run(trial_of(GAN, tmp_path / "whole"))
    assert list(pictures_of(messages)) == names(1, 5, 6)
    again = warm.run(trial_of(GAN, tmp_path / "again"))
    assert pictures_of(again) == pictures_of(messages)
    other = pictures_of(warm.run(trial_of({**GAN, "seed": 4}, tmp_path / "other")))
    assert not set(other.values()) & set(pictures_of(messages).values())


def test_a_picture_is_announced_before_the_checkpoint_of_its_epoch(
    warm: Runner, tmp_path: Path
) -> None:
    messages = warm.run(trial_of(GAN, tmp_path / "a"))
    order = [
        m.file if isinstance(m, protocol.Artifact) else m.epoch
        for m in messages
        if isinstance(m, protocol.Artifact | protocol.Checkpoint)
    ]
    assert order[:6] == [names(1)[0], 2, 4, names(5)[0], names(6)[0], 6]


def test_resumed_it_draws_what_was_left_to_draw(warm: Runner, tmp_path: Path) -> None:
    whole = warm.run(trial_of(GAN, tmp_path / "whole"))
    first = asked(warm, trial_of(GAN, tmp_path / "before"), protocol.Pause)
    assert isinstance(first[-1], protocol.Paused) and first[-1].epoch == 1
    [point] = of_type(first, protocol.Checkpoint)
    (tmp_path / "after").mkdir()
    (tmp_path / "after" / "resume.npz").write_bytes((tmp_path / "before" / point.file).read_bytes())
    resume = point.model_copy(update={"file": "resume.npz"})
    rest = warm.run(trial_of(GAN, tmp_path / "after", fence=2, resume=resume))

    assert list(pictures_of(first)) == names(1) and list(pictures_of(rest)) == names(5, 6)
    assert pictures_of(first) | pictures_of(rest) == pictures_of(whole)
    ends = [messages[-1].summary for messages in (whole, rest)]  # type: ignore[union-attr]
    for key in ("weights_sha256", "best_weights_sha256", "examined"):
        assert ends[0][key] == ends[1][key], key


def test_drawing_changes_nothing_of_a_run(
    warm: Runner, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("catalog") / "models" / "gan"
    folder.mkdir(parents=True)
    source = CATALOG.models["gan"].path
    code = (source / "model.py").read_text().replace("def samples(", "def other(")
    (folder / "model.py").write_text(code)
    toml = (source / "model.toml").read_text().replace("[pictures]\nevery_epochs = 5\n", "")
    (folder / "model.toml").write_text(toml)
    (folder.parent.parent / "datasets").symlink_to(CATALOG.datasets["digits"].path.parent)
    silent = Catalog.load([folder.parent.parent])
    messages = warm.run(trial_of(GAN, tmp_path / "silent", catalog=silent))
    drawing = warm.result(trial_of(GAN, tmp_path / "drawing"))
    assert pictures_of(messages) == {}
    assert messages[-1].summary["weights_sha256"] == drawing.summary["weights_sha256"]  # type: ignore[union-attr]


def test_a_stopped_run_has_a_picture_of_its_end(warm: Runner, tmp_path: Path) -> None:
    spec = {**GAN, "epochs": 50}
    trial = trial_of(spec, tmp_path / "stopped")
    warm.send(protocol.Run(trials=(trial,)))
    seen = warm.until(lambda m: isinstance(m, protocol.Checkpoint) and m.epoch == 2)
    warm.send(told(trial, protocol.Stop))
    seen += warm.until(lambda message: isinstance(message, protocol.Idle))[:-1]
    result = seen[-1]
    assert isinstance(result, protocol.Result) and result.ended_early
    assert names(int(result.metrics["epochs_run"]))[0] in pictures_of(seen)


def test_the_matrix_is_of_the_best_weights_and_agrees_with_the_accuracy(
    warm: Runner, tmp_path: Path
) -> None:
    # A rate so high that the last epoch is not the best one.
    spec = {**MLP, "learning_rate": 0.1, "learning_rate_decay": 1.0, "epochs": 8, "seed": 3}
    trial = trial_of(spec, tmp_path / "a")
    messages = warm.run(trial)
    result = messages[-1]
    assert isinstance(result, protocol.Result)
    best = int(result.metrics["best_epoch"])
    assert best < 8, "choose another seed"
    examined: Any = result.summary["examined"]
    matrix = np.array(examined["confusion"])
    assert np.trace(matrix) / matrix.sum() == result.metrics["test_accuracy"]
    assert examined["wrong"] == matrix.sum() - np.trace(matrix)

    [point] = [m for m in of_type(messages, protocol.Checkpoint) if m.epoch == best]
    weights = checkpoints.load(tmp_path / "a" / point.file, point.sha256).model
    assert np.array_equal(matrix, by_hand(weights))
    file = json.loads((tmp_path / "a" / "confusion.json").read_text())
    assert file["matrix"] == matrix.tolist() and file["best_epoch"] == best


def by_hand(weights: list[Any]) -> Any:
    """The test split's confusion matrix, worked out apart from the runner."""
    backend.prepare(1)
    entry, digits = CATALOG.models["mlp"], CATALOG.datasets["digits"]
    code = loading.load(reference_to(entry), entry.path / "model.py", "build")
    module = loading.load(reference_to(digits), digits.path.with_suffix(".py"), "load")
    test = data.split(module.load({"labels": "all"}), digits.splits).test
    shape = data.shape_of(test.x, "image", 10)
    model = code.build(fill(dict(entry.parameters), {}, of="mlp")[0], shape)
    for variable, value in zip(model.variables, weights, strict=True):
        variable.assign(value)
    given = np.asarray(model(test.x, training=False)).argmax(axis=1)
    return np.array([[((test.y == t) & (given == g)).sum() for g in range(10)] for t in range(10)])


def test_numbers_have_no_sheet_of_pictures(warm: Runner, tmp_path: Path) -> None:
    messages = warm.run(trial_of({**MLP, "dataset": "spirals"}, tmp_path / "a"))
    assert [m.name for m in of_type(messages, protocol.Artifact)] == [
        "confusion.json",
        "mistakes.npz",
    ]


def test_the_gan_draws_every_digit() -> None:
    found = figures(quick=True)
    assert list(frame.out_of_bounds(found, BOUNDS)) == [], found
