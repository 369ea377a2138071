"""What a trial on somebody's private upload hands out, over every route that there is.

Everything that a trial can keep holds a mark here, as rows of the upload would stand in it. Who may
not see the upload must not get the mark by any route, one that is written tomorrow included.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from api.context import services
from db import findings, owner
from db.models import Attempt, Upload
from tests.integration.test_uploads import claimed_with_uploads
from tests.support.api import Api, Browser, Person, checkpoint, problem_of
from tests.support.hostile import npz

pytest_plugins = ["tests.support.api_fixtures"]

MARK = "77123.5"
"""A number of the private rows."""
ON_UPLOAD: dict[str, Any] = {"kind": "train", "model": "mlp", "dataset": "owner/rows", "epochs": 1}
SUMMARY = {
    "parameter_count": 12,
    "examined": {
        "wrong": 1, "tested": 4,
        "mistakes": [{"place": 0, "true": 0, "given": 1, "probability": 0.9, "x": [float(MARK)]}],
    },
    "outputs": [float(MARK)],
}  # fmt: skip
# Names of topics are all that it tells; it would not end here.
STREAM = "/api/v1/stream"
KEEP_MARK = {
    "GET /api/v1/trials",
    "GET /api/v1/trials/<row:trial_id>",
    "GET /api/v1/trials/<row:trial_id>/artifacts/<row:artifact_id>",
    "GET /api/v1/trials/<row:trial_id>/checkpoints/<row:checkpoint_id>",
    "GET /api/v1/trials/<row:trial_id>/events",
    "GET /api/v1/trials/<row:trial_id>/log",
    "GET /api/v1/trials/<row:trial_id>/why",
    "GET /experiments/<row:experiment_id>",
    "GET /trials/<row:trial_id>",
    "GET /trials/<row:trial_id>/pictures/<row:artifact_id>",
}
"""Where the upload's owner meets the mark: what these routes withhold is there to be withheld."""


@dataclass
class Made:
    """Trials that rest on the upload, and the numbers of what each of them has."""

    upload: int
    ids: dict[str, dict[str, int]]

    @property
    def trials(self) -> list[int]:
        return [numbers["trial_id"] for numbers in self.ids.values()]


@pytest.fixture
def made(api: Api, tmp_path: Path) -> Made:
    """One trial that succeeded on a private upload, one that failed, one that began with the first
    one's weights on data that everybody may see."""
    upload = brought(api, "rows")
    first = finished(api, ON_UPLOAD, tmp_path)
    failed = finished(api, ON_UPLOAD, tmp_path, fails=True)
    begun = {**ON_UPLOAD, "dataset": "digits", "init_from": first["trial_id"]}
    return Made(upload, {"first": first, "failed": failed, "begun": finished(api, begun, tmp_path)})


def brought(api: Api, name: str) -> int:
    content = npz(x=[[float(n), 2.0] for n in range(30)], y=[n % 3 for n in range(30)])
    form = {"name": name, "file": (io.BytesIO(content), "a.npz")}
    headers = {"Authorization": f"Bearer {api.owner.token}"}
    answer = api.owner.client.post("/api/v1/uploads", data=form, headers=headers)
    assert answer.status_code == 201, answer.text
    return int(answer.get_json()["id"])


def finished(api: Api, spec: dict[str, Any], folder: Path, fails: bool = False) -> dict[str, int]:
    """The owner's trial of `spec` with the mark in all that it keeps."""
    experiment, [trial_id] = api.submitted(spec)
    trial = claimed_with_uploads(api)
    assert trial.trial_id == trial_id
    checkpoint(api, trial, 1, MARK.encode(), folder, best=True)
    artifact(api, trial, "mistakes.png", b"\x89PNG\r\n\x1a\n" + MARK.encode(), folder)
    key = f"trials/{trial_id}/{trial.fence}/log.txt"
    api.put_file(key, f"loss of {MARK}\n".encode(), folder)
    with api.database.transaction() as session:
        findings.set_log(session, trial_id, trial.fence, key, 20)
        if fails:
            said = f"InvalidArgumentError: Label values: {MARK}"
            owner.fail(session, trial_id, trial.fence, "internal", said, f"the tail has {MARK}")
        else:
            owner.succeed(session, trial_id, trial.fence, {"test_accuracy": 0.75}, SUMMARY)
        owner.end_lease(session, session.get_one(Attempt, trial.attempt_id).lease_id)
    with api.app.app_context(), services().database.snapshot() as session:
        from db.reads.files import artifacts_of, checkpoints_of

        [file], [point] = artifacts_of(session, trial_id), checkpoints_of(session, trial_id)
    return {
        "trial_id": trial_id,
        "experiment_id": experiment,
        "artifact_id": file.id,
        "checkpoint_id": point.id,
        "prediction_id": 1,
    }


