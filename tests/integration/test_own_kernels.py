"""Users' own kernels: off by default, granted by an administrator, read by their owner alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from db.engine import Database
from db.migrate import upgrade
from db.models import KernelSource
from db.own_sources import SourceWithheld, source_to_run
from db.users import add_user
from deploy import admin
from labpool.catalog import Catalog
from labpool.own_source import name_of
from tests.support import pool
from tests.support.api import Api, Person, claimed, make_api, problem_of, succeeded
from tests.support.own_kernels import SAXPY, own

pytest_plugins = ["tests.support.api_fixtures"]


@pytest.fixture
def open_api(database: Database, catalog: Catalog, tmp_path: Path) -> Api:
    """The API of a pool that takes own kernels; nobody has been granted them."""
    return make_api(database, catalog, tmp_path, own_kernels=True)


def granted(api: Api, name: str = "owner", *may_run: str) -> None:
    change = json.dumps({"may_run": list(may_run or ["kernels"])})
    answer = api.admin.send("PATCH", f"/api/v1/users/{name}", change, "application/json")
    assert answer.status_code == 200, answer.text


def refusal(person: Person, spec: dict[str, Any]) -> str:
    problem = problem_of(person.submit(spec), 422)
    [error] = problem["errors"]
    assert error["pointer"] == "/source"
    return f"{error['detail']} {error.get('suggestion')}"


def test_it_works(open_api: Api, tmp_path: Path) -> None:
    granted(open_api)
    experiment, [trial] = open_api.submitted(own())
    path = f"/api/v1/trials/{trial}"
    assert open_api.owner.get(f"{path}/source").data.decode() == SAXPY
    assert open_api.owner.get(path).get_json()["spec"]["source"] == name_of(SAXPY)
    assert (
        "Only owner and administrators see this" in open_api.browser().get(f"/trials/{trial}").text
    )
    with open_api.database.snapshot() as session:
        assert source_to_run(session, trial) == SAXPY
    assert open_api.owner.get(f"/api/v1/experiments/{experiment}").status_code == 200


def test_it_is_off_by_default(api: Api) -> None:
    granted(api)
    said = refusal(api.owner, own())
    assert "switched off on this pool" in said
    assert "LABPOOL_OWN_KERNELS=true" in said
    assert "labpool user grant owner kernels" in said
    assert api.stored() == {"experiments": 0, "trials": 0, "idempotency_keys": 0}


def test_who_was_not_granted_it_hears_who_can(open_api: Api) -> None:
    for person in (open_api.owner, open_api.admin):
        said = refusal(person, own())
        assert f"{person.name} may not run kernels of their own" in said
        assert f"An administrator can grant it: labpool user grant {person.name} kernels" in said
    checked = open_api.owner.post("/api/v1/specs/validate", own())
    assert checked.status_code == 422


def test_nobody_else_sees_the_text(open_api: Api) -> None:
    granted(open_api)
    secret = SAXPY.replace("a number each", "found by patient search")
    experiment, [trial] = open_api.submitted(own(secret))
    pages = [
        f"/trials/{trial}", f"/experiments/{experiment}", f"/submit?from=trial:{trial}",
        f"/compare?trials={trial}",
    ]  # fmt: skip
    api_paths = [
        f"/api/v1/trials/{trial}", "/api/v1/trials", f"/api/v1/experiments/{experiment}",
        f"/api/v1/trials/{trial}/events",
    ]  # fmt: skip
    for path in pages:
        assert "patient search" not in open_api.browser("teammate").get(path).text, path
    for path in api_paths:
        answer = open_api.teammate.get(path)
        assert answer.status_code == 200
        assert "patient search" not in answer.text, path
    assert problem_of(open_api.teammate.get(f"/api/v1/trials/{trial}/source"), 403)
    assert open_api.admin.get(f"/api/v1/trials/{trial}/source").data.decode() == secret
    assert "patient search" in open_api.browser("admin").get(f"/trials/{trial}").text
    assert "patient search" in open_api.browser("owner").get(f"/trials/{trial}").text


def test_a_digest_is_not_the_text(open_api: Api) -> None:
    granted(open_api)
    granted(open_api, "teammate")
    _, [first] = open_api.submitted(own())
    named = own(name_of(SAXPY))
    assert "no source of this digest" in refusal(open_api.teammate, named)
    _, [again] = open_api.submitted(named)
    assert open_api.owner.get(f"/api/v1/trials/{again}/source").data.decode() == SAXPY
    # Who brings the same text has it, and a row of their own.
    assert open_api.teammate.submit(own()).status_code == 201
    with open_api.database.snapshot() as session:
        assert session.query(KernelSource).count() == 2
    assert first != again


def test_it_is_run_again_by_those_who_may(open_api: Api) -> None:
    granted(open_api)
    _, [trial] = open_api.submitted(own())
    gpu(open_api, trial)
    path = f"/api/v1/trials/{trial}/rerun"
    assert (
        "may not run kernels"
        in problem_of(open_api.teammate.post(path), 422)["errors"][0]["detail"]
    )
    granted(open_api, "teammate")
    assert (
        "no source of this digest"
        in problem_of(open_api.teammate.post(path), 422)["errors"][0]["detail"]
    )
    assert open_api.owner.post(path).status_code == 201


def test_the_same_source_is_a_duplicate(open_api: Api) -> None:
    granted(open_api)
    _, [trial] = open_api.submitted(own())
    gpu(open_api, trial)
    same = open_api.owner.post("/api/v1/specs/validate", own(seed=0)).get_json()
    assert [item["trial_id"] for item in same["duplicates"]] == [trial]
    other = open_api.owner.post("/api/v1/specs/validate", own(SAXPY + "\n")).get_json()
    assert other["duplicates"] == []


def test_what_was_taken_back_does_not_run(open_api: Api) -> None:
    granted(open_api)
    _, [trial] = open_api.submitted(own())
    change = json.dumps({"may_run": []})
    shown = open_api.admin.send("PATCH", "/api/v1/users/owner", change, "application/json")
    assert shown.get_json()["may_run"] == []
    with open_api.database.snapshot() as session, pytest.raises(SourceWithheld, match="any more"):
        source_to_run(session, trial)


def test_the_command_line_grants_and_revokes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABPOOL_DATA_DIR", str(tmp_path))
    database = Database(f"sqlite:///{tmp_path}/labpool.db")
    upgrade(database)
    with database.transaction() as session:
        add_user(session, "grace")

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(admin.main, ["user", *arguments])
        return f"{done.exit_code} {done.output}"

    said = run("grant", "grace", "kernels")
    assert said.startswith("0 grace may now run kernels of their own.\n")
    assert "LABPOOL_OWN_KERNELS is not set here" in said
    monkeypatch.setenv("LABPOOL_OWN_KERNELS", "true")
    assert run("grant", "grace", "kernels") == "0 grace could already run kernels of their own.\n"
    assert json.loads(run("ls", "--json")[2:])[0]["may_run"] == "kernels"
    assert run("revoke", "grace", "kernels") == "0 grace may not run kernels of their own.\n"
    assert json.loads(run("ls", "--json")[2:])[0]["may_run"] == ""
    assert "nobody" in run("grant", "nobody", "kernels")
    assert run("grant", "grace", "everything").startswith("2 ")
    database.dispose()


def gpu(api: Api, trial: int, **metrics: float) -> None:
    """Let a GPU's slot end the trial with a result."""
    with api.database.transaction() as session:
        slot = pool.slot(session, api.catalog, device="gpu")
    found = claimed(api, slot)
    assert found.trial_id == trial
    succeeded(api, found, **{"median_ms": 4.0, "gb_s": 100.0, **metrics})
