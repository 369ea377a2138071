"""What every model of the catalog must keep to as whole trials, whatever trains it.

All goes by what a runner process is told and what it answers, so it holds for networks of any task
and for programs that train themselves alike. Data are small; `QUICK` makes a costly model small.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from labpool.catalog import ModelEntry
from tests.support.conformance import spec_of, suiting
from tests.support.runners import CATALOG, Runner, of_type, runner, trial_of
from worker.protocol import Checkpoint, Result

ALL = pytest.mark.parametrize("entry", CATALOG.models.values(), ids=CATALOG.models.keys())
# These say how fast it went, not what came of it.
TIMES = {"train_seconds", "images_per_second"}


class Runners(NamedTuple):
    """Two processes: what the first has warm the second has not."""

    first: Runner
    second: Runner


@pytest.fixture(scope="module")
def runners(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runners]:
    home = tmp_path_factory.mktemp("runners")
    with (
        runner(home / "first", "--light") as first,
        runner(home / "second", "--light") as second,
    ):
        yield Runners(first, second)


def what_came_of_it(result: Result) -> dict[str, Any]:
    metrics = {name: value for name, value in result.metrics.items() if name not in TIMES}
    return {**metrics, **{k: v for k, v in result.summary.items() if k.endswith("sha256")}}


@ALL
def test_a_trial_is_repeated_and_resumed_to_the_same_bits(
    entry: ModelEntry, runners: Runners, tmp_path: Path
) -> None:
    spec = spec_of(entry, suiting(entry)[0], seed=1)
    whole = runners.first.run(trial_of(spec, tmp_path / "whole", trial=1))
    result = whole[-1]
    assert isinstance(result, Result), result
    assert all(math.isfinite(value) for value in result.metrics.values())
    judged = {f"test_{name}" for name in entry.judging.metrics}
    assert judged | {f"val_{entry.judging.selects}", "best_epoch"} <= result.metrics.keys()
    assert result.metrics["epochs_run"] == 2

    again = runners.second.result(trial_of(spec, tmp_path / "again", trial=2))
    assert what_came_of_it(again) == what_came_of_it(result)

    halfway, *_ = of_type(whole, Checkpoint)
    assert halfway.epoch == 1
    # From where the first left its checkpoint, in a process that did not write it.
    resumed = trial_of(spec, tmp_path / "whole", trial=3, fence=2, resume=halfway)
    rest = runners.second.result(resumed)
    assert what_came_of_it(rest) == what_came_of_it(result)


@ALL
def test_another_seed_ends_otherwise(entry: ModelEntry, runners: Runners, tmp_path: Path) -> None:
    spec = spec_of(entry, suiting(entry)[0], epochs=1)
    digests = {
        runners.first.result(
            trial_of({**spec, "seed": seed}, tmp_path / str(seed), trial=10 + seed)
        ).summary["weights_sha256"]
        for seed in (1, 2)
    }
    assert len(digests) == 2