def artifact(api: Api, trial: Any, name: str, data: bytes, folder: Path) -> None:
    key = f"trials/{trial.trial_id}/{trial.fence}/{name}"
    record = findings.ArtifactRecord(
        name, key, "image/png", api.put_file(key, data, folder), len(data)
    )
    with api.database.transaction() as session:
        findings.record_artifact(session, trial.trial_id, trial.fence, record)


def reads(api: Api, made: Made) -> Iterator[tuple[str, str]]:
    """Every route that can be read, with addresses of what rests on the upload."""
    other = {"name": "digits", "owner": "owner", "room": "models", "path:name": "live.js"}
    for rule in api.app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or rule.rule == STREAM:
            continue
        for numbers in made.ids.values():
            address = rule.rule
            for name in rule.arguments:
                value = numbers.get(name) or other.get(name) or other.get(f"path:{name}")
                # A new name of something in an address is to be written down above.
                given = {"upload_id": made.upload}.get(name) or value
                assert given is not None, rule.rule
                address = _filled(address, name, given)
            yield f"GET {rule.rule}", address + _query(rule, made)


def _filled(address: str, name: str, value: object) -> str:
    for written in (f"<row:{name}>", f"<path:{name}>", f"<{name}>"):
        address = address.replace(written, str(value))
    return address


def _query(rule: Rule, made: Made) -> str:
    if rule.rule == "/compare":
        return "?" + "&".join(f"trials={number}" for number in made.trials)
    return f"?from=trial:{made.trials[0]}" if rule.rule == "/submit" else ""


def got(api: Api, name: str, address: str) -> list[TestResponse]:
    """What a person gets there, by token and by browser."""
    if address.startswith("/api/"):
        person = api.people[name]
        return [person.get(address), person.get(address, {"Accept": "application/json"})]
    return [api.browser(name).get(address)]


def marked(api: Api, made: Made, name: str) -> set[str]:
    """The routes by which a person gets the mark."""
    found = set()
    for route, address in reads(api, made):
        for answer in got(api, name, address):
            assert answer.status_code < 500, (address, answer.text)
            if MARK.encode() in answer.data:
                found.add(route)
            answer.close()
    return found


def test_it_works(api: Api, made: Made) -> None:
    assert marked(api, made, "teammate") == set()
    assert marked(api, made, "owner") == KEEP_MARK
    assert marked(api, made, "admin") == KEEP_MARK


def test_deleting_the_upload_opens_nothing(api: Api, made: Made) -> None:
    gone = api.owner.send("DELETE", f"/api/v1/uploads/{made.upload}", b"", "text/plain")
    assert gone.status_code == 204, gone.text
    assert marked(api, made, "teammate") == set()
    # A public one of the same name is another upload.
    number = brought(api, "rows")
    assert api.owner.post(f"/api/v1/uploads/{number}/share").get_json()["public"] is True
    assert marked(api, made, "teammate") == set()
    assert marked(api, made, "owner") == KEEP_MARK
    with api.database.transaction() as session:
        session.get_one(Upload, made.upload).key = "uploads/another.npz"
    assert marked(api, made, "teammate") == set(), "nor one whose upload is not known"


def test_making_the_upload_public_opens_what_rests_on_it(api: Api, made: Made) -> None:
    path = f"/api/v1/uploads/{made.upload}/share"
    problem_of(api.teammate.post(path), 404)
    assert api.owner.post(path).status_code == 200
    assert marked(api, made, "teammate") == KEEP_MARK
    problem_of(api.teammate.post(path), 403)
    begun = api.teammate.submit({**ON_UPLOAD, "init_from": made.trials[0]})
    assert begun.status_code == 201, begun.text


ZEROS = json.dumps({"inputs": [[0.0, 0.0]]})


def changes(api: Api, numbers: dict[str, int]) -> Iterator[tuple[str, str]]:
    for rule in api.app.url_map.iter_rules():
        for method in (rule.methods or set()) & {"POST", "PATCH", "PUT", "DELETE"}:
            if "trial_id" in rule.arguments:
                yield method, _filled(rule.rule, "trial_id", numbers["trial_id"])


