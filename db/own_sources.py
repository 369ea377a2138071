"""Kernels' source that users brought: who may submit it, who may read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.clock import db_now
from db.grants import capabilities_of
from db.models import KernelSource, Trial, User
from db.rows import insert_if_absent
from labpool.errors import LabpoolError, Problem, SpecError, pointer
from labpool.own_source import KERNELS, digest_in, own_source
from labpool.planning import Plan


class SourceWithheld(LabpoolError):
    """The trial's own source may not run."""


def admit(session: Session, user: User, plan: Plan, *, is_admin: bool, is_on: bool) -> Plan:
    """The plan with the text of each source that it names, if ``user`` may run it.

    ``is_on`` says whether the pool takes own source at all; an administrator may name anybody's.
    Raises SpecError.
    """
    names = {name for trial in plan.trials if (name := own_source(trial.spec)) is not None}
    if not names:
        return plan
    where = pointer("base", "source") if plan.kind == "sweep" else pointer("source")
    grant = f"labpool user grant {user.name} {KERNELS}"
    if not is_on:
        message = "kernels of one's own are switched off on this pool."
        hint = "Whoever runs it can set LABPOOL_OWN_KERNELS=true; then an administrator grants"
        raise SpecError([Problem(where, message, f"{hint} them: {grant}")])
    if KERNELS not in capabilities_of(session, user.id):
        message = f"{user.name} may not run kernels of their own."
        raise SpecError([Problem(where, message, f"An administrator can grant it: {grant}")])
    texts = dict(plan.sources)
    for name in sorted(names - texts.keys()):
        text = _text(session, name, None if is_admin else user.id)
        if text is None:
            message = "you have submitted no source of this digest."
            raise SpecError([Problem(where, message, "Give its text.")])
        texts[name] = text
    return replace(plan, sources=texts)


def keep(session: Session, owner_id: int, sources: Mapping[str, str]) -> None:
    """Store each text, by name, as its owner's."""
    for name, text in sources.items():
        insert_if_absent(
            session,
            KernelSource,
            owner_id=owner_id,
            sha256=digest_in(name),
            text=text,
            created_at=db_now(),
        )


def source_of(session: Session, trial_id: int) -> str | None:
    """The text of a trial's own source; None where it runs the catalog's."""
    trial = session.get_one(Trial, trial_id)
    name = own_source(trial.spec)
    return None if name is None else _text(session, name, trial.owner_id)


def source_to_run(session: Session, trial_id: int) -> str | None:
    """The same for the slot that is to run it. Raises SourceWithheld."""
    text = source_of(session, trial_id)
    trial = session.get_one(Trial, trial_id)
    if own_source(trial.spec) is None:
        return None
    if text is None:
        raise SourceWithheld("It is not in the database any more; submit it again.")
    if KERNELS not in capabilities_of(session, trial.owner_id):
        user = session.get_one(User, trial.owner_id)
        raise SourceWithheld(
            f"{user.name} may not run kernels of their own any more. An administrator can grant "
            f"it again: labpool user grant {user.name} {KERNELS}"
        )
    return text


def _text(session: Session, name: str, owner_id: int | None) -> str | None:
    query = select(KernelSource.text).where(KernelSource.sha256 == digest_in(name))
    if owner_id is not None:
        query = query.where(KernelSource.owner_id == owner_id)
    return session.scalars(query.limit(1)).one_or_none()
