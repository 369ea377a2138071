"""Users and tokens as the API shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from api.schemas.base import Body, Instant, Model, RowPathId
from db.models import Token as TokenRow
from db.models import User as UserRow
from db.users import LARGEST_SHARE, LEAST_SHARE

UserName = Annotated[
    str,
    Field(
        pattern=r"^[a-z][a-z0-9._-]*$",
        max_length=63,
        description="Small letters, digits, dot, dash and underscore; begins with a letter.",
    ),
]
Label = Annotated[str, Field(max_length=120, pattern=r"^[^\x00-\x1f\x7f]*$")]
DAY_S = 24 * 3600.0


class User(Model):
    id: int
    name: str
    role: Literal["member", "admin"]
    share: float = Field(description="A user with share 2 gets twice as much as one with 1.")
    max_running: int | None = Field(
        description="Most slots at once; the pool's own limit where null."
    )
    may_run: list[str] = Field(description="What an administrator granted: kernels of their own.")
    created_at: Instant
    disabled_at: Instant | None


class UserList(Model):
    users: list[User]


class NewUserBody(Body):
    name: UserName
    role: Literal["member", "admin"] = "member"


class UserChangeBody(Body):
    """What is left out stays as it is."""

    disabled: bool | None = Field(
        default=None, description="A disabled user's tokens and sessions no longer work."
    )
    share: Annotated[float, Field(ge=LEAST_SHARE, le=LARGEST_SHARE)] | None = Field(
        default=None, description="A user with share 2 gets twice as much as one with 1."
    )
    max_running: Annotated[int, Field(ge=1, le=2**31 - 1)] | Literal["default"] | None = Field(
        default=None, description="Most slots at once; default takes the pool's own limit."
    )
    may_run: Annotated[list[Literal["kernels"]], Field(max_length=1)] | None = Field(
        default=None, description="[kernels] grants kernels of their own, [] takes that back."
    )


class SignInLink(Model):
    """A one-time link to sign in to the pages with; shown once."""

    path: str = Field(description="Below this server's address.")
    expires_at: Instant | None


class Token(Model):
    """A token without its secret."""

    id: int
    label: str
    purpose: Literal["api", "sign_in", "session"]
    created_at: Instant
    expires_at: Instant | None
    used_at: Instant | None
    revoked_at: Instant | None


class TokenList(Model):
    tokens: list[Token]


class NewToken(Model):
    """A new token. `secret` is shown here and never again."""

    token: Token
    secret: str


class NewTokenBody(Body):
    label: Label = ""
    lifetime_s: Annotated[float, Field(gt=0, le=3650 * DAY_S)] | None = Field(
        default=None, description="Seconds until it expires; never when left out."
    )


class UserPath(BaseModel):
    name: Annotated[str, Field(max_length=200)]


class TokenPath(BaseModel):
    token_id: RowPathId


def user_of(row: UserRow, may_run: Sequence[str]) -> User:
    return User.model_validate(
        {
            "id": row.id,
            "name": row.name,
            "role": str(row.role),
            "share": row.share,
            "max_running": row.max_running,
            "may_run": list(may_run),
            "created_at": row.created_at,
            "disabled_at": row.disabled_at,
        }
    )


def token_of(row: TokenRow) -> Token:
    return Token.model_validate(
        {
            "id": row.id,
            "label": row.label,
            "purpose": str(row.purpose),
            "created_at": row.created_at,
            "expires_at": row.expires_at,
            "used_at": row.used_at,
            "revoked_at": row.revoked_at,
        }
    )
