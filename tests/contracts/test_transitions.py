"""Every change of a trial's state, on both databases."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from db import claims, commands, findings, owner, sweeper
from db.engine import Database
from db.errors import FencedOff, NotPossible
from db.models import Attempt, Event, MetricChunk, Result, Trial
from db.states import TERMINAL, Outcome, TrialState
from labpool.catalog import Catalog
from tests.support.claimed import TTL_S, live_leases, state_of
from tests.support.pool import person, slot, step_clock, submitted, trial


@pytest.fixture
def claimed(database: Database, catalog: Catalog) -> claims.Claim:
    """One trial, claimed by one slot."""
    with database.transaction() as session:
        submitted(session, catalog, person(session))
        found = claims.claim(session, slot(session, catalog), TTL_S)
    assert found is not None
    return found


def test_it_works(database: Database, claimed: claims.Claim) -> None:
    [work] = claimed.trials
    chunk = findings.Chunk("loss", [1, 2], [0.5, 1.0], [0.1, 0.2], [2.0, None])
    with database.transaction() as session:
        owner.note_started(session, work.trial_id, work.fence, {"device": "cpu"})
        owner.succeed(
            session, work.trial_id, work.fence, {"test_accuracy": 0.9}, {}, chunks=[chunk]
        )
    with database.snapshot() as session:
        row = trial(session, work.trial_id)
        assert (row.state, row.fence, row.lease_id) == (TrialState.SUCCEEDED, 1, None)
        result = session.get_one(Result, work.trial_id)
        assert (result.fence, result.metrics, result.device) == (1, {"test_accuracy": 0.9}, "cpu")
        attempt = session.scalars(select(Attempt)).one()
        assert attempt.outcome is Outcome.SUCCEEDED
        assert attempt.environment == {"device": "cpu"}
        assert session.scalars(select(MetricChunk)).one().values == [2.0, None]
    assert live_leases(database) == 0


def test_progress_is_known_from_the_start_and_full_at_the_end(
    database: Database, claimed: claims.Claim
) -> None:
    [work] = claimed.trials

    def progress() -> tuple[float, float | None, str | None]:
        with database.snapshot() as session:
            row = trial(session, work.trial_id)
            return row.progress_done, row.progress_total, row.progress_unit

    assert progress() == (0, None, None)
    with database.transaction() as session:
        owner.note_started(session, work.trial_id, work.fence, {}, (0.0, 8.0, "epoch"))
    assert progress() == (0, 8, "epoch")
    with database.transaction() as session:
        findings.record_metrics(session, work.trial_id, work.fence, [], (5.0, 8.0, "epoch"))
    assert progress() == (5, 8, "epoch")
    with database.transaction() as session:
        owner.succeed(session, work.trial_id, work.fence, {}, {})
    assert progress() == (8, 8, "epoch")


def test_a_trial_that_ended_early_says_how_far_it_came(
    database: Database, claimed: claims.Claim
) -> None:
    [work] = claimed.trials
    with database.transaction() as session:
        owner.note_started(session, work.trial_id, work.fence, {}, (0.0, 8.0, "epoch"))
    with database.transaction() as session:
        owner.succeed(
            session, work.trial_id, work.fence, {}, {}, True, progress=(5.0, 8.0, "epoch")
        )
    with database.snapshot() as session:
        row = trial(session, work.trial_id)
        assert (row.progress_done, row.progress_total, row.ended_early) == (5, 8, True)


ENDS: dict[str, Callable[..., None]] = {
    "succeed": lambda session, work: owner.succeed(session, work.trial_id, work.fence, {}, {}),
    "fail": lambda session, work: owner.fail(session, work.trial_id, work.fence, "internal", "x"),
    "cancel": lambda session, work: owner.cancel(session, work.trial_id, work.fence, "x"),
    "release": lambda session, work: owner.release(session, work.trial_id, work.fence, "x"),
    "record_metrics": lambda session, work: findings.record_metrics(
        session, work.trial_id, work.fence, [findings.Chunk("loss", [1], [1.0], [0.0], [1.0])]
    ),
    "record_checkpoint": lambda session, work: findings.record_checkpoint(
        session, work.trial_id, work.fence,
        findings.CheckpointRecord(1, "trials/1/1/a", "0" * 64, 1, None, False),
    ),
    "record_artifact": lambda session, work: findings.record_artifact(
        session, work.trial_id, work.fence,
        findings.ArtifactRecord("a", "trials/1/1/a", "text/plain", "0" * 64, 1),
    ),
    "note_started": lambda session, work: owner.note_started(
        session, work.trial_id, work.fence, {}
    ),
}  # fmt: skip


@pytest.mark.parametrize("write", ENDS.values(), ids=ENDS.keys())
def test_who_lost_the_fence_writes_nothing(
    database: Database, catalog: Catalog, claimed: claims.Claim, write: Callable[..., None]
) -> None:
    [work] = claimed.trials
    step_clock(database, TTL_S + 1)
    with database.transaction() as session:
        assert sweeper.sweep_expired(session) == [work.trial_id]
    with database.transaction() as session:
        again = claims.claim(session, slot(session, catalog), TTL_S)
    assert again is not None
    assert again.trials[0].fence == work.fence + 2
    with pytest.raises(FencedOff), database.transaction() as session:
        write(session, work)
    assert state_of(database, work.trial_id) is TrialState.RUNNING
    with database.snapshot() as session:
        assert session.scalar(select(func.count()).select_from(Result)) == 0
        assert session.scalar(select(func.count()).select_from(MetricChunk)) == 0


@pytest.mark.parametrize("name", ["succeed", "fail", "cancel", "release"])
def test_an_end_is_final(database: Database, claimed: claims.Claim, name: str) -> None:
    [work] = claimed.trials
    with database.transaction() as session:
        ENDS[name](session, work)
    for write in ENDS.values():
        with pytest.raises(FencedOff), database.transaction() as session:
            write(session, work)


def test_retry_makes_a_new_trial_and_leaves_the_old(
    database: Database, claimed: claims.Claim
) -> None:
    [work] = claimed.trials
    with pytest.raises(NotPossible, match="only an ended one"), database.transaction() as session:
        commands.retry_trial(session, trial(session, work.trial_id), person(session))
    with database.transaction() as session:
        owner.fail(session, work.trial_id, work.fence, "user_error", "no")
        new_id = commands.retry_trial(session, trial(session, work.trial_id), person(session))
    with database.snapshot() as session:
        old, new = trial(session, work.trial_id), trial(session, new_id)
        assert (old.state, new.state) == (TrialState.FAILED, TrialState.QUEUED)
        assert (new.parent_id, new.number, new.spec) == (old.id, 1, old.spec)


def test_text_from_a_runner_is_made_fit_to_store(database: Database, claimed: claims.Claim) -> None:
    [work] = claimed.trials
    with database.transaction() as session:
        owner.fail(session, work.trial_id, work.fence, "internal", "a\0b", log_tail="c\0\ud800d")
    with database.snapshot() as session:
        assert trial(session, work.trial_id).reason == "a\N{REPLACEMENT CHARACTER}b"


def test_replaying_the_events_gives_the_states(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        user = person(session)
        ids = [submitted(session, catalog, user)[0] for _ in range(6)]
        commands.cancel_trial(session, trial(session, ids[5]), user)
        for end in ("succeed", "fail", "cancel", "release"):
            work = claims.claim(session, slot(session, catalog), TTL_S)
            assert work is not None
            ENDS[end](session, work.trials[0])
    with database.snapshot() as session:
        replayed: dict[int, tuple[TrialState, int]] = {}
        for event in session.scalars(select(Event).order_by(Event.id)):
            if event.to_state is None:
                continue
            state, _ = replayed.get(event.trial_id, (None, 0))
            assert event.from_state == state
            assert state not in TERMINAL
            replayed[event.trial_id] = (event.to_state, event.fence)
        rows = session.execute(select(Trial.id, Trial.state, Trial.fence))
        assert {row[0]: (row[1], row[2]) for row in rows} == replayed
