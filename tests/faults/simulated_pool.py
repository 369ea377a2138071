"""A pool whose time is stepped from one event to the next, on the real code of `db/`.

Claims and ends are the real transactions; only the runs between them are left out.
"""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import event, insert, select, text
from sqlalchemy.orm import Session

from db import claims, owner
from db.clock import POSTGRES_SETTING
from db.engine import Database
from db.fairness import Rules
from db.models import Experiment, Lease, Trial, User
from labpool.catalog import Catalog
from tests.support import pool

FOREVER_S = 1e7


@dataclass
class Job:
    """A trial: whose, how long it runs, and what became of it; times since the beginning."""

    user: str
    seconds: float
    queued_s: float = 0.0
    priority: int = 0
    device: str = "any"
    trial_id: int = 0
    starts_s: list[float] = field(default_factory=list)
    given_back_s: list[float] = field(default_factory=list)
    ended_s: float | None = None
    by_age: bool = False

    @property
    def runs(self) -> bool:
        """Whether a slot holds it."""
        return self.ended_s is None and len(self.starts_s) > len(self.given_back_s)

    def waits(self, now_s: float) -> Iterator[tuple[float, float]]:
        """From when to when it waited; the last one may not be over by now."""
        begins = [self.queued_s, *self.given_back_s]
        for number, begun_s in enumerate(begins):
            yield begun_s, self.starts_s[number] if number < len(self.starts_s) else now_s


@dataclass(frozen=True)
class Round:
    """What each user held after all slots that came free at one moment were given away."""

    at_s: float
    freed: int
    running: Counter[str]


@dataclass
class _Slot:
    identity: claims.SlotIdentity
    held: tuple[int, int] | None = None  # trial and fence


