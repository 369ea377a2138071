"""Which trials go on: rungs that pause and promote, the median, budgets, repeats; cut anywhere."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from labpool.search import Promote, Prune, Row, advance, epochs, hears_epochs
from tests.support.simulated_sweep import METRIC, Pool, sweep
from tests.support.surfaces import crossing, hill, noisy

ASHA = {"method": "asha"}
MEDIAN = {"method": "median"}
SURFACES = {"hill": hill, "crossing": crossing, "noisy": noisy(crossing, 0.1)}
SLOWLY = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def asha(trials: int, seed: int = 0, method: str = "random", **more):
    return sweep({"method": method, "trials": trials, "seed": seed, "pruner": ASHA}, **more)


def paused(number: int, rung: int, reports: dict[int, float]) -> Row:
    return Row(100 + number, number, "paused", {"learning_rate": 0.1}, {}, rung, reports)


def test_it_works():
    pool = Pool(asha(27), hill, slots=1).run()
    assert pool.states() == {"pruned": 26, "succeeded": 1}
    assert [sum(1 for row in pool.rows.values() if row.rung >= at) for at in range(4)] == [
        27, 9, 3, 1,
    ]  # fmt: skip
    assert pool.epochs_run == 27 + 9 * 2 + 3 * 6 + 18
    assert pool.best.number == max(pool.rows.values(), key=lambda row: hill(row.values, 27)).number


def test_rungs_are_epochs_below_the_whole_run():
    spec = asha(9)
    assert [epochs(spec, rung) for rung in range(5)] == [1, 3, 9, None, None]
    assert not hears_epochs(spec)
    longer = sweep(
        {"method": "grid", "pruner": {"method": "asha", "min_epochs": 2, "reduction": 4}},
        {"learning_rate": [0.1]},
        length=100,
    )
    assert [epochs(longer, rung) for rung in range(4)] == [2, 8, 32, None]


def test_who_cannot_be_overtaken_goes_up_before_the_others_have_arrived():
    spec = asha(9)
    rows = [paused(at, 0, {1: at / 10}) for at in range(7)]
    waiting = [Row(200 + at, at, "queued", {}, {}) for at in (7, 8)]
    # Three go up, two may still come before them: the best is sure of its place.
    assert advance(spec, rows + waiting) == [Promote(106, 1)]


def test_a_slot_is_not_left_idle_for_certainty():
    spec = asha(9)
    rows = [paused(at, 0, {1: at / 10}) for at in range(6)]
    running = [Row(200 + at, at, "running", {}, {}) for at in (6, 7, 8)]
    assert advance(spec, rows + running) == [Promote(105, 1)]
    queued = [replace(running[0], state="queued"), *running[1:]]
    assert advance(spec, rows + queued) == []


def test_the_best_until_the_rung_counts():
    rows = [paused(0, 1, {1: 0.9, 2: 0.1, 3: 0.1}), paused(1, 1, {1: 0.2, 2: 0.2, 3: 0.3})]
    rows += [paused(at, 1, {1: 0.1, 2: 0.1, 3: 0.1}) for at in (2,)]
    assert Promote(100, 2) in advance(asha(3), rows)


def test_what_is_not_finite_is_worst():
    rows = [paused(0, 0, {1: float("nan")}), paused(1, 0, {1: -5.0}), paused(2, 0, {1: -9.0})]
    assert advance(asha(3), rows) == [Promote(101, 1)]


def test_less_is_better_where_the_objective_says_so():
    spec = asha(3, objective={"metric": "val_loss"})
    rows = [paused(at, 0, {1: 1.0 + at}) for at in range(3)]
    assert advance(spec, rows) == [Promote(100, 1)]


def test_one_that_a_person_paused_is_left_alone_and_the_sweep_waits_for_it():
    rows = [paused(0, 1, {1: 0.5, 2: 0.5}), paused(1, 0, {1: 0.1}), paused(2, 0, {1: 0.2})]
    assert advance(asha(3), rows) == []
    rows[0] = replace(rows[0], state="succeeded", metrics={METRIC: 0.6})
    assert advance(asha(3), rows) == [Prune(101), Prune(102)]


@pytest.mark.parametrize("surface", ["hill"])
@pytest.mark.parametrize(("trials", "slots"), [(9, 1), (27, 4), (27, 16), (96, 8)])
def test_pausing_finds_what_stopping_finds_with_no_more_epochs(surface, trials, slots):
    spent = {"pausing": 0, "stopping": 0}
    for seed in range(20):
        found = {}
        for mode in ("pausing", "stopping"):
            pool = Pool(asha(trials, seed), SURFACES[surface], slots, mode=mode).run()
            spent[mode] += pool.epochs_run
            found[mode] = pool.best.number
        assert found["pausing"] == found["stopping"]
    assert spent["pausing"] <= spent["stopping"]


@pytest.mark.parametrize("surface", ["crossing", "noisy"])
def test_where_ranks_change_it_is_about_as_good_for_fewer_epochs(surface):
    """Ranks at a rung mislead there, and stopping, which trains more of them on, sees through
    some: both the saving and its price are held here."""
    spent, final = {"pausing": 0, "stopping": 0}, {"pausing": 0.0, "stopping": 0.0}
    for seed in range(20):
        for mode in spent:
            pool = Pool(asha(96, seed), SURFACES[surface], 8, mode=mode).run()
            spent[mode] += pool.epochs_run
            final[mode] += pool.best.metrics[METRIC] / 20
    assert spent["pausing"] <= 0.9 * spent["stopping"]
    assert final["pausing"] >= final["stopping"] - 0.01


@given(
    method=some.sampled_from(["random", "qmc", "tpe", "grid"]),
    pruner=some.sampled_from([None, ASHA, MEDIAN]),
    surface=some.sampled_from(sorted(SURFACES)),
    slots=some.integers(1, 6),
    repeat=some.sampled_from([1, 1, 3]),
    broken=some.sampled_from([0, 0, 4]),
    cuts=some.lists(some.integers(0, 40), max_size=5),
)
@SLOWLY
def test_it_goes_on_from_its_rows_wherever_it_was_cut(
    method, pruner, surface, slots, repeat, broken, cuts
):
    """The pool asserts besides that no number is made twice, that nothing is promoted or pruned
    that cannot be, and that asking twice changes nothing."""
    strategy = {"method": method, "pruner": pruner}
    space = {"learning_rate": [10**-at for at in range(1, 7)]} if method == "grid" else None
    if method != "grid":
        strategy |= {"trials": 14, "seed": 1}
    if method == "tpe":
        strategy |= {"startup_trials": 4, "at_once": 6}
    spec = sweep(strategy, space, length=9, repeat=repeat)

    def fails(number):
        return broken > 0 and number % broken == 1

    pool = Pool(spec, SURFACES[surface], slots, fails=fails)
    for cut in cuts:
        pool.run(cut)
        rows = sorted(pool.rows.values(), key=lambda row: row.trial_id)
        shuffled = random.Random(cut).sample(rows, len(rows))
        assert sorted(map(repr, advance(spec, rows))) == sorted(map(repr, advance(spec, shuffled)))
    pool.run()
    assert set(pool.states()) <= {"succeeded", "pruned", "failed"}
    assert sorted(row.number for row in pool.rows.values()) == list(
        range((6 if method == "grid" else 14) * repeat)
    )
    if set(pool.states()) != {"failed"}:
        assert "succeeded" in pool.states()


@pytest.mark.parametrize("pruner", [None, ASHA, MEDIAN])
@pytest.mark.parametrize("method", ["random", "qmc", "tpe"])
def test_actions_that_were_applied_in_part_are_completed(method, pruner):
    spec = sweep({"method": method, "trials": 30, "pruner": pruner}, length=9)
    whole = Pool(spec, hill).run(60)
    for row in list(whole.rows.values())[:3]:
        if row.state == "running":
            whole.rows[row.trial_id] = replace(row, state="succeeded", metrics={METRIC: 0.5})
    actions = whole.actions()
    for done in range(len(actions) + 1):
        part = Pool(spec, hill, rows=dict(whole.rows))
        part.apply(actions[:done])
        assert [action for action in part.actions() if action not in actions] == []
        part.apply(part.actions())
        part.apply(part.actions())
        whole_again = Pool(spec, hill, rows=dict(whole.rows))
        whole_again.apply(actions)
        assert part.rows == whole_again.rows


def test_the_median_ends_what_does_worse_than_half_of_the_others():
    spec = sweep({"method": "random", "trials": 30, "seed": 2, "pruner": MEDIAN})
    assert hears_epochs(spec) and epochs(spec, 0) is None
    pool = Pool(spec, hill, slots=4).run()
    ended = [row for row in pool.rows.values() if row.state == "pruned"]
    whole = Pool(sweep({"method": "random", "trials": 30, "seed": 2}), hill, slots=4).run()
    assert len(ended) > 8 and pool.epochs_run < 0.7 * whole.epochs_run
    assert pool.best.number == whole.best.number


def test_the_median_needs_others_to_compare_with():
    pruner = {"method": "median", "min_epochs": 2, "min_trials": 3}
    spec = sweep({"method": "random", "trials": 5, "pruner": pruner}, length=4)
    others = [
        Row(at, at, "succeeded", {}, {METRIC: 0.5}, 0, {1: 0.5, 2: 0.5, 3: 0.5, 4: 0.5})
        for at in range(4)
    ]

    def poor(*values):
        reports = dict(enumerate(values, start=1))
        return Row(9, 4, "running", {}, {}, 0, reports)

    assert advance(spec, [*others, poor(0.1)]) == []  # too early
    assert advance(spec, [*others, poor(0.1, 0.1)]) == [Prune(9)]
    assert advance(spec, [*others, poor(0.6, 0.1)]) == []  # its best counts
    assert advance(spec, [*others, poor(0.1, 0.1, 0.1, 0.1)]) == []  # it is done anyway
    few = [replace(row, reports={1: 0.5}) if row.number < 2 else row for row in others]
    assert advance(spec, [*few, poor(0.1, 0.1)]) == []


@pytest.mark.parametrize("method", ["random", "qmc", "tpe"])
@pytest.mark.parametrize("pruner", [None, ASHA])
def test_a_spent_budget_ends_what_waits_and_lets_what_runs_finish(method, pruner):
    spec = sweep(
        {"method": method, "trials": 50, "pruner": pruner}, length=9, budget_slot_seconds=60.0
    )
    pool = Pool(spec, hill, slots=3).run()
    spent = sum(row.slot_seconds for row in pool.rows.values())
    # Three may run when it is spent, each for 9 epochs of at most 1.5 s.
    assert 60 <= spent <= 60 + 3 * 9 * 1.5
    assert set(pool.states()) <= {"succeeded", "pruned"}
    first = dict(pool.rows)
    more = spec.model_copy(update={"budget_slot_seconds": 120.0})
    again = Pool(more, hill, slots=3, rows=pool.rows).run()
    # What was ended stays so; trials that had not been made are made now.
    assert len(again.rows) > len(first) if method == "tpe" else again.rows == first


@pytest.mark.parametrize("pruner", [None, ASHA, MEDIAN])
@pytest.mark.parametrize("method", ["random", "qmc", "tpe"])
def test_the_mean_of_the_repeats_is_what_counts(method, pruner):
    def lucky(values, epoch):
        """High rates do well with one seed in three, and worse than low ones on the mean."""
        base = 0.5 if values["learning_rate"] < 0.05 else 0.1
        return base + (0.6 if values["seed"] % 3 == 0 and base < 0.5 else 0) + epoch / 1e3

    strategy = {"method": method, "trials": 18, "pruner": pruner}
    pool = Pool(sweep(strategy, length=9, repeat=3), lucky, slots=4).run()
    points: dict[int, list[Row]] = {}
    for row in pool.rows.values():
        assert row.values["seed"] == row.number % 3
        points.setdefault(row.number // 3, []).append(row)
    assert len(points) == 18 and {len(point) for point in points.values()} == {3}
    for point in points.values():
        assert len({row.values["learning_rate"] for row in point}) == 1
        assert len({row.rung for row in point}) == 1
        assert len({row.state for row in point}) == 1 or pruner == MEDIAN
    if pruner == ASHA:
        assert {row.values["learning_rate"] < 0.05 for row in points[pool.best.number // 3]} == {
            True
        }


def test_trials_added_to_an_ended_sweep_are_judged_with_the_old_ones():
    first = Pool(asha(9, seed=1), hill).run()
    assert first.states() == {"pruned": 8, "succeeded": 1}
    more = Pool(asha(60, seed=1), hill, rows=dict(first.rows)).run()
    assert len(more.rows) == 60
    fresh = Pool(asha(60, seed=1), hill).run()
    assert more.best.number == fresh.best.number
    old = [row for row in more.rows.values() if row.number < 9]
    assert [row.state for row in old] == [first.rows[row.trial_id].state for row in old]