@pytest.mark.parametrize("which", ["first", "begun"])
def test_nobody_else_does_anything_with_the_trial(api: Api, made: Made, which: str) -> None:
    """Asking it and running it again need no right to change a trial; here they are refused too."""
    browser, person = api.browser("teammate"), api.teammate
    token = browser.form_token("/submit")
    before, withheld = api.stored(), set()
    for method, address in changes(api, made.ids[which]):
        answer = changed(person, browser, method, address, token)
        assert answer.status_code == 403, (address, answer.text)
        if "rests on an upload" in answer.text:
            withheld.add(address.rpartition("/")[2])
    assert withheld == {"predictions", "rerun"}
    assert api.stored() == before


def changed(
    person: Person, browser: Browser, method: str, address: str, token: str
) -> TestResponse:
    if not address.startswith("/api/"):
        return browser.send(address, {"csrf_token": token, "numbers": "0, 0", "priority": "low"})
    data = {"predictions": ZEROS}.get(address.rpartition("/")[2], "")
    if method == "PATCH":
        data = '{"priority": "low"}'
    return person.send(method, address, data, "application/json")


def test_nobody_else_begins_with_its_weights(api: Api, made: Made) -> None:
    for number in (made.trials[0], made.trials[2]):
        spec = {**ON_UPLOAD, "dataset": "digits", "init_from": number}
        sweep = {
            "kind": "sweep", "base": {**spec, "init_from": None}, "strategy": {"method": "grid"},
            "space": {"init_from": [number]},
        }  # fmt: skip
        pinned = {**spec, "init_from": api.owner.submit(spec).get_json()["trials"][0]["id"]}
        shown = api.owner.get(f"/api/v1/trials/{pinned['init_from']}").get_json()
        pinned["init_from"] = shown["spec"]["init_from"]
        assert "@" in pinned["init_from"]
        for given in (spec, sweep, pinned):
            for path in ("experiments", "specs/validate", "specs/forecast"):
                problem = problem_of(api.teammate.post(f"/api/v1/{path}", given), 422)
                [error] = problem["errors"]
                assert "rests on an upload that its owner keeps private" in error["detail"]
                assert error["pointer"].endswith("/init_from")
        page = api.browser("teammate")
        form = {"csrf_token": page.form_token("/submit"), "spec": json.dumps(spec)}
        assert "rests on an upload" in page.send("/submit", form).text
        assert api.admin.submit(spec).status_code == 201


def test_nobody_else_begins_with_them_in_a_sweep_that_draws_later(
    api: Api, made: Made, tmp_path: Path
) -> None:
    open_one = finished(api, {**ON_UPLOAD, "dataset": "digits"}, tmp_path)["trial_id"]
    base = {**ON_UPLOAD, "dataset": "digits"}
    for seed in range(4):
        sweep = {
            "kind": "sweep", "base": base, "space": {"init_from": [open_one, made.trials[0]]},
            "strategy": {"method": "random", "trials": 1, "seed": seed},
        }  # fmt: skip
        problem = problem_of(api.teammate.submit(sweep), 422)
        assert problem["errors"][0]["pointer"] == "/space/init_from"
    assert api.owner.submit(sweep).status_code == 201


def test_what_stays_visible_and_that_the_page_says_why(api: Api, made: Made) -> None:
    first, failed = (made.ids[which]["trial_id"] for which in ("first", "failed"))
    shown = api.teammate.get(f"/api/v1/trials/{first}").get_json()
    assert "keeps private" in shown["withheld"]
    assert shown["metrics"] == {"test_accuracy": 0.75}
    assert shown["summary"] == {"parameter_count": 12}
    assert api.owner.get(f"/api/v1/trials/{first}").get_json()["withheld"] is None
    assert api.teammate.get(f"/api/v1/trials/{first}/metrics").status_code == 200
    problem = problem_of(api.teammate.get(f"/api/v1/trials/{first}/artifacts"), 403)
    assert problem["type"].endswith(":private-data") and "keeps private" in problem["detail"]
    page = api.browser("teammate").get(f"/trials/{first}").text
    assert 'id="withheld"' in page and "Not shared." in page
    kept = f"/api/v1/trials/{first}/"
    for gone in ('id="try-it"', 'id="examined"', "/rerun", "mistakes.png", kept):
        assert gone not in page, gone
    mine = api.browser("owner").get(f"/trials/{first}").text
    assert 'id="withheld"' not in mine and 'id="try-it"' in mine and "/rerun" in mine
    told = api.teammate.get(f"/api/v1/trials/{failed}").get_json()
    assert told["reason_kind"] == "internal" and "private upload" in told["reason"]
