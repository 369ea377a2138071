"""The database is away for five minutes: nothing that is healthy may be requeued for it.

Three hosts with two busy slots each lose the database together. Time is stepped, the database's
clock and the hosts' monotonic ones: when it comes back, every lease has been past for minutes. Two
hosts come back at once, the third a minute later, and a fourth starts at the worst moment, when it
has seen no outage and finds all leases past. All four sweep all along.

Afterwards all hosts sleep for five minutes, as laptops do: no error is seen, their own clocks stand
still, and again every lease is past.

One more trial belongs to a slot that died before. Its being taken back shows that the sweepers were
at work. Slots, database and runners are real processes and threads; the runners train nothing.
"""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import event, func, select, text
from sqlalchemy.exc import OperationalError

from db import claims, commands
from db.artifacts import FolderStore
from db.clock import POSTGRES_SETTING, db_now
from db.engine import Database
from db.models import Attempt, Lease, Trial
from db.states import TERMINAL, TrialState
from labpool.catalog import Catalog
from labpool.settings import CHECKOUT
from tests.support import fake_runner, pool
from tests.support.databases import KINDS, Fresh, fresh_database
from tests.support.fake_runner import seed_of
from tests.support.slots import (
    DEVICE,
    FAKE_RUNNER,
    behaving,
    settings_for,
    submit,
    trial,
    wait_until,
)
from worker.pool import SlotPool

HOSTS, SLOTS = 3, 2
OUTAGE_S, LATE_S, TTL_S = 300.0, 60.0, 90.0
STEP_S, STEP_QUICK_S, STEP_AT_WORK_S = 1.0, 10.0, 30.0
BREAK_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
NOTICE_S, SEVERAL_BEATS_S = 0.05, 1.0

BOUNDS = {"healthy_requeued": "== 0", "dead_requeued": "== swept_databases"}


def figures(quick: bool, fresh: Fresh = fresh_database) -> dict[str, float | int | bool | None]:
    """Healthy trials that an outage disturbed, and dead ones that were taken back; must be all."""
    healthy = dead = 0
    for kind in KINDS:
        disturbed, swept = _outage(fresh(kind), STEP_QUICK_S if quick else STEP_S)
        print(f"  {kind}: {disturbed} of {HOSTS * SLOTS} healthy trials disturbed")
        healthy, dead = healthy + disturbed, dead + swept
    return {"healthy_requeued": healthy, "dead_requeued": dead, "swept_databases": len(KINDS)}


class Clock:
    """A monotonic clock that can be stepped; the database's goes along, and on when hosts sleep."""

    def __init__(self) -> None:
        self.offset_s = 0.0
        self.slept_s = 0.0

    @property
    def database_offset_s(self) -> float:
        return self.offset_s + self.slept_s

    def __call__(self) -> float:
        return time.monotonic() + self.offset_s

    def step(self, seconds: float, at_once_s: float) -> None:
        """Let time pass, so many seconds at once; threads have the time to notice each."""
        for _ in range(round(seconds / at_once_s)):
            self.offset_s += at_once_s
            time.sleep(NOTICE_S)


