"""What people ask of searched sweeps and of their trials, on both databases."""

from __future__ import annotations

import pytest

from db import commands, owner, waiting
from db import why as waiting_why
from db.engine import Database
from db.errors import NotPossible
from db.models import Experiment, Trial
from db.states import TrialState, Wish
from labpool.catalog import Catalog
from tests.support.pool import person
from tests.support.searched import ASHA, MEDIAN, Life


@pytest.fixture
def life(database: Database, catalog: Catalog) -> Life:
    return Life(database, catalog, ASHA)


def ask(life: Life, trial_id: int, command: str) -> Trial:
    with life.database.transaction() as session:
        by = person(session)
        getattr(commands, f"{command}_trial")(session, session.get_one(Trial, trial_id), by)
    return next(row for row in life.trials() if row.id == trial_id)


def ask_all(life: Life, command: str) -> int:
    with life.database.transaction() as session:
        sweep, by = session.get_one(Experiment, life.experiment), person(session)
        changed: int = getattr(commands, f"{command}_experiment")(session, sweep, by)
        return changed


def best_of(life: Life) -> int:
    """The trial that its search will let go on."""
    rows = sorted(life.trials(), key=lambda row: abs(row.spec["learning_rate"] - 0.1))
    return rows[0].id


def test_what_its_owner_holds_at_its_rung_is_not_promoted(life: Life) -> None:
    best = best_of(life)
    while next(row for row in life.trials() if row.id == best).state is not TrialState.PAUSED:
        assert life.one()
    held = ask(life, best, "pause")
    assert (held.state, held.at_rung, held.held) == (TrialState.PAUSED, True, True)
    life.go()
    held = next(row for row in life.trials() if row.id == best)
    assert (held.state, held.rung) == (TrialState.PAUSED, 0), "neither promoted nor pruned"
    assert life.agrees()
    ask(life, best, "resume")
    life.go()
    ended = next(row for row in life.trials() if row.id == best)
    assert (ended.state, ended.rung) == (TrialState.SUCCEEDED, 2)
    assert {row.state for row in life.trials()} <= {TrialState.SUCCEEDED, TrialState.PRUNED}
    assert life.agrees()


def test_one_that_was_to_be_paused_is_held_when_it_comes_to_its_rung(life: Life) -> None:
    found = life.claim()
    first = found.trials[0]
    ask(life, first.trial_id, "pause")
    life.carry_out(found.lease_id, first)
    row = next(row for row in life.trials() if row.id == first.trial_id)
    assert (row.state, row.at_rung, row.held, row.wish) == (TrialState.PAUSED, True, True, None)
    assert row.reason_kind == "paused"
    assert life.agrees()


def test_what_waits_at_its_rung_cannot_be_resumed_by_hand(life: Life) -> None:
    life.one()
    first = life.trials()[0]
    with pytest.raises(NotPossible, match=r"waits at rung 0 until .*`labpool stop --trial`"):
        ask(life, first.id, "resume")


def test_stopped_at_its_rung_it_keeps_what_there_is(life: Life) -> None:
    life.one()
    first = life.trials()[0]
    stopped = ask(life, first.id, "stop")
    assert (stopped.state, stopped.at_rung, stopped.wish) == (
        TrialState.QUEUED, False, Wish.STOP,
    )  # fmt: skip
    life.go()
    ended = life.trials()[0]
    assert (ended.state, ended.ended_early) == (TrialState.SUCCEEDED, True)
    assert life.table()[0][4].keys() == {1}, "no further epoch was trained"
    assert life.agrees()


@pytest.mark.parametrize("held", [False, True])
def test_cancelled_at_its_rung_others_take_its_place(life: Life, held: bool) -> None:
    best = best_of(life)
    while next(row for row in life.trials() if row.id == best).state is not TrialState.PAUSED:
        assert life.one()
    if held:
        ask(life, best, "pause")
    row = ask(life, best, "cancel")
    assert (row.state, row.at_rung) == (TrialState.CANCELLED, False)
    life.go()
    states = sorted(row.state.value for row in life.trials())
    assert states == ["cancelled", "pruned", "pruned", "succeeded"]
    assert life.agrees()


def test_a_paused_sweep_moves_nothing_until_it_is_resumed(life: Life) -> None:
    life.one()
    life.one()
    assert ask_all(life, "pause") == 4
    assert life.claim_or_none() is None
    rows = life.trials()
    assert [row.state for row in rows] == [TrialState.PAUSED] * 2 + [TrialState.QUEUED] * 2
    assert all(row.held for row in rows)
    assert life.agrees()
    assert ask_all(life, "resume") == 4
    life.go()
    assert sorted(row.state.value for row in life.trials()) == ["pruned"] * 3 + ["succeeded"]
    assert life.agrees()


def test_what_runs_while_its_sweep_is_paused_moves_no_other(life: Life) -> None:
    life.one()
    life.one()
    found = life.claim()
    ask_all(life, "pause")
    life.carry_out(found.lease_id, found.trials[0])
    rows = life.trials()
    assert all(row.held and row.rung == 0 for row in rows)
    assert [row.at_rung for row in rows] == [True, True, True, False]
    ask_all(life, "resume")
    assert [row.rung for row in life.trials()].count(1) == 1, "one is sure of its place"
    assert life.agrees()


@pytest.mark.parametrize("command", ["stop", "cancel"])
def test_a_sweep_that_was_ended_begins_nothing_more(life: Life, command: str) -> None:
    for _ in range(3):
        life.one()
    ask_all(life, command)
    life.go()
    states = [row.state.value for row in life.trials()]
    began, never = ("succeeded", "cancelled") if command == "stop" else ("cancelled",) * 2
    assert states == [began] * 3 + [never]
    assert all(row.ended_early for row in life.trials() if row.state is TrialState.SUCCEEDED)
    assert life.agrees()


@pytest.mark.parametrize(("command", "state"), [("cancel", "cancelled"), ("stop", "queued")])
def test_who_is_to_be_pruned_is_cancelled_or_kept_when_a_person_says_so(
    database: Database, catalog: Catalog, command: str, state: str
) -> None:
    life = Life(database, catalog, MEDIAN)
    work = life.to_be_pruned()
    ask(life, work.trial_id, command)
    with database.transaction() as session:
        owner.prune(session, work.trial_id, work.fence)
    row = next(row for row in life.trials() if row.id == work.trial_id)
    assert row.state.value == state
    assert life.agrees()


def test_what_is_promoted_waits_for_its_owners_turn(life: Life) -> None:
    """It queues as every trial does, and is as old as since it was let go."""
    for _ in range(3):
        life.one()
    [promoted] = [row for row in life.trials() if row.rung == 1]
    assert promoted.state is TrialState.QUEUED
    assert promoted.let_go_at is not None
    assert promoted.let_go_at > promoted.queued_at
    assert (promoted.halts_at, promoted.at_rung, promoted.reason) == (2, False, None)


def test_it_says_what_it_waits_for(life: Life) -> None:
    life.one()
    life.one()
    first = life.trials()[0]

    def told() -> waiting_why.Why:
        with life.database.snapshot() as session:
            return waiting.explain(session, session.get_one(Trial, first.id))

    assert told().reason == "rung"
    assert told().sentence in {
        f"It waits at rung 0, after epoch 1, {place} of the 2 that have arrived; 2 are still to "
        "come. The best 2 of 4 go on."
        for place in ("1st", "2nd")
    }
    ask(life, first.id, "pause")
    assert told().sentence == (
        f"It is held back at rung 0, after epoch 1 until `labpool resume {first.id} --trial`."
    )
