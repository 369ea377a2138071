"""Data that people bring: taken in, refused with the reason, used by trials, deleted."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from werkzeug.test import TestResponse

from api.context import services
from db import owner
from labpool.settings import CHECKOUT
from labpool.uploads import DIGEST
from tests.support.api import Api, Person, claimed, make_api, problem_of
from tests.support.hostile import gzip_bomb, idx, npy, npz, zipped

pytest_plugins = ["tests.support.api_fixtures"]

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 6, 5), dtype=np.uint8)
LABELS = (np.arange(60) % 3).astype(np.uint8)
GOOD = npz(x=IMAGES, y=LABELS)
SPEC: dict[str, Any] = {"kind": "train", "model": "mlp", "dataset": "owner/flowers", "epochs": 1}


def send(
    person: Person, *files: tuple[str, bytes], name: str = "flowers", **fields: str
) -> TestResponse:
    form: dict[str, Any] = {"name": name, **fields}
    form["file"] = [(io.BytesIO(content), file) for file, content in files]
    headers = person._headers(None)
    return person.client.post("/api/v1/uploads", data=form, headers=headers)


def stored(api: Api) -> list[str]:
    with api.app.app_context():
        return list(services().store.list("uploads"))


def test_it_works(api: Api) -> None:
    answer = send(api.owner, ("flowers.npz", GOOD))
    assert answer.status_code == 201, answer.text
    body = answer.get_json()
    assert body["name"] == "owner/flowers" and body["shape"] == [6, 5, 1]
    assert body["counts"] == [20] * 3 and not body["public"]
    assert len(stored(api)) == 3, "the examples, their picture and what is known of it"
    [key] = [key for key in stored(api) if key.endswith(".npz")]
    with api.app.app_context(), services().store.get(key) as file:
        content = file.read()
    assert sha256(content).hexdigest() == body["sha256"]
    with np.load(io.BytesIO(content), allow_pickle=False) as kept:
        assert np.array_equal(kept["x"][..., 0], IMAGES)
    submitted = api.owner.submit(SPEC)
    assert submitted.status_code == 201, submitted.text
    trial = claimed_with_uploads(api)
    assert (trial.data_name, trial.data_digest) == ("owner/flowers", DIGEST)
    assert trial.spec["dataset_parameters"]["sha256"] == body["sha256"]
    assert trial.spec["dataset_parameters"]["key"] == key


def claimed_with_uploads(api: Api) -> Any:
    from dataclasses import replace

    from tests.support import pool

    with api.database.transaction() as session:
        slot = pool.slot(session, api.catalog)
    return claimed(api, replace(slot, data_digests=[*slot.data_digests, DIGEST]))


def test_a_trial_on_one_is_run_again(api: Api) -> None:
    send(api.owner, ("a.npz", GOOD))
    send(api.owner, ("a.npz", GOOD), name="shown", public="1")
    for name in ("flowers", "shown"):
        [number] = api.submitted({**SPEC, "dataset": f"owner/{name}"})[1]
        trial = claimed_with_uploads(api)
        with api.database.transaction() as session:
            owner.succeed(session, number, trial.fence, {"test_accuracy": 0.9}, {})
        path = f"/api/v1/trials/{number}/rerun"
        answer = api.owner.post(path)
        assert answer.status_code == 201, answer.text
        again = api.owner.get(answer.get_json()["url"]).get_json()
        assert again["spec"]["dataset_parameters"] == trial.spec["dataset_parameters"]
        assert claimed_with_uploads(api).trial_id == again["id"]
        by_another = api.teammate.post(path)
        assert by_another.status_code == (201 if name == "shown" else 403), by_another.text


def test_two_idx_files_and_a_table(quick_api: Api) -> None:
    both = send(quick_api.owner, ("same", idx(IMAGES)), ("same", idx(LABELS)), name="two")
    assert both.get_json()["kind"] == "image", both.text
    table = "\n".join(f"{n},{n * 2},{'ab'[n % 2]}" for n in range(20)).encode()
    answer = send(quick_api.owner, ("t.csv", table), name="table").get_json()
    assert (answer["kind"], answer["class_names"]) == ("vector", ["a", "b"])
    refused = quick_api.owner.submit({**SPEC, "model": "lenet5", "dataset": "owner/table"})
    assert "holds no images" in refused.text, "planning knows what it is"


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("a.npz", b"", "too short"),
        ("a.npz", b"\x80\x04\x95 a pickle of some length", "is no zip file"),
        ("a.npz", npz(x=IMAGES, y=LABELS[1:]), "59 labels for 60 examples"),
        ("a.npz", zipped(("x.npy", npy(IMAGES)), ("../y.npy", npy(LABELS))), "without folders"),
        ("a.npz", zipped(("x.npy", b"/etc/passwd"), mode=0o120777), "is a link"),
        ("a.npz", zipped(("x.npy", bytes(64 << 20))), "is not an NPY array"),
        ("a.csv", b"1,2\n3\n", "line 2: has 1 columns"),
        ("a.gz", gzip_bomb(1 << 20), "give both IDX files"),
        ("../../etc/a.npz", npz(x=IMAGES), "it needs x and y"),
        ("t.npz", GOOD[:-40], "was refused: t.npz: byte"),
        ("t.npz", GOOD[:-40], "it is cut off or damaged"),
        ("t.csv", b"1,a\n" * 20 + b"1,\0b\n", "t.csv: line 21: column 2: the label holds U+0000"),
    ],
)
def test_a_bad_upload_is_refused_with_its_reason_and_loses_nothing(
    quick_api: Api, file: str, content: bytes, says: str
) -> None:
    send(quick_api.owner, ("flowers.npz", GOOD))
    before = stored(quick_api), quick_api.owner.get("/api/v1/uploads").data
    problem = problem_of(send(quick_api.owner, (file, content), name="bad"), 422)
    assert says in problem["detail"], problem
    assert "/tmp" not in problem["detail"]
    assert (stored(quick_api), quick_api.owner.get("/api/v1/uploads").data) == before


def test_names_fields_and_sizes_are_checked(database: Any, catalog: Any, tmp_path: Path) -> None:
    api = make_api(database, catalog, tmp_path, max_upload_bytes=20_000, upload_quota_bytes=4_000)
    for name in ("", "Flowers", "a/b", "../a", "x" * 64):
        problem = problem_of(send(api.owner, ("a.npz", GOOD), name=name), 422)
        assert problem["errors"][0]["pointer"] == "/name"
        assert "The upload was refused: its name must be 1 to 63" in problem["detail"]
    assert "The upload was refused: the file is missing" in send(api.owner).text
    assert "/file" in send(api.owner, *[("a", b"x")] * 3).text
    problem_of(send(api.owner, ("a.npz", bytes(100_000))), 413)
    assert send(api.owner, ("a.npz", GOOD)).status_code == 201
    assert "already" in problem_of(send(api.owner, ("a.npz", GOOD)), 409)["detail"]
    full = problem_of(send(api.owner, ("a.npz", GOOD), name="more"), 413)
    assert "you may have 4000" in full["detail"]
    assert len(stored(api)) == 3, "what was refused is not kept"
    assert send(api.teammate, ("a.npz", GOOD)).status_code == 201, "a quota is each user's own"


def test_who_sees_uses_and_deletes(api: Api) -> None:
    number = send(api.owner, ("a.npz", GOOD)).get_json()["id"]
    assert problem_of(send(api.anonymous, ("a.npz", GOOD)), 401)
    path = f"/api/v1/uploads/{number}"
    assert api.teammate.get(path).status_code == 404
    assert api.teammate.get("/api/v1/uploads").get_json()["uploads"] == []
    refused = problem_of(api.teammate.submit(SPEC), 422)["errors"][0]
    assert refused["pointer"] == "/dataset" and "labpool data uploads" in str(refused)
    assert "is no upload that you may see: 'owner/flowers'" in refused["detail"]
    assert api.admin.get(path).status_code == 200
    assert api.admin.submit(SPEC).status_code == 201
    shown = send(api.owner, ("a.npz", GOOD), name="shown", public="1").get_json()
    assert api.teammate.get(f"/api/v1/uploads/{shown['id']}").status_code == 200
    assert api.teammate.submit({**SPEC, "dataset": "owner/shown"}).status_code == 201
    delete = api.teammate.send("DELETE", f"/api/v1/uploads/{shown['id']}", b"", "text/plain")
    problem_of(delete, 403)


def test_what_a_waiting_trial_needs_stays(api: Api) -> None:
    number = send(api.owner, ("a.npz", GOOD)).get_json()["id"]
    experiment, _ = api.submitted(SPEC)

    def delete() -> TestResponse:
        return api.owner.send("DELETE", f"/api/v1/uploads/{number}", b"", "text/plain")

    assert "1 trials that have not ended need it" in problem_of(delete(), 409)["detail"]
    assert len(stored(api)) == 3
    api.owner.post(f"/api/v1/experiments/{experiment}/cancel")
    assert delete().status_code == 204
    assert stored(api) == []
    problem_of(delete(), 404)
    assert "is no upload that you may see" in api.owner.submit(SPEC).text
    assert send(api.owner, ("a.npz", GOOD)).status_code == 201, "the name is free again"


def test_a_sweep_may_compare_uploads_with_the_catalog(quick_api: Api) -> None:
    send(quick_api.owner, ("a.npz", GOOD))
    sweep = {
        "kind": "sweep", "base": SPEC, "strategy": {"method": "grid"},
        "space": {"dataset": ["digits", "owner/flowers"]},
    }  # fmt: skip
    answer = quick_api.owner.submit(sweep)
    assert answer.status_code == 201, answer.text


def test_reading_is_confined(tmp_path: Path) -> None:
    """The process that reads cannot take more memory than it says, whatever a reader does."""
    code = (
        "from labpool.readers import __main__ as it, Limits\n"
        "it._confine(Limits(array_bytes=1 << 20))\n"
        "try:\n    bytearray(1 << 30)\n"
        "except MemoryError:\n    print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PATH": os.defpath, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout == "refused\n"


def options_of(page: str) -> dict[str, str]:
    """What the chooser of data sets offers beside the catalog's, by name."""
    chooser = page.partition('data-change="dataset"')[2].partition("</select>")[0]
    group = chooser.partition('<optgroup label="Uploads">')[2].partition("</optgroup>")[0]
    return dict(re.findall(r'<option value="([^"]+)"[^>]*>\1: ([^<]+)</option>', group))