@dataclass
class SimulatedPool:
    """Slots and users on one database, from second 0 on.

    With `at_once`, slots that are free at one moment claim in a thread each, all at the same time.
    At each of `restarts_s` the workers are shut down: what runs is given back and begins anew.
    """

    database: Database
    catalog: Catalog
    devices: Sequence[str]
    users: Sequence[str]
    rules: Rules
    seed: int = 0
    at_once: bool = False
    restarts_s: Sequence[float] = ()
    jobs: dict[int, Job] = field(default_factory=dict)
    rounds: list[Round] = field(default_factory=list)
    now_s: float = 0.0

    def __post_init__(self) -> None:
        self._begun_at = time.time()
        self._random = random.Random(self.seed)
        self._numbers = itertools.count(1)
        if self.database.dialect == "sqlite":
            # A simulated pool loses nothing that matters when the power fails.
            event.listen(self.database.engine, "connect", _write_lazily)
        self._waiting_jobs: list[tuple[float, int, Job]] = []
        with self.transaction() as session:
            for name in self.users:
                pool.person(session, name)
            session.flush()
            people = {user.name: user.id for user in session.scalars(select(User))}
            [template] = pool.submitted(session, self.catalog, pool.person(session, "template"))
            row = session.get_one(Trial, template)
            self._columns: dict[str, Any] = {
                column.key: getattr(row, column.key)
                for column in Trial.__table__.columns
                if column.key != "id"
            }
            self._columns["point"] = None  # no copy is a point of the template's search
            row.held = True
            self._owners = {name: people[name] for name in self.users}
            self._experiments = {name: _experiment(session, people[name]) for name in self.users}
            self._slots = [
                _Slot(pool.slot(session, self.catalog, device=device)) for device in self.devices
            ]

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A transaction at the simulated moment."""
        offset_s = self._begun_at + self.now_s - time.time()
        self.database.clock_offset_s = offset_s
        with self.database.transaction() as session:
            if self.database.dialect == "postgresql":
                session.execute(
                    text(
                        "SELECT set_config(:name, :offset, true), "
                        "set_config('synchronous_commit', 'off', true)"
                    ),
                    {"name": POSTGRES_SETTING, "offset": str(offset_s)},
                )
            yield session

    def submit(self, jobs: Sequence[Job]) -> None:
        """Have them come in at their times."""
        for job in jobs:
            heapq.heappush(self._waiting_jobs, (job.queued_s, next(self._numbers), job))

    def run(self, until_s: float) -> None:
        """Step from event to event until then."""
        ends: list[tuple[float, int, _Slot]] = []
        restarts = sorted(((at_s,) for at_s in self.restarts_s), reverse=True)
        while True:
            coming = [queue[0][0] for queue in (ends, self._waiting_jobs, restarts[-1:]) if queue]
            if not coming or min(coming) > until_s:
                break
            self.now_s = min(coming)
            self._let_in()
            while ends and ends[0][0] <= self.now_s:
                self._end(heapq.heappop(ends)[2])
            if restarts and restarts[-1][0] <= self.now_s:
                restarts.pop()
                for _, _, slot in ends:
                    self._give_back(slot)
                ends.clear()
            free = [slot for slot in self._slots if slot.held is None]
            self._random.shuffle(free)
            taken = self._claim_at_once(free) if self.at_once else self._claim_in_turn(free)
            for slot in taken:
                assert slot.held is not None
                end_s = self.now_s + self.jobs[slot.held[0]].seconds
                heapq.heappush(ends, (end_s, next(self._numbers), slot))
            running = Counter(self.jobs[slot.held[0]].user for slot in self._slots if slot.held)
            self.rounds.append(Round(self.now_s, len(taken), running))
        self.now_s = until_s

    def slot_seconds(self) -> dict[str, float]:
        """What each user had of the slots so far."""
        used = dict.fromkeys(self.users, 0.0)
        for job in self.jobs.values():
            if job.starts_s:
                used[job.user] += min(job.seconds, self.now_s - job.starts_s[-1])
        return used

    def _let_in(self) -> None:
        due = []
        while self._waiting_jobs and self._waiting_jobs[0][0] <= self.now_s:
            due.append(heapq.heappop(self._waiting_jobs)[2])
        if not due:
            return
        rows = [
            {
                **self._columns, "owner_id": self._owners[job.user],
                "experiment_id": self._experiments[job.user], "number": next(self._numbers),
                "queued_at": self._begun_at + job.queued_s, "priority": job.priority,
                "device": job.device,
            }
            for job in due
        ]  # fmt: skip
        with self.transaction() as session:
            made = insert(Trial).returning(Trial.id, sort_by_parameter_order=True)
            for job, trial_id in zip(due, session.scalars(made, rows), strict=True):
                job.trial_id = trial_id
                self.jobs[trial_id] = job

    def _claim_in_turn(self, free: Sequence[_Slot]) -> list[_Slot]:
        return [slot for slot in free if self._claim(slot)]

    def _claim_at_once(self, free: Sequence[_Slot]) -> list[_Slot]:
        if not free:
            return []
        all_ready = threading.Barrier(len(free))
        with ThreadPoolExecutor(len(free)) as threads:
            given = list(threads.map(lambda slot: self._claim(slot, all_ready.wait), free))
        return [slot for slot, found in zip(free, given, strict=True) if found]

    def _claim(self, slot: _Slot, wait: Callable[[], object] = lambda: None) -> bool:
        # On SQLite whoever has begun holds the others off.
        if self.database.dialect == "sqlite":
            wait()
        with self.transaction() as session:
            if self.database.dialect != "sqlite":
                wait()
            found = claims.claim(session, slot.identity, FOREVER_S, 1, self.rules)
            if found is None:
                return False
            [trial] = found.trials
            job = self.jobs[trial.trial_id]
            job.starts_s.append(self.now_s)
            job.by_age = session.get_one(Lease, found.lease_id).by_age
        slot.held = trial.trial_id, trial.fence
        return True

    def _end(self, slot: _Slot) -> None:
        assert slot.held is not None
        with self.transaction() as session:
            owner.succeed(session, *slot.held, {}, {})
        self.jobs[slot.held[0]].ended_s = self.now_s
        slot.held = None

    def _give_back(self, slot: _Slot) -> None:
        assert slot.held is not None
        with self.transaction() as session:
            owner.release(session, *slot.held, "Its worker was shut down.")
        self.jobs[slot.held[0]].given_back_s.append(self.now_s)
        slot.held = None


def _write_lazily(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous = OFF")


def _experiment(session: Session, owner_id: int) -> int:
    made = session.execute(
        insert(Experiment)
        .values(
            owner_id=owner_id, kind="train", name=None, notes="", tags=[], spec={}, created_at=0.0
        )
        .returning(Experiment.id)
    )
    return made.scalar_one()
