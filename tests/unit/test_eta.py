"""How much longer it takes: what the pages guess, and when they do not."""

from __future__ import annotations

from typing import Any

import pytest

from api.pages.eta import experiment_remaining_s, remaining_s, share_done
from api.pages.overview import best_of, overview_of
from db.reads.trials import TrialRow
from labpool.catalog import Catalog


def trial(number: int = 1, state: str = "running", **changes: Any) -> TrialRow:
    """A row of an experiment; only what the guesses look at is of interest."""
    values: dict[str, Any] = {
        "id": 100 + number, "number": number, "experiment_id": 1, "experiment_name": None,
        "owner_id": 1, "owner": "ada", "parent_id": None, "kind": "train", "state": state,
        "spec": {}, "varied": {}, "device": "any", "seed": 0, "code_name": "mlp",
        "code_digest": "0" * 64, "data_name": "digits", "data_digest": "0" * 64, "fence": 1,
        "losses": 0, "held": False, "rung": None, "halts_at": None, "at_rung": False,
        "wish": None, "cancel_requested": False, "ended_early": False,
        "reason_kind": None, "reason": None, "progress_done": 0.0, "progress_total": None,
        "progress_unit": None, "created_at": 0.0, "started_at": None, "finished_at": None,
        "seconds": None, "ran_on": None, "metrics": {}, "summary": {},
    }  # fmt: skip
    return TrialRow(**{**values, **changes})


def at_work(number: int, done: float, seconds: float, total: float = 10.0) -> TrialRow:
    return trial(number, progress_done=done, progress_total=total, seconds=seconds)


def ended(number: int, seconds: float, **metrics: float) -> TrialRow:
    return trial(number, "succeeded", seconds=seconds, metrics=metrics)


def test_what_is_paused_has_done_what_it_has_done() -> None:
    done = {"progress_done": 4.0, "progress_total": 10.0}
    assert share_done(trial(state="paused", **done)) == 0.4
    assert share_done(trial(state="queued", **done)) == 0.0
    assert remaining_s(trial(state="paused", seconds=5.0, **done)) is None


def test_it_works() -> None:
    assert remaining_s(at_work(1, done=2, seconds=30)) == pytest.approx(120)


@pytest.mark.parametrize(
    "row",
    [
        trial(state="queued"),
        trial(),
        at_work(1, done=0, seconds=30),
        at_work(1, done=2, seconds=0),
        trial(seconds=5.0, progress_done=3.0),
        trial(state="succeeded", seconds=5.0, progress_done=3.0, progress_total=3.0),
    ],
)
def test_without_a_pace_nothing_is_guessed(row: TrialRow) -> None:
    assert remaining_s(row) is None


def test_more_done_than_announced_is_no_negative_time() -> None:
    assert remaining_s(at_work(1, done=12, seconds=30)) == 0
    assert share_done(at_work(1, done=12, seconds=30)) == 1


def test_an_experiment_takes_as_long_as_its_rounds() -> None:
    running = [at_work(1, done=5, seconds=10), at_work(2, done=5, seconds=10)]
    waiting = [trial(number, "queued") for number in (3, 4, 5, 6)]
    # Two at a time, 20 s each: 10 s for those at work, then two rounds of 20 s.
    assert experiment_remaining_s([*running, *waiting]) == pytest.approx(50)


def test_an_experiment_goes_by_what_trials_took() -> None:
    rows = [ended(1, 100.0), ended(2, 300.0), at_work(3, done=5, seconds=10), trial(4, "queued")]
    assert experiment_remaining_s(rows) == pytest.approx(10 + 200)


def test_the_longest_trial_at_work_is_waited_for() -> None:
    rows = [at_work(1, done=1, seconds=100), at_work(2, done=9, seconds=90)]
    assert experiment_remaining_s(rows) == pytest.approx(900)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [ended(1, 10.0)],
        [ended(1, 10.0), trial(2, "queued")],
        [trial(1), trial(2, "queued")],
    ],
)
def test_an_experiment_without_a_pace_is_not_guessed(rows: list[TrialRow]) -> None:
    assert experiment_remaining_s(rows) is None


def test_the_best_trial_is_chosen_on_validation(catalog: Catalog) -> None:
    rows = [
        ended(1, 1.0, val_accuracy=0.9, test_accuracy=0.99),
        ended(2, 1.0, val_accuracy=0.95, test_accuracy=0.8),
        ended(3, 1.0, val_accuracy=0.95),
        trial(4, "failed", metrics={}),
    ]
    best = best_of(rows, catalog)
    assert best is not None
    assert (best.trial_id, best.metric, best.value) == (102, "val_accuracy", "0.9500")


def test_the_best_benchmark_is_the_quickest(catalog: Catalog) -> None:
    rows = [ended(1, 1.0, median_ms=3.0), ended(2, 1.0, median_ms=2.0, noise_percent=50.0)]
    best = best_of(rows, catalog)
    assert best is not None
    assert best.trial_id == 102
    assert best_of([ended(1, 1.0, median_ms=float("nan"))], catalog) is None


def test_an_overview_counts_shares(catalog: Catalog) -> None:
    found = overview_of(
        [ended(1, 10.0), at_work(2, done=5, seconds=4), trial(3, "queued")], catalog
    )
    assert (found.count, found.finished, found.running) == (3, 1, 1)
    assert found.done == pytest.approx(1.5)
    assert found.slot_seconds == pytest.approx(14)
