"""Short ways to fill a database for a test."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from db import claims, submissions, users, workers
from db.clock import POSTGRES_SETTING
from db.engine import Database
from db.models import Trial, User
from labpool.catalog import Catalog
from labpool.planning import plan

TRAIN: dict[str, Any] = {"kind": "train", "model": "mlp", "dataset": "digits", "epochs": 2}
_numbers = itertools.count()


def person(session: Session, name: str = "ada", role: str = "member") -> User:
    """The user of this name, made when there is none."""
    return users.find_user(session, name) or users.add_user(session, name, role)


def submitted(
    session: Session, catalog: Catalog, owner: User, raw: Mapping[str, Any] | None = None
) -> list[int]:
    """Trials of a fresh submission."""
    planned = plan({**TRAIN, **(raw or {})} if not raw or "kind" not in raw else dict(raw), catalog)
    return list(submissions.submit(session, owner, planned).trial_ids)


def slot(
    session: Session,
    catalog: Catalog,
    *,
    device: str = "cpu",
    name: str | None = None,
    kinds: tuple[str, ...] = ("train", "benchmark"),
    host: str = "here",
    code_digests: list[str] | None = None,
    store_id: str = "store",
) -> claims.SlotIdentity:
    """A registered worker with one slot."""
    worker_id = f"worker{next(_numbers)}"
    known = [entry.digest for entry in (*catalog.models.values(), *catalog.kernels.values())]
    code = known if code_digests is None else code_digests
    data = [entry.digest for entry in catalog.datasets.values()]
    info = workers.WorkerInfo(worker_id, host, 1, "0", code, data, store_id)
    [slot_id] = workers.register_worker(
        session, info, [workers.SlotInfo(index=0, device=device, name=name or device, kinds=kinds)]
    )
    return claims.SlotIdentity(slot_id, worker_id, device, kinds, code, data)


def trial(session: Session, trial_id: int) -> Trial:
    """The trial's row as it is now."""
    row = session.get_one(Trial, trial_id)
    session.refresh(row)
    return row


def step_clock(database: Database, seconds: float) -> None:
    """Move the database's clock on, for every connection made or used from now."""
    database.clock_offset_s += seconds
    if database.dialect == "postgresql":
        name = database.engine.url.database
        with database.engine.begin() as connection:
            connection.execute(
                text(f"ALTER DATABASE {name} SET {POSTGRES_SETTING} = '{database.clock_offset_s}'")
            )
        database.engine.dispose()
