"""Every change of a trial's state, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from db import claims, commands, findings, owner, sweeper
from db.engine import Database
from db.errors import FencedOff, NotPossible
from db.models import Attempt, Event, Lease, MetricChunk, Result, Slot, Trial
from db.states import TERMINAL, Outcome, TrialState
from labpool.catalog import Catalog
from tests.support.pool import person, slot, step_clock, submitted, trial

TTL_S = 90.0


@pytest.fixture
def claimed(database: Database, catalog: Catalog) -> claims.Claim:
    """One trial, claimed by one slot."""
    with database.transaction() as session:
        submitted(session, catalog, person(session))
        found = claims.claim(session, slot(session, catalog), TTL_S)
    assert found is not None
    return found


def state_of(database: Database, trial_id: int) -> TrialState:
    with database.snapshot() as session:
        return trial(session, trial_id).state


def live_leases(database: Database) -> int:
    with database.snapshot() as session:
        return session.scalar(select(func.count()).where(Lease.ended_at.is_(None))) or 0


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


def test_a_late_heartbeat_revives_what_nobody_took(
    database: Database, claimed: claims.Claim
) -> None:
    [work] = claimed.trials
    step_clock(database, TTL_S + 1)
    fences = {work.trial_id: work.fence}
    with database.transaction() as session:
        beat = owner.heartbeat(session, claimed.lease_id, fences, TTL_S)
        assert beat.alive == {work.trial_id}
        assert sweeper.sweep_expired(session) == []


def test_a_heartbeat_after_the_sweep_says_so(database: Database, claimed: claims.Claim) -> None:
    [work] = claimed.trials
    step_clock(database, TTL_S + 1)
    with database.transaction() as session:
        sweeper.sweep_expired(session)
        beat = owner.heartbeat(session, claimed.lease_id, {work.trial_id: work.fence}, TTL_S)
    assert beat.alive == frozenset()


def test_a_heartbeat_brings_progress_there_and_the_cancel_back(
    database: Database, claimed: claims.Claim
) -> None:
    [work] = claimed.trials
    with database.transaction() as session:
        commands.cancel_trial(session, trial(session, work.trial_id), person(session))
    with database.transaction() as session:
        beat = owner.heartbeat(
            session, claimed.lease_id, {work.trial_id: work.fence}, TTL_S,
            {work.trial_id: (3.0, 10.0, "epoch")},
        )  # fmt: skip
        assert beat.cancel == {work.trial_id}
        assert trial(session, work.trial_id).progress_done == 3.0


def test_a_cancelled_trial_does_not_come_back_when_its_worker_dies(
    database: Database, claimed: claims.Claim
) -> None:
    [work] = claimed.trials
    with database.transaction() as session:
        commands.cancel_trial(session, trial(session, work.trial_id), person(session))
    step_clock(database, TTL_S + 1)
    with database.transaction() as session:
        sweeper.sweep_expired(session)
    assert state_of(database, work.trial_id) is TrialState.CANCELLED


def test_cancelled_while_queued_never_runs(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        user = person(session)
        [trial_id] = submitted(session, catalog, user)
        commands.cancel_trial(session, trial(session, trial_id), user)
        assert claims.claim(session, slot(session, catalog), TTL_S) is None
    assert state_of(database, trial_id) is TrialState.CANCELLED


def test_the_third_loss_is_the_last(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        [trial_id] = submitted(session, catalog, person(session))
    for _ in range(3):
        with database.transaction() as session:
            assert claims.claim(session, slot(session, catalog), TTL_S) is not None
        step_clock(database, TTL_S + 1)
        with database.transaction() as session:
            assert sweeper.sweep_expired(session, max_losses=3) == [trial_id]
        step_clock(database, 21)
    with database.snapshot() as session:
        row = trial(session, trial_id)
        assert (row.state, row.losses) == (TrialState.LOST, 3)
        outcomes = session.scalars(select(Attempt.outcome)).all()
        assert outcomes == [Outcome.LOST] * 3
        assert not any(session.scalars(select(Attempt.charged)))


def test_the_dead_wait_for_no_lease_and_only_the_dead(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        user = person(session)
        dead, living = slot(session, catalog), slot(session, catalog)
        [lost, kept, flagged] = [submitted(session, catalog, user)[0] for _ in range(3)]
        assert claims.claim(session, dead, TTL_S) is not None
        assert claims.claim(session, living, TTL_S) is not None
        beside = replace(slot(session, catalog), worker_id=dead.worker_id)
        session.get_one(Slot, beside.slot_id).worker_id = dead.worker_id
        session.get_one(Slot, beside.slot_id).index = 1
        session.flush()
        assert claims.claim(session, beside, TTL_S) is not None
        commands.cancel_trial(session, trial(session, flagged), user)
    with database.transaction() as session:
        taken = sweeper.take_back_from_dead(session, [dead.worker_id])
        assert sorted(taken) == [lost, flagged]
        assert sweeper.take_back_from_dead(session, [dead.worker_id]) == []
    with database.snapshot() as session:
        states = [trial(session, number).state for number in (lost, kept, flagged)]
        assert states == [TrialState.QUEUED, TrialState.RUNNING, TrialState.CANCELLED]
        assert trial(session, lost).losses == 1
        outcomes = session.scalars(select(Attempt).where(Attempt.outcome.is_not(None))).all()
        assert not any(attempt.charged for attempt in outcomes)
    assert live_leases(database) == 1


def test_one_pass_takes_back_a_quarter_at_most(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        user = person(session)
        for _ in range(12):
            submitted(session, catalog, user)
            assert claims.claim(session, slot(session, catalog), TTL_S) is not None
    step_clock(database, TTL_S + 1)
    with database.transaction() as session:
        assert len(sweeper.sweep_expired(session)) == 3


def test_a_released_trial_waits_out_its_delay(
    database: Database, catalog: Catalog, claimed: claims.Claim
) -> None:
    [work] = claimed.trials
    with database.transaction() as session:
        owner.release(session, work.trial_id, work.fence, "the worker stops", delay_s=30)
        assert claims.claim(session, slot(session, catalog), TTL_S) is None
    step_clock(database, 31)
    with database.transaction() as session:
        again = claims.claim(session, slot(session, catalog), TTL_S)
    assert again is not None
    assert again.trials[0].seconds_used == 0.0


def test_resume_starts_at_the_furthest_checkpoint(
    database: Database, catalog: Catalog, claimed: claims.Claim
) -> None:
    [work] = claimed.trials
    dropped: list[str] = []
    with database.transaction() as session:
        for epoch, best in ((1, True), (2, False), (3, False), (4, False)):
            record = findings.CheckpointRecord(
                epoch, f"trials/1/1/epoch-{epoch}.npz", "0" * 64, 1, 0.5, best
            )
            dropped += findings.record_checkpoint(session, work.trial_id, work.fence, record)
        owner.release(session, work.trial_id, work.fence, "x")
        again = claims.claim(session, slot(session, catalog), TTL_S)
    assert dropped == ["trials/1/1/epoch-2.npz"], "the two newest and the best stay"
    assert again is not None
    assert again.trials[0].resume is not None
    assert again.trials[0].resume.epoch == 4


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
