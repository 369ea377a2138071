"""Users and tokens, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from db import claims, quarantine, users, workers
from db.engine import Database
from db.errors import NameTaken, NotPossible
from db.models import Token
from labpool.catalog import Catalog
from tests.support.pool import person, slot, step_clock, submitted


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


def test_the_last_admin_keeps_the_role(database: Database) -> None:
    with database.transaction() as session:
        users.add_user(session, "root", "admin")
        users.add_user(session, "ada")
        with pytest.raises(NotPossible, match="last active admin"):
            users.set_user_role(session, "root", "member")
        users.set_user_role(session, "root", "admin")
        assert users.set_user_role(session, "ada", "admin").role == "admin"
        assert users.set_user_role(session, "root", "member").role == "member"
        with pytest.raises(NotPossible, match="no user"):
            users.set_user_role(session, "nobody", "admin")


def test_only_who_holds_the_secret_hears_why_it_is_refused(database: Database) -> None:
    with database.transaction() as session:
        ada = person(session)
        _, used = users.issue_token(session, ada, "sign_in", lifetime_s=600)
        users.redeem_sign_in(session, used)
        row, revoked = users.issue_token(session, ada, "api")
        users.revoke_token(session, row.id, ada)
        _, old = users.issue_token(session, ada, "api", lifetime_s=5)
    step_clock(database, 6)
    with database.transaction() as session:
        assert users.why_refused(session, used, "sign_in") == "used"
        assert users.why_refused(session, revoked, "api") == "revoked"
        assert users.why_refused(session, old, "api") == "expired"
        # Another purpose, another secret, no such token, no token at all.
        last = "a" if not used.endswith("a") else "b"
        for text in (old, used[:-1] + last, f"lp_999_{used.split('_', 2)[2]}", "", "lp_1_x"):
            assert users.why_refused(session, text, "sign_in") == "wrong"
        users.set_user_disabled(session, ada.name, True)
        assert users.why_refused(session, old, "api") == "disabled"


def test_signing_out_everywhere_ends_sessions_alone(database: Database) -> None:
    with database.transaction() as session:
        ada, ben = person(session), person(session, "ben")
        _, one = users.issue_token(session, ada, "session")
        _, two = users.issue_token(session, ada, "session")
        _, token = users.issue_token(session, ada, "api")
        _, theirs = users.issue_token(session, ben, "session")
        users.revoke_sessions(session, ada)
    with database.snapshot() as session:
        assert users.authenticate(session, one, "session") is None
        assert users.authenticate(session, two, "session") is None
        assert users.authenticate(session, token, "api") is not None
        assert users.authenticate(session, theirs, "session") is not None


def test_what_one_who_is_shut_out_still_has_in_the_pool(
    database: Database, catalog: Catalog
) -> None:
    with database.transaction() as session:
        ada = person(session)
        [first] = submitted(session, catalog, ada)
        submitted(session, catalog, ada, {"seed": 1})
        submitted(session, catalog, person(session, "bob"))
        identity = slot(session, catalog)
    with database.transaction() as session:
        work = claims.claim(session, identity, 90.0)
        assert work is not None and work.trials[0].trial_id == first
    with database.snapshot() as session:
        found = users.find_user(session, "ada")
        assert found is not None
        waiting, running, experiments = users.open_trials(session, found)
        assert (waiting, running, len(experiments)) == (1, 1, 2)


def test_refusals_are_whole_sentences(database: Database) -> None:
    with database.transaction() as session:
        person(session)
        with pytest.raises(NotPossible) as refused:
            users.set_user_limits(session, "ada", max_running=2**40)
        assert str(refused.value).startswith("The most slots at once is a whole number from 1 to ")
        assert str(refused.value).endswith("2147483647.")
        with pytest.raises(NotPossible) as refused:
            workers.find_worker(session, "nohost")
        assert str(refused.value).startswith("No worker 'nohost' is alive")
        with pytest.raises(NotPossible, match="There is no slot 99"):
            quarantine.clear(session, "99", person(session))