class Door:
    """One process's way to the database; it can be shut. The database's clock is stepped here."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.is_shut = False

        @event.listens_for(database.engine, "begin")
        def begin(connection: Any) -> None:
            if self.is_shut:
                raise OperationalError("BEGIN", {}, OSError("the database is away"))
            if database.dialect == "postgresql":
                connection.exec_driver_sql(f"SET {POSTGRES_SETTING} = '{clock.database_offset_s}'")
            database.clock_offset_s = clock.database_offset_s


@dataclass
class Pool:
    """Hosts on one database, and what they hold."""

    database: Database
    clock: Clock
    folder: Path
    stack: ExitStack
    hosts: list[SlotPool]
    doors: list[Door]
    healthy: list[int]

    def start_host(self) -> None:
        """One more host."""
        number = len(self.hosts)
        settings = settings_for(
            self.database,
            self.folder / f"host-{number}",
            store_dir=self.folder / "store",
            lease_ttl_s=TTL_S,
        )
        host = SlotPool(settings, [DEVICE] * SLOTS, FAKE_RUNNER, self.clock)
        self.doors.append(Door(host._database, self.clock))
        self.hosts.append(host)
        host.start()
        self.stack.callback(host.join)
        self.stack.callback(host.close)

    def shut(self) -> None:
        """The database is away for everybody; connections that there are break."""
        for door in self.doors:
            door.is_shut = True
        if self.database.dialect == "postgresql":
            with self.database.engine.begin() as connection:
                connection.execute(text(BREAK_OTHERS))

    def open(self, doors: Sequence[Door]) -> None:
        """It is back, for these."""
        for door in doors:
            door.is_shut = False

    def pass_time(self, seconds: float, beating: int) -> None:
        """Let time pass for hosts at work: each of their leases beats in between."""
        almost_s = TTL_S - STEP_AT_WORK_S / 2
        for _ in range(round(seconds / STEP_AT_WORK_S)):
            self.clock.step(STEP_AT_WORK_S, STEP_AT_WORK_S)
            wait_until(lambda: self.fresh(self.healthy, almost_s) >= beating, "heartbeats")

    def fresh(self, trials: Sequence[int], for_s: float = 0.0) -> int:
        """How many of these trials have a lease that is not past, ``for_s`` from now neither."""
        with self.database.snapshot() as session:
            statement = (
                select(func.count())
                .select_from(Trial)
                .join(Lease, Lease.id == Trial.lease_id)
                .where(Trial.id.in_(trials), Lease.expires_at > db_now() + for_s)
            )
            return session.scalar(statement) or 0

    def disturbed(self, trials: Sequence[int]) -> int:
        """How many of these do not run on as they were claimed at first."""
        with self.database.snapshot() as session:
            rows = session.scalars(select(Trial).where(Trial.id.in_(trials))).all()
            again = session.scalars(
                select(Attempt.trial_id).where(Attempt.trial_id.in_(trials), Attempt.fence > 1)
            ).all()
        ended = {row.id for row in rows if row.state is not TrialState.RUNNING or row.fence != 1}
        return len(ended | set(again))


@contextmanager
def _pool(fresh: AbstractContextManager[Database]) -> Iterator[Pool]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lp-")))
        database, clock = stack.enter_context(fresh), Clock()
        Door(database, clock)
        yield Pool(database, clock, folder, stack, [], [], [])


def _outage(fresh: AbstractContextManager[Database], step_s: float) -> tuple[int, int]:
    """Healthy trials that were disturbed, dead ones that were taken back."""
    catalog = Catalog.load([CHECKOUT / "catalog"])
    spec = behaving(seed_of(fake_runner.goes_on))
    with _pool(fresh) as running:
        database, clock = running.database, running.clock
        [dead] = submit(database, catalog, spec)
        _claim_and_die(running, catalog)
        healthy = [submit(database, catalog, spec)[0] for _ in range(HOSTS * SLOTS)]
        running.healthy = healthy
        for _ in range(HOSTS):
            running.start_host()
        wait_until(lambda: running.fresh(healthy) == len(healthy), "busy slots")

        running.shut()
        clock.step(OUTAGE_S, step_s)
        assert running.fresh(healthy) == 0, "nothing was past: there was no outage"
        running.start_host()
        running.open(running.doors[: HOSTS - 1])
        wait_until(lambda: running.fresh(healthy) == (HOSTS - 1) * SLOTS, "the first hosts back")
        running.pass_time(LATE_S, (HOSTS - 1) * SLOTS)
        running.open(running.doors)
        wait_until(lambda: running.fresh(healthy) == len(healthy), "the last host back")
        running.pass_time(TTL_S, len(healthy))
        wait_until(lambda: trial(database, dead).fence > 1, "an end of the dead trial's lease")

        clock.slept_s = OUTAGE_S
        wait_until(lambda: running.fresh(healthy) == len(healthy), "heartbeats after a sleep")
        # Several looks of every sweeper; they come with the heartbeats.
        time.sleep(SEVERAL_BEATS_S)
        _check_that_it_goes_on(database, healthy)
        disturbed = running.disturbed(healthy)
        _cancel(database, running.hosts, [dead, *healthy])
    return disturbed, 1


def _claim_and_die(running: Pool, catalog: Catalog) -> None:
    store_id = FolderStore(running.folder / "store").store_id
    with running.database.transaction() as session:
        gone = pool.slot(session, catalog, host=socket.gethostname(), store_id=store_id)
        assert claims.claim(session, gone, TTL_S) is not None


def _check_that_it_goes_on(database: Database, trials: Sequence[int]) -> None:
    """Runners that were held still go on: each brings more than it had."""
    before = {trial_id: trial(database, trial_id).progress_done for trial_id in trials}
    wait_until(
        lambda: all(trial(database, one).progress_done > before[one] for one in trials),
        "progress after the outage",
    )


def _cancel(database: Database, hosts: Sequence[SlotPool], trials: Sequence[int]) -> None:
    with database.transaction() as session:
        user = pool.person(session)
        for trial_id in trials:
            commands.cancel_trial(session, session.get_one(Trial, trial_id), user)
    for host in hosts:
        host.ring()
    wait_until(
        lambda: all(trial(database, one).state in TERMINAL for one in trials), "the trials' end"
    )
