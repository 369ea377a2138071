"""Users and their tokens.

A token is ``lp_<id>_<secret>``: 256 random bits, of which only the hash is kept.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Collection, Sequence
from hashlib import sha256
from typing import Literal

from sqlalchemy import CursorResult, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db import clock
from db.clock import db_now
from db.errors import NameTaken, NotPossible
from db.models import Token, Trial, User
from db.states import TERMINAL, Purpose, Role, TrialState

USER_NAME = re.compile(r"[a-z][a-z0-9._-]{0,62}")
Refusal = Literal["wrong", "used", "revoked", "expired", "disabled"]
LEAST_SHARE, LARGEST_SHARE = 0.01, 1000.0
MOST_RUNNING = 2**31 - 1
_TOKEN = re.compile(r"lp_([0-9]{1,18})_([A-Za-z0-9_-]{43})")
# Noting every use would make every request write.
_USE_NOTED_EVERY_S = 60.0


def add_user(session: Session, name: str, role: Role | str = Role.MEMBER) -> User:
    """A new user. Raises NameTaken; NotPossible for a name that is none."""
    if not USER_NAME.fullmatch(name):
        raise NotPossible(
            f"a user's name begins with a small letter and holds a-z, 0-9, . _ and -, not {name!r}"
        )
    user = User(name=name, role=Role(role), share=1.0, created_at=clock.now(session))
    try:
        with session.begin_nested():
            session.add(user)
    except IntegrityError:
        raise NameTaken(name) from None
    return user


def find_user(session: Session, name: str) -> User | None:
    """The user of this name."""
    return session.scalars(select(User).where(User.name == name)).one_or_none()


def list_users(session: Session) -> Sequence[User]:
    """Everybody, by name."""
    return session.scalars(select(User).order_by(User.name)).all()


def count_users(session: Session) -> int:
    """How many users there are, disabled ones included."""
    return session.scalar(select(func.count()).select_from(User)) or 0


def set_user_disabled(session: Session, name: str, disabled: bool) -> User:
    """Shut a user out, or let them in again. Raises NotPossible for the last active admin."""
    user = find_user(session, name)
    if user is None:
        raise NotPossible(f"there is no user {name!r}")
    if disabled and user.role is Role.ADMIN and _is_last_admin(session, user):
        raise NotPossible(f"{name!r} is the last active admin")
    user.disabled_at = clock.now(session) if disabled else None
    return user


def set_user_role(session: Session, name: str, role: Role | str) -> User:
    """Make somebody an admin, or no longer one. Raises NotPossible for the last active admin."""
    user = find_user(session, name)
    if user is None:
        raise NotPossible(f"there is no user {name!r}")
    if Role(role) is not Role.ADMIN and user.role is Role.ADMIN and _is_last_admin(session, user):
        raise NotPossible(f"{name!r} is the last active admin")
    user.role = Role(role)
    return user


def set_user_limits(
    session: Session,
    name: str,
    *,
    share: float | None = None,
    max_running: int | Literal["default"] | None = None,
) -> User:
    """Change a user's share, or the most slots that they may hold; None leaves it as it is.

    ``default`` takes the pool's own limit again. Raises NotPossible.
    """
    user = find_user(session, name)
    if user is None:
        raise NotPossible(f"there is no user {name!r}")
    if share is not None:
        if not LEAST_SHARE <= share <= LARGEST_SHARE:
            raise NotPossible(f"a share is a number from {LEAST_SHARE} to {LARGEST_SHARE:g}")
        user.share = share
    if max_running == "default":
        user.max_running = None
    elif max_running is not None:
        if not 1 <= max_running <= MOST_RUNNING:
            raise NotPossible(f"the most slots at once is a whole number from 1 to {MOST_RUNNING}")
        user.max_running = max_running
    return user


def open_trials(session: Session, user: User) -> tuple[int, int, list[int]]:
    """How many of a user's trials wait (paused ones too), how many run, in which experiments."""
    rows = session.execute(
        select(Trial.experiment_id, Trial.state, func.count())
        .where(Trial.owner_id == user.id, Trial.state.not_in(list(TERMINAL)))
        .group_by(Trial.experiment_id, Trial.state)
    ).all()
    running = sum(count for _, state, count in rows if state is TrialState.RUNNING)
    total = sum(count for _, _, count in rows)
    return total - running, running, sorted({experiment for experiment, _, _ in rows})


def names_of(session: Session, user_ids: Collection[int]) -> dict[int, str]:
    """Users' names by their ids."""
    rows = session.execute(select(User.id, User.name).where(User.id.in_(list(user_ids))))
    return dict(rows.all())


def _is_last_admin(session: Session, user: User) -> bool:
    # Locked in one order: two admins who shut each other out at once take turns.
    admins = session.scalars(
        select(User.id)
        .where(User.role == Role.ADMIN, User.disabled_at.is_(None))
        .order_by(User.id)
        .with_for_update(key_share=True)
    ).all()
    return not [admin for admin in admins if admin != user.id]


