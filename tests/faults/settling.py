"""The end of a chaos run: with the faults over, everything has to come to an end."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

import httpx
from sqlalchemy import select

from db.engine import Database
from db.models import Experiment, Trial, User
from db.states import TERMINAL
from tests.faults.checks.seen import Violation
from tests.faults.cluster import Cluster
from tests.faults.people import Person
from tests.faults.plans import Size


def settle(
    cluster: Cluster, members: list[Person], database: Database, size: Size
) -> tuple[float, list[Violation]]:
    """Let go what is held back, and wait for the end of everything; how long, and what did not."""
    begun = time.monotonic()
    with ExitStack() as stack:
        clients = {
            member.name: stack.enter_context(
                httpx.Client(
                    base_url=member.url, headers={"Authorization": f"Bearer {member.token}"},
                    timeout=20.0, trust_env=False,
                )
            )
            for member in members
        }  # fmt: skip
        people = {member.name: member for member in members}
        while left := _unended(database):
            cluster.tick()
            if time.monotonic() - begun > size.bound_s:
                break
            for experiment, owner in _paused_sweeps(database):
                people[owner].ask_sweep(clients[owner], experiment, "resume_sweep")
            for trial, owner, waits in left:
                if waits:
                    people[owner].ask(clients[owner], trial, "resume")
            time.sleep(0.5)
    late = [Violation("I15", f"trial {trial} did not end within {size.bound_s:g} s")
            for trial, *_ in left]  # fmt: skip
    return time.monotonic() - begun, late


def _unended(database: Database) -> list[tuple[int, str, bool]]:
    """Trials that have not ended: their owner, and whether somebody has to let them go."""
    with database.snapshot() as session:
        rows = session.execute(
            select(Trial.id, User.name, Trial.state, Trial.held, Trial.wish, Trial.at_rung)
            .join(User, User.id == Trial.owner_id)
            .where(Trial.state.not_in(list(TERMINAL)))
        ).all()
    return [(row.id, row.name, _waits_for_its_owner(row)) for row in rows]


def _waits_for_its_owner(row: Any) -> bool:
    # What waits at its rung goes on when its sweep's search wants it to.
    paused = row.state == "paused" and not row.at_rung
    return paused or row.held or row.wish == "pause"


def _paused_sweeps(database: Database) -> list[tuple[int, str]]:
    """Sweeps that make no trials and let none go on until somebody lets them, and their owners."""
    with database.snapshot() as session:
        rows = session.execute(
            select(Experiment.id, User.name)
            .join(User, User.id == Experiment.owner_id)
            .where(Experiment.search_halt == "paused")
        ).all()
    return [(row.id, row.name) for row in rows]
