"""Results put together to the rows of a board, whatever the results are."""

from __future__ import annotations

import math
import random
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from db.standing_rows import Candidate, Rule, ranked

Direction = Literal["maximize", "minimize"]
RULES = st.sampled_from(["best", "last", "all"])
DIRECTIONS = st.sampled_from(["maximize", "minimize"])


@st.composite
def results(draw: st.DrawFn) -> list[Candidate]:
    values = st.one_of(st.floats(0, 1), st.sampled_from([0.5, math.nan, math.inf]))
    return [
        Candidate(
            trial_id=number,
            value=draw(values),
            seed=draw(st.integers(0, 2)),
            owner_id=draw(st.integers(1, 2)),
            configuration_digest=draw(st.sampled_from("ab")),
            code_digest="c",
            data_digest=draw(st.sampled_from([None, "d"])),
            device="cpu",
            finished_at=draw(st.sampled_from([None, 1.0, 2.0])),
            seconds=draw(st.floats(0, 100)),
            train_seconds=draw(st.one_of(st.none(), st.floats(0, 100))),
        )
        for number in range(draw(st.integers(0, 12)))
    ]


def result(number: int, value: float, seed: int, at: float) -> Candidate:
    return Candidate(number, value, seed, 1, "a", "c", "d", "cpu", at, 2.0, None)


def test_it_works() -> None:
    found = [result(1, 0.8, 0, 1.0), result(2, 0.9, 0, 2.0), result(3, 0.7, 1, 3.0)]
    [row] = ranked(found, "best", "maximize")
    assert (row.seeds, row.trial_ids, row.shown.trial_id) == ((0, 1), (1, 2, 3), 2)
    assert (row.spread.n, round(row.spread.mean, 9), row.seconds) == (2, 0.8, 6.0)
    [row] = ranked(found, "best", "minimize")
    assert (round(row.spread.mean, 9), row.shown.trial_id) == (0.75, 3)
    [row] = ranked(found, "last", "minimize")
    assert (round(row.spread.mean, 9), row.shown.trial_id) == (0.8, 3)


def at_point(point: str, number: int, value: float, configuration: str) -> Candidate:
    found = result(number, value, 0, float(number))
    return found._replace(configuration_digest=configuration, point=point)


def test_a_point_has_one_row_the_best_of_all_tried() -> None:
    found = [
        at_point("small", 1, 0.5, "a"), at_point("small", 2, 0.9, "b"),
        at_point("small", 3, 0.7, "c"), at_point("large", 4, 0.95, "a"),
        at_point("small", 5, math.nan, "d"),
    ]  # fmt: skip
    rows = ranked(found, "best", "maximize")
    assert [(row.place, row.shown.trial_id, row.tried) for row in rows] == [(1, 4, 1), (2, 2, 3)]
    rows = ranked(found, "best", "minimize", limit=1)
    assert [(row.place, row.shown.trial_id, row.tried) for row in rows] == [(1, 1, 3)]


def test_of_equals_at_a_point_the_first_found_stays() -> None:
    found = [at_point("one", 2, 0.9, "b"), at_point("one", 1, 0.9, "a")]
    for order in (found, found[::-1]):
        [row] = ranked(order, "best", "maximize")
        assert row.shown.trial_id == 1


def test_a_point_is_won_by_a_mean_and_not_by_a_lucky_run() -> None:
    lucky = [at_point("one", 1, 0.99, "a"), at_point("one", 2, 0.5, "a")._replace(seed=1)]
    [row] = ranked([*lucky, at_point("one", 3, 0.8, "b")], "best", "maximize")
    assert (row.shown.trial_id, row.tried) == (3, 2)


@given(results(), RULES, DIRECTIONS)
def test_every_finite_result_stands_in_one_row(
    found: list[Candidate], rule: Rule, direction: Direction
) -> None:
    rows = ranked(found, rule, direction)
    ids = [number for row in rows for number in row.trial_ids]
    assert sorted(ids) == [item.trial_id for item in found if math.isfinite(item.value)]
    for row in rows:
        assert row.spread.n == len(row.seeds) == len(set(row.seeds))
        assert row.shown.trial_id in row.trial_ids
        same = {item[3:8] for item in found if item.trial_id in row.trial_ids}
        assert len(same) == 1
    means = [row.spread.mean for row in rows]
    assert means == sorted(means, reverse=direction == "maximize")
    assert [row.place for row in rows] == sorted(row.place for row in rows)


@given(results(), RULES, DIRECTIONS, st.randoms(use_true_random=False))
def test_no_order_of_the_results_matters(
    found: list[Candidate], rule: Rule, direction: Direction, source: random.Random
) -> None:
    mixed = list(found)
    source.shuffle(mixed)
    rows = ranked(found, rule, direction)
    assert ranked(mixed, rule, direction) == rows
    assert ranked(mixed, rule, direction, 2) == rows[:2], "the others count in the bands"
