"""The arithmetic of turns, without a database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.fairness import (
    Rules,
    Standing,
    Waiter,
    first,
    longest_wait_s,
    may_take_by_age,
    order,
)

USERS = st.integers(1, 4)
STANDINGS = st.dictionaries(
    USERS,
    st.builds(
        Standing,
        share=st.sampled_from([0.5, 1.0, 2.0, 3.0]),
        running=st.integers(0, 4),
        used_s=st.sampled_from([0.0, 10.0, 1e5]),
        limit=st.none() | st.integers(1, 5),
    ),
)
WAITERS = st.lists(st.tuples(USERS, st.sampled_from([1, 0, -1]), st.booleans()), max_size=24).map(
    lambda rows: [Waiter(number, *row) for number, row in enumerate(rows, 1)]
)


def test_it_works() -> None:
    known = {1: Standing(running=1), 2: Standing(used_s=50.0), 3: Standing(used_s=20.0)}
    assert first({1: 10, 2: 11, 3: 12}, known) == 12
    assert first({1: 10, 2: 11}, known) == 11
    assert first({1: 10}, known) == 10
    assert first({}, known) is None


def test_more_share_means_more_slots_and_more_use() -> None:
    known = {1: Standing(share=2.0, running=1), 2: Standing(running=1)}
    assert first({1: 11, 2: 10}, known) == 11
    known = {1: Standing(share=2.0, used_s=150.0), 2: Standing(used_s=100.0)}
    assert first({1: 11, 2: 10}, known) == 11


def test_among_equals_the_oldest_trial_is_next() -> None:
    assert first({1: 11, 2: 10}, {}) == 10


def test_who_is_full_is_passed_over() -> None:
    known = {1: Standing(running=2, limit=2), 2: Standing(running=7)}
    assert first({1: 10, 2: 11}, known) == 11
    assert first({1: 10}, known) is None


@given(WAITERS, STANDINGS)
def test_what_is_told_ahead_is_what_claims_would_take(
    waiters: list[Waiter], known: dict[int, Standing]
) -> None:
    """One after the other by `first`, class by class, as a claim does it.

    A cap that is not reached now may never be, since what runs ends.
    """
    waiting = {waiter.trial_id: waiter for waiter in waiters if waiter.due}
    taken = []
    running = {user: known.get(user, Standing()).running for user in range(1, 5)}
    while True:
        now = {
            user: Standing(s.share, running[user], s.used_s, s.limit if s.is_full() else None)
            for user in running
            for s in [known.get(user, Standing())]
        }
        found = None
        for priority in (1, 0, -1):
            heads: dict[int, int] = {}
            for waiter in sorted(waiting.values()):
                if waiter.priority == priority:
                    heads.setdefault(waiter.owner_id, waiter.trial_id)
            found = first(heads, now)
            if found is not None:
                break
        if found is None:
            break
        taken.append(found)
        running[waiting.pop(found).owner_id] += 1
    told = order(waiters, known)
    assert [row.place for row in told] == list(range(1, len(waiters) + 1))
    assert [row.waiter.trial_id for row in told if row.waiter.due and not row.capped] == taken
    assert {row.waiter.trial_id for row in told if row.capped} == set(waiting)
    assert [row.waiter.due for row in told] == sorted((w.due for w in waiters), reverse=True)


@given(st.integers(2, 6), st.lists(st.booleans(), max_size=60))
def test_at_most_one_claim_in_k_goes_by_age(turn: int, aged: list[bool]) -> None:
    rules = Rules(ageing_turn=turn)
    leases: list[bool] = []
    for there_is_one in aged:
        leases.insert(0, there_is_one and may_take_by_age(leases, rules))
    for at in range(len(leases)):
        assert sum(leases[at : at + turn]) <= 1
    if all(aged) and aged:
        assert any(leases[:turn]), "and it does when something is that old"
        assert leases[-1], "at once where the slot is new"


def test_the_turn_by_age_may_be_every_claim() -> None:
    assert may_take_by_age([True], Rules(ageing_turn=1))


@pytest.mark.parametrize(
    ("older", "slots", "wait_s"), [(0, 1, 140.0), (0, 4, 140.0), (3, 4, 140.0), (4, 4, 180.0)]
)
def test_the_bound_is_age_and_rounds_of_the_longest_run(
    older: int, slots: int, wait_s: float
) -> None:
    rules = Rules(ageing_s=100.0, ageing_turn=4)
    assert longest_wait_s(rules, 10.0, older, slots) == wait_s
