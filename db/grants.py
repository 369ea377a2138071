"""What some users may do and others may not: an administrator grants it, user by user."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from db.clock import db_now
from db.errors import NotPossible
from db.models import Grant, User
from db.rows import insert_if_absent
from labpool.own_source import KERNELS

CAPABILITIES = (KERNELS,)


def grant(session: Session, user: User, capability: str, by: str) -> bool:
    """Give ``user`` a capability; False when they have it. Raises NotPossible for one that is none.

    ``by`` says who gave it, for people to read.
    """
    _refuse_unknown(capability)
    return insert_if_absent(
        session,
        Grant,
        user_id=user.id,
        capability=capability,
        granted_by=by[:200],
        granted_at=db_now(),
    )


def revoke(session: Session, user: User, capability: str) -> bool:
    """Take it back; False when they do not have it. Raises NotPossible for one that is none.

    What waits in the queue is refused when its turn comes.
    """
    _refuse_unknown(capability)
    held = delete(Grant).where(Grant.user_id == user.id, Grant.capability == capability)
    return session.execute(held.returning(Grant.user_id)).first() is not None


def set_capabilities(session: Session, user: User, wanted: Collection[str], by: str) -> None:
    """Grant what of ``wanted`` they do not have and take back the rest. Raises NotPossible."""
    for capability in sorted({*CAPABILITIES, *wanted}):
        if capability in wanted:
            grant(session, user, capability, by)
        else:
            revoke(session, user, capability)


def capabilities_of(session: Session, user_id: int) -> list[str]:
    """What a user was granted, in order."""
    query = select(Grant.capability).where(Grant.user_id == user_id).order_by(Grant.capability)
    return list(session.scalars(query))


def _refuse_unknown(capability: str) -> None:
    if capability not in CAPABILITIES:
        known = ", ".join(CAPABILITIES)
        raise NotPossible(f"there is no capability {capability!r}; there is {known}")
