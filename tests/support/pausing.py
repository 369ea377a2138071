"""A pool of one slot and one trial, to pause and stop."""

from __future__ import annotations

from sqlalchemy import select

from db import claims, commands, findings, owner, replay
from db.engine import Database
from db.models import Lease, Trial, User
from labpool.catalog import Catalog
from tests.support.pool import person, slot, submitted, trial

TTL_S = 90.0
CHECKPOINT = findings.CheckpointRecord(3, "trials/1/1/epoch-3.npz", "0" * 64, 10, 0.5, True)


class Pool:
    """One user, one trial and a slot, with short ways to ask and look."""

    def __init__(self, database: Database, catalog: Catalog) -> None:
        self.database, self.catalog = database, catalog
        with database.transaction() as session:
            self.ada = person(session)
            [self.trial_id] = submitted(session, catalog, self.ada)
            self.slot = slot(session, catalog)

    def claim(self) -> claims.ClaimedTrial | None:
        with self.database.transaction() as session:
            found = claims.claim(session, self.slot, TTL_S)
        return found.trials[0] if found else None

    def ask(self, command: str) -> None:
        with self.database.transaction() as session:
            row = session.get_one(Trial, self.trial_id)
            getattr(commands, f"{command}_trial")(session, row, session.get_one(User, self.ada.id))

    def beat(self, work: claims.ClaimedTrial) -> owner.Beat:
        with self.database.transaction() as session:
            lease = session.scalars(select(Lease.id).where(Lease.ended_at.is_(None))).one()
            return owner.heartbeat(session, lease, {work.trial_id: work.fence}, TTL_S)

    def now(self) -> Trial:
        with self.database.snapshot() as session:
            return trial(session, self.trial_id)

    def checkpoint(self, work: claims.ClaimedTrial) -> None:
        with self.database.transaction() as session:
            findings.record_checkpoint(session, work.trial_id, work.fence, CHECKPOINT)

    def agrees(self) -> bool:
        with self.database.snapshot() as session:
            return not list(replay.differences(session))


def running(pool: Pool) -> claims.ClaimedTrial:
    """Its trial, on its slot."""
    work = pool.claim()
    assert work is not None
    return work


def released(pool: Pool) -> None:
    """It waits, with a checkpoint."""
    work = running(pool)
    pool.checkpoint(work)
    with pool.database.transaction() as session:
        owner.release(session, work.trial_id, work.fence, "The worker was shut down.")