def issue_token(
    session: Session,
    user: User,
    purpose: Purpose | str,
    label: str = "",
    lifetime_s: float | None = None,
) -> tuple[Token, str]:
    """A new token and its text, which is shown once and kept nowhere."""
    secret = secrets.token_urlsafe(32)
    now = clock.now(session)
    token = Token(
        user_id=user.id,
        purpose=Purpose(purpose),
        label=label[:200],
        secret_sha256=_hash(secret),
        created_at=now,
        expires_at=None if lifetime_s is None else now + lifetime_s,
    )
    session.add(token)
    session.flush()
    return token, f"lp_{token.id}_{secret}"


def authenticate(session: Session, text: str, purpose: Purpose | str) -> User | None:
    """Whose token this is; None when it is wrong, expired, revoked, or its user is disabled."""
    token = _valid(session, text, Purpose(purpose))
    return None if token is None else session.get_one(User, token.user_id)


def note_use(session: Session, text: str) -> None:
    """Remember that a token was used, at most once a minute. ``text`` was authenticated before."""
    matched = _TOKEN.fullmatch(text)
    if matched is None:
        return
    session.execute(
        update(Token)
        .where(
            Token.id == int(matched[1]),
            or_(Token.used_at.is_(None), Token.used_at < db_now() - _USE_NOTED_EVERY_S),
        )
        .values(used_at=db_now())
        .execution_options(synchronize_session=False)
    )


def redeem_sign_in(session: Session, text: str) -> User | None:
    """Whose sign-in link this is; it works once, however many try at the same time."""
    token = _valid(session, text, Purpose.SIGN_IN)
    if token is None:
        return None
    result = session.execute(
        update(Token)
        .where(Token.id == token.id, Token.used_at.is_(None), Token.revoked_at.is_(None))
        .values(used_at=db_now(), revoked_at=db_now())
        .execution_options(synchronize_session=False)
    )
    assert isinstance(result, CursorResult)
    return session.get_one(User, token.user_id) if result.rowcount == 1 else None


def why_refused(session: Session, text: str, purpose: Purpose | str) -> Refusal:
    """Why this text signs nobody in. Only who holds the right secret learns more than "wrong"."""
    matched = _TOKEN.fullmatch(text)
    token = session.get(Token, int(matched[1])) if matched else None
    if not matched or not token or not hmac.compare_digest(token.secret_sha256, _hash(matched[2])):
        return "wrong"
    if token.purpose is not Purpose(purpose):
        return "wrong"
    if session.get_one(User, token.user_id).disabled_at is not None:
        return "disabled"
    if token.revoked_at is not None:
        return "used" if token.purpose is Purpose.SIGN_IN and token.used_at else "revoked"
    return "expired"


def revoke_sessions(session: Session, user: User) -> None:
    """Sign a user out of every browser."""
    session.execute(
        update(Token)
        .where(
            Token.user_id == user.id,
            Token.purpose == Purpose.SESSION,
            Token.revoked_at.is_(None),
        )
        .values(revoked_at=db_now())
        .execution_options(synchronize_session=False)
    )


def revoke_token(session: Session, token_id: int, by: User) -> bool:
    """End a token: one's own, or anybody's for an admin. False when there is none to end."""
    token = session.get(Token, token_id)
    if token is None or token.revoked_at is not None:
        return False
    if token.user_id != by.id and by.role is not Role.ADMIN:
        return False
    token.revoked_at = clock.now(session)
    return True


def end_token(session: Session, token_id: int) -> bool:
    """End anybody's token: for whoever runs the pool's machine. False when there is none to end."""
    token = session.get(Token, token_id)
    if token is None or token.revoked_at is not None:
        return False
    token.revoked_at = clock.now(session)
    return True


def revoke_text(session: Session, text: str) -> None:
    """End the token whose text this is, as signing out does."""
    matched = _TOKEN.fullmatch(text)
    token = session.get(Token, int(matched[1])) if matched else None
    if matched and token and hmac.compare_digest(token.secret_sha256, _hash(matched[2])):
        token.revoked_at = clock.now(session)


def list_tokens(session: Session, user: User) -> Sequence[Token]:
    """A user's API tokens, newest first."""
    statement = (
        select(Token)
        .where(Token.user_id == user.id, Token.purpose == Purpose.API)
        .order_by(Token.id.desc())
    )
    return session.scalars(statement).all()


def _valid(session: Session, text: str, purpose: Purpose) -> Token | None:
    matched = _TOKEN.fullmatch(text)
    if matched is None:
        return None
    statement = (
        select(Token)
        .join(User, User.id == Token.user_id)
        .where(
            Token.id == int(matched[1]),
            Token.purpose == purpose,
            Token.revoked_at.is_(None),
            or_(Token.expires_at.is_(None), Token.expires_at > db_now()),
            User.disabled_at.is_(None),
        )
    )
    token = session.scalars(statement).one_or_none()
    # The secret is compared even where there is no such token, so that time tells nothing.
    expected = token.secret_sha256 if token else bytes(32)
    return token if hmac.compare_digest(expected, _hash(matched[2])) and token else None


def _hash(secret: str) -> bytes:
    # The secret is 256 random bits: there is nothing to guess, so nothing that a slow hash adds.
    return sha256(secret.encode()).digest()
