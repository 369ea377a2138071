"""Which trials rest on an upload that a user may not see.

A trial rests on the examples it was trained on, and on those of the trials whose weights it began
with. Deleted uploads count: what was private stays so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from db.models import Trial, Upload
from labpool.origins import begun_from
from labpool.uploads import key_of


class Run(Protocol):
    """What of a trial tells on which data it rests; a row of the table and a read one have it."""

    @property
    def id(self) -> int: ...
    @property
    def data_name(self) -> str | None: ...
    @property
    def spec(self) -> Mapping[str, Any]: ...


def closed_to(session: Session, runs: Iterable[Run], viewer_id: int) -> set[int]:
    """Of these trials the ids of those that rest on an upload which user `viewer_id` may not see.

    One query for the uploads of all, one more for each trial further back that they began with.
    """
    chains = {run.id: _Chain(run) for run in runs}
    known: dict[int, _Chain] = {}
    wanted = {chain.origin for chain in chains.values()} - {None}
    while wanted:
        found = session.execute(
            select(Trial.id, Trial.data_name, Trial.spec).where(Trial.id.in_(wanted))
        )
        fresh = {row.id: _Chain(row) for row in found}
        known |= fresh
        wanted = {chain.origin for chain in fresh.values()} - {None} - known.keys()
    keys = {row_id: _keys(chain, known) for row_id, chain in chains.items()}
    every = frozenset().union(*keys.values())
    closed = every - _seen(session, every, viewer_id) if every else every
    return {row_id for row_id, needed in keys.items() if needed & closed}


class _Chain:
    """One trial's own upload, and the trial that it began with."""

    def __init__(self, run: Run) -> None:
        begun = begun_from(run.spec)
        self.origin = None if begun is None else begun.trial
        self.key = key_of(run.data_name, run.spec)


def _keys(chain: _Chain | None, known: Mapping[int, _Chain]) -> frozenset[str]:
    found: set[str] = set()
    # A trial begins with one that has ended, so no chain comes back to itself.
    while chain is not None:
        if chain.key is not None:
            found.add(chain.key)
        chain = None if chain.origin is None else known.get(chain.origin)
    return frozenset(found)


def _seen(session: Session, keys: Collection[str], viewer_id: int) -> set[str]:
    query = select(Upload.key).where(
        Upload.key.in_(keys), or_(Upload.owner_id == viewer_id, Upload.public.is_(True))
    )
    return set(session.scalars(query))
