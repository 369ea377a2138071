"""The end of a chaos run: with the faults over, everything has to come to an end."""

from __future__ import annotations

import time
from contextlib import ExitStack

import httpx
from sqlalchemy import select

from db.engine import Database
from db.models import Trial, User
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
            select(Trial.id, User.name, Trial.state, Trial.held, Trial.wish)
            .join(User, User.id == Trial.owner_id)
            .where(Trial.state.not_in(list(TERMINAL)))
        ).all()
    return [
        (row.id, row.name, row.state == "paused" or row.held or row.wish == "pause") for row in rows
    ]
