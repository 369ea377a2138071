"""Begun weights and frozen layers in a real runner."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import transfer
from tests.lab.transfer import BASE, HIGH, LOW, digest_of_base, trained
from tests.support.runners import Runner, of_type, runner, trial_of
from worker import protocol

Begun = tuple[Runner, Path, protocol.Result]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun]:
    """A warm runner, and the best checkpoint and result of a short run on 0 to 4."""
    folder = tmp_path_factory.mktemp("transfer")
    with runner(folder / "home", "--light") as running:
        result, best = trained(running, trial_of({**LOW, "epochs": 3}, folder / "low"))
        yield running, best, result


def high(**changes: Any) -> dict[str, Any]:
    return {**HIGH, "epochs": 2, **changes}


def frozen(**changes: Any) -> dict[str, Any]:
    return high(freeze=BASE, fresh=["head"], **changes)


def failure(running: Runner, *arguments: Any, **more: Any) -> str:
    answer = running.run(trial_of(*arguments, **more))[-1]
    assert isinstance(answer, protocol.Failed), answer
    assert answer.reason_kind == "user_error"
    return answer.reason


def test_it_works(begun: Begun, tmp_path: Path) -> None:
    running, best, low = begun
    result, after = trained(running, trial_of(frozen(), tmp_path, origin=best))
    assert digest_of_base(best) == digest_of_base(after), "a frozen layer has moved"
    layers = result.summary["layers"]
    assert layers["taken"] == ["base_conv1", "base_norm", "base_conv2"]
    assert (layers["fresh"], layers["frozen"]) == (["head"], BASE)
    assert result.summary["parameter_count"] == 128 * 5 + 5
    assert low.summary["layers"]["taken"] == [] and low.summary["parameter_count"] > 5000


def test_the_lessons_figures() -> None:
    found = transfer.figures(quick=True)
    assert set(found) == set(transfer.FLOORS)
    assert all(figure["ok"] for figure in found.values()), found


def test_a_warm_runner_gives_the_bits_of_a_fresh_one(begun: Begun, tmp_path: Path) -> None:
    running, best, _ = begun
    specs: list[tuple[dict[str, Any], Path | None]] = [
        (frozen(), best), (high(freeze=BASE[:1]), None), (high(), best), (frozen(), best),
    ]  # fmt: skip
    warm = [
        running.result(trial_of(spec, tmp_path / f"warm{number}", origin=origin)).summary
        for number, (spec, origin) in enumerate(specs)
    ]
    with runner(tmp_path / "home", "--light") as cold:
        fresh = cold.result(trial_of(frozen(), tmp_path / "cold", origin=best)).summary
    assert warm[0] == warm[3] == fresh
    assert len({summary["weights_sha256"] for summary in warm}) == 3


def test_the_engines_agree(begun: Begun, tmp_path: Path) -> None:
    running, best, _ = begun
    by = {
        engine: running.result(trial_of(frozen(engine=engine), tmp_path / engine, origin=best))
        for engine in ("loop", "fit")
    }
    assert by["loop"].summary == by["fit"].summary


def test_a_resumed_run_does_not_begin_again(begun: Begun, tmp_path: Path) -> None:
    running, best, _ = begun
    spec = frozen(epochs=4)
    messages = running.run(trial_of(spec, tmp_path / "whole", origin=best))
    first = of_type(messages, protocol.Checkpoint)[1]
    scratch = tmp_path / "resumed"
    trial = trial_of(spec, scratch, resume=first, origin=best)
    (scratch / first.file).write_bytes((tmp_path / "whole" / first.file).read_bytes())
    resumed, whole = running.result(trial), messages[-1]
    assert isinstance(whole, protocol.Result)
    assert resumed.summary == {**whole.summary, "resumed_at_epoch": 2}


def test_a_head_of_another_size_begins_anew(begun: Begun, tmp_path: Path) -> None:
    running, best, _ = begun
    everything = high(dataset_parameters={"labels": "all"}, epochs=1)
    layers = running.result(trial_of(everything, tmp_path, origin=best)).summary["layers"]
    assert layers["fresh"] == ["head"] and "base_conv1" in layers["taken"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"parameters": {"filters": 8}}, "fresh: [base_conv1]"),
        ({"model": "lenet5"}, "nothing of that trial would be taken"),
        ({"freeze": ["base_conv3"]}, "no layer 'base_conv3'. It has base_conv1"),
        ({"fresh": ["haed"]}, "no layer 'haed'"),
        ({"freeze": [*BASE, "head"]}, "no layer is left"),
    ],
)
def test_what_does_not_fit_is_refused(
    begun: Begun, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    running, best, _ = begun
    assert words in failure(running, high(**changes), tmp_path, origin=best)


def test_a_file_that_is_not_what_was_pinned_is_refused(begun: Begun, tmp_path: Path) -> None:
    running, best, _ = begun
    trial = trial_of(frozen(), tmp_path, origin=best)
    (tmp_path / "origin.npz").write_bytes(best.read_bytes() + b" ")
    answer = running.run(trial)[-1]
    assert isinstance(answer, protocol.Failed) and "sha256" in answer.reason
