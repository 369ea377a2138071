"""Users and tokens, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from db import users
from db.engine import Database
from db.errors import NameTaken, NotPossible
from db.models import Token
from tests.support.pool import person, step_clock


def test_it_works(database: Database) -> None:
    with database.transaction() as session:
        user = users.add_user(session, "ada", "member")
        _, text = users.issue_token(session, user, "api", "laptop")
    with database.snapshot() as session:
        found = users.authenticate(session, text, "api")
        assert found is not None and found.name == "ada"
        secret = text.split("_", 2)[2]
        [row] = session.scalars(select(Token))
        assert secret.encode() not in row.secret_sha256


@pytest.mark.parametrize("purpose", ["sign_in", "session"])
def test_a_token_is_good_for_its_purpose_alone(database: Database, purpose: str) -> None:
    with database.transaction() as session:
        _, text = users.issue_token(session, person(session), "api")
        assert users.authenticate(session, text, purpose) is None


@pytest.mark.parametrize(
    "text", ["", "lp_", "lp_1_", "lp_1_" + "A" * 43, "lp_999999_" + "A" * 43, "x" * 9999, "lp_1_\0"]
)
def test_wrong_tokens_open_nothing(database: Database, text: str) -> None:
    with database.transaction() as session:
        users.issue_token(session, person(session), "api")
        assert users.authenticate(session, text, "api") is None
        assert users.redeem_sign_in(session, text) is None


def test_expiry_revocation_and_disabling_shut_out(database: Database) -> None:
    with database.transaction() as session:
        root, ada = person(session, "root", "admin"), person(session)
        _, short = users.issue_token(session, ada, "api", lifetime_s=60)
        token, long = users.issue_token(session, ada, "api")
    step_clock(database, 61)
    with database.transaction() as session:
        assert users.authenticate(session, short, "api") is None
        assert users.authenticate(session, long, "api") is not None
        users.set_user_disabled(session, "ada", True)
        assert users.authenticate(session, long, "api") is None
        users.set_user_disabled(session, "ada", False)
        assert users.revoke_token(session, token.id, by=person(session, "eve")) is False
        assert users.authenticate(session, long, "api") is not None
        assert users.revoke_token(session, token.id, by=root) is True
        assert users.authenticate(session, long, "api") is None


def test_a_sign_in_link_works_once(database: Database) -> None:
    with database.transaction() as session:
        _, text = users.issue_token(session, person(session), "sign_in", lifetime_s=600)
        assert users.redeem_sign_in(session, text) is not None
        assert users.redeem_sign_in(session, text) is None


def test_names(database: Database) -> None:
    with database.transaction() as session:
        users.add_user(session, "ada")
        with pytest.raises(NameTaken, match="ada"):
            users.add_user(session, "ada")
        for name in ("", "Ada", "a b", "../a", "a" * 64):
            with pytest.raises(NotPossible):
                users.add_user(session, name)
        assert users.count_users(session) == 1


def test_the_last_admin_stays(database: Database) -> None:
    with database.transaction() as session:
        users.add_user(session, "root", "admin")
        with pytest.raises(NotPossible, match="last active admin"):
            users.set_user_disabled(session, "root", True)
        users.add_user(session, "deputy", "admin")
        users.set_user_disabled(session, "root", True)
