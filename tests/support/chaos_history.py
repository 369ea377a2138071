"""Histories for the checker of chaos runs to judge, and harm to do to them."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from sqlalchemy import update

from db import claims, commands, findings, owner, submissions, sweeper
from db.claims import Claim
from db.clock import now
from db.engine import Database
from db.models import Lease, Slot
from labpool.catalog import Catalog
from labpool.planning import plan
from tests.faults import checker
from tests.faults.checks.of_runs import weights_after
from tests.faults.checks.seen import Row, Seen, read
from tests.support.pool import person, slot, trial

TTL_S = 90.0
SPEC = {
    "kind": "train", "model": "softmax", "dataset": "digits", "device": "gpu", "epochs": 2,
}  # fmt: skip
Harm = Callable[[Seen], None]
Harms = tuple[tuple[Harm, str], ...]


class History:
    """Trials of two people on one database, with the ledgers that a chaos run would have."""

    def __init__(self, database: Database, catalog: Catalog, folder: Path) -> None:
        self.database, self.catalog, self.folder = database, catalog, folder
        self.ledgers, self.store = folder / "ledgers", folder / "store"
        self.ledgers.mkdir()
        with database.transaction() as session:
            self.slots = [slot(session, catalog, device="gpu") for _ in range(2)]
            for identity in self.slots:
                session.get_one(Slot, identity.slot_id).gpu_uuid = f"GPU-{identity.slot_id}"

    def submit(self, name: str, key: str, seed: int) -> int:
        planned = plan({**SPEC, "seed": seed}, self.catalog)
        with self.database.transaction() as session:
            made = submissions.submit(session, person(session, name), planned, key, key)
        self.note("acknowledged", user=name, key=key, experiment=made.experiment_id,
                  trials=list(made.trial_ids))  # fmt: skip
        return made.trial_ids[0]

    def claim(self, index: int = 0) -> Claim:
        with self.database.transaction() as session:
            claim = claims.claim(session, self.slots[index], TTL_S)
        assert claim is not None
        [work] = claim.trials
        resumed = work.resume.epoch if work.resume else None
        self.note("ran", what="begin", trial=work.trial_id, fence=work.fence, pid=work.fence,
                  resumed=resumed)  # fmt: skip
        with self.database.transaction() as session:
            environment = {"device": "gpu", "resumed_epoch": resumed}
            owner.note_started(session, work.trial_id, work.fence, environment)
        return claim

    def checkpoint(self, claim: Claim, epoch: int, best: bool = True) -> None:
        [work] = claim.trials
        key = f"trials/{work.trial_id}/{work.fence}/epoch-{epoch}.npz"
        path = self.store / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"epoch {epoch}".encode())
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        chunk = findings.Chunk("loss", [epoch], [float(epoch)], [0.1], [1.0])
        record = findings.CheckpointRecord(epoch, key, sha256, 7, 0.5, best)
        with self.database.transaction() as session:
            findings.record_metrics(session, work.trial_id, work.fence, [chunk])
            dropped = findings.record_checkpoint(session, work.trial_id, work.fence, record)
        for obsolete in dropped:
            (self.store / obsolete).unlink()

    def succeed(self, claim: Claim, epochs: int = 2, early: bool = False) -> None:
        [work] = claim.trials
        summary = {"weights_sha256": weights_after(work.spec["seed"], epochs), "epochs": epochs}
        with self.database.transaction() as session:
            owner.succeed(session, work.trial_id, work.fence, {"a": 1.0}, summary, early)

    def lose(self, claim: Claim) -> None:
        """Its lease runs out, and the sweeper takes it back."""
        with self.database.transaction() as session:
            past = update(Lease).where(Lease.id == claim.lease_id).values(expires_at=0.0)
            session.execute(past)
            assert sweeper.sweep_expired(session) == [claim.trials[0].trial_id]

    def ask(self, name: str, what: str, trial_id: int) -> None:
        command = getattr(commands, f"{what}_trial")
        with self.database.transaction() as session:
            command(session, trial(session, trial_id), person(session, name))
        self.note("asked", user=name, what=what, trial=trial_id, status=200)

    def now(self) -> float:
        with self.database.snapshot() as session:
            return now(session)

    def note(self, ledger: str, **told: Any) -> None:
        line = {"at": self.now(), **told}
        with (self.ledgers / f"{ledger}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def seen(self) -> Seen:
        url = self.database.url.render_as_string(hide_password=False)
        return read(url, self.ledgers, self.store)


def lived_through(database: Database, catalog: Catalog, folder: Path) -> Seen:
    """Losses, a pause, a stop, cancels, a crash and a hold, all as they should be."""
    history = History(database, catalog, folder)
    lost = history.submit("ada", "one", 1)
    claim = history.claim()
    history.checkpoint(claim, 1)
    history.lose(claim)
    again = history.claim()
    assert again.trials[0].trial_id == lost
    history.checkpoint(again, 2)
    history.checkpoint(again, 3)
    history.checkpoint(again, 4, best=False)
    history.succeed(again)
    never = history.submit("ben", "two", 2)
    history.ask("ben", "cancel", never)
    paused = history.submit("ben", "three", 3)
    claim = history.claim()
    history.checkpoint(claim, 1)
    history.ask("ben", "pause", paused)
    with database.transaction() as session:
        owner.pause(session, paused, claim.trials[0].fence)
    history.ask("ben", "stop", paused)
    history.succeed(history.claim(), epochs=1, early=True)
    crashed = history.submit("ada", "four", 4)
    claim = history.claim()
    history.note("faults", what="kill_runner", pid=claim.trials[0].fence)
    with database.transaction() as session:
        owner.fail(session, crashed, claim.trials[0].fence, "crashed", "It was killed.")
    # Two at once, taken in turn, the second one after it was held and cancelled by its owner.
    first, second = history.submit("ada", "five", 5), history.submit("ben", "six", 6)
    history.ask("ben", "pause", second)
    claim = history.claim()
    assert claim.trials[0].trial_id == first
    history.ask("ben", "resume", second)
    other = history.claim(1)
    history.ask("ben", "cancel", second)
    with database.transaction() as session:
        owner.cancel(session, second, other.trials[0].fence, "Cancelled.")
    history.succeed(claim)
    return history.seen()


def first(rows: list[Row], **wanted: Any) -> Row:
    return next(row for row in rows if all(row[name] == value for name, value in wanted.items()))


def harmed(seen: Seen, harm: Harm) -> Seen:
    """A copy with the harm done to it."""
    # Not the object itself, which remembers what it has grouped.
    parts = {part.name: copy.deepcopy(getattr(seen, part.name)) for part in fields(seen)}
    copied = Seen(**parts)
    harm(copied)
    return copied


def found_after(clean: Seen, harm: Harm) -> set[str]:
    """What the checker names in a history that was clean before the harm."""
    assert checker.judge(clean) == []
    return {violation.invariant for violation in checker.judge(harmed(clean, harm))}


def str_of(value: object) -> str:
    """A harm's name, for the names of tests."""
    return str(getattr(value, "__name__", value))