def test_the_submit_page_offers_them(quick_api: Api) -> None:
    assert options_of(quick_api.browser("owner").get("/submit").text) == {}
    table = "\n".join(f"{n},{n * 2},{'ab'[n % 2]}" for n in range(20)).encode()
    send(quick_api.teammate, ("a.npz", GOOD), name="alone")
    send(quick_api.teammate, ("a.npz", GOOD), name="for_all", public="1")
    send(quick_api.owner, ("t.csv", table), name="table")
    send(quick_api.owner, ("a.npz", GOOD))
    pictures = "image 6 × 5 × 1, 3 classes"
    about = "vector 2, 2 classes"
    owner, admin = quick_api.browser("owner"), quick_api.browser("admin")
    assert list(options_of(owner.get("/submit?model=mlp").text).items()) == [
        ("owner/flowers", pictures), ("owner/table", about), ("teammate/for_all", pictures)
    ]  # fmt: skip
    assert options_of(owner.get("/submit?model=lenet5").text)["owner/table"] == (
        f"{about} (holds no images)"
    )
    # An administrator may use everybody's, but is offered what is his and what is for all.
    assert list(options_of(admin.get("/submit").text)) == ["teammate/for_all"]

    def fields(browser: Any, spec: dict[str, Any], **change: str) -> Any:
        form = {"csrf_token": browser.form_token("/submit"), "spec": json.dumps(spec), **change}
        return browser.send("/submit/form", form, {"Accept": "application/json"}).get_json()

    assert "teammate/alone" in options_of(
        fields(admin, {**SPEC, "dataset": "teammate/alone"})["fields"]
    )
    assert "teammate/alone" not in options_of(
        fields(owner, {**SPEC, "dataset": "teammate/alone"})["fields"]
    )
    digits = {**SPEC, "dataset": "digits", "dataset_parameters": {"labels": "low"}}
    changed = fields(owner, digits, dataset="owner/flowers")
    assert "dataset: owner/flowers" in changed["spec"] and "labels" not in changed["spec"]
    assert '<option value="owner/flowers" selected>' in changed["fields"]
    assert "Uploaded by owner." in changed["fields"]
    assert "/dataset_parameters/" not in changed["fields"], "planning fills them in"
    assert owner.send(
        "/submit", {"csrf_token": owner.form_token("/submit"), "spec": changed["spec"]}
    ).status_code == 303  # fmt: skip
    # Another model that cannot read it gets data that it can.
    lenet = fields(owner, {**SPEC, "dataset": "owner/table"}, model="lenet5")
    assert "dataset: digits" in lenet["spec"]
