"""Asking trials on uploads: the form and the checks know what an upload's examples are like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_api_predictions import PNG, answered
from tests.integration.test_uploads import GOOD, claimed_with_uploads, send
from tests.support.api import Api, checkpoint, problem_of

pytest_plugins = ["tests.support.api_fixtures"]

TABLE = "\n".join(f"{n},{n * 2},{'ab'[n % 2]}" for n in range(20)).encode()


def trained(api: Api, folder: Path, file: str, content: bytes) -> int:
    """A trial on an upload that has a best checkpoint."""
    upload = send(api.owner, (file, content), name="mine").get_json()
    spec: dict[str, Any] = {"kind": "train", "model": "mlp", "dataset": upload["name"]}
    _, [trial_id] = api.submitted(spec)
    checkpoint(api, claimed_with_uploads(api), 1, b"weights", folder, best=True)
    return trial_id


@pytest.mark.parametrize("deleted", [False, True])
def test_it_works(quick_api: Api, tmp_path: Path, deleted: bool) -> None:
    trial_id = trained(quick_api, tmp_path, "a.npz", GOOD)
    if deleted:
        quick_api.owner.post(f"/api/v1/trials/{trial_id}/cancel")
        with quick_api.database.transaction() as session:
            from db.models import Upload

            upload = session.get_one(Upload, 1)
            upload.deleted_at, upload.name = 1.0, "was_mine"
    page = quick_api.browser().get(f"/trials/{trial_id}").text
    assert 'id="draw"' in page and 'accept="image/png' in page and 'id="try-numbers"' not in page
    place = f"/api/v1/trials/{trial_id}/predictions"
    asked = quick_api.owner.send("POST", place, PNG + bytes(40), "image/png")
    assert asked.status_code == 202, asked.text
    refused = problem_of(quick_api.owner.post(place, {"inputs": [0.5] * 29}), 422)
    assert refused["errors"][0]["pointer"] == "/inputs" and "6 x 5" in refused["detail"], refused
    assert quick_api.owner.post(place, {"inputs": [0.5] * 30}).status_code == 202


def test_a_table_takes_numbers(quick_api: Api, tmp_path: Path) -> None:
    trial_id = trained(quick_api, tmp_path, "t.csv", TABLE)
    browser = quick_api.browser()
    page = browser.get(f"/trials/{trial_id}").text
    assert "Numbers, 2 an example" in page and 'id="draw"' not in page
    place = f"/api/v1/trials/{trial_id}/predictions"
    refused = problem_of(quick_api.owner.send("POST", place, PNG + bytes(40), "image/png"), 422)
    assert "trained on rows of 2 numbers" in refused["detail"]
    problem_of(quick_api.owner.post(place, {"inputs": [0.5] * 3}), 422)
    form = {"csrf_token": browser.form_token(f"/trials/{trial_id}"), "numbers": "1, 2, 3"}
    assert browser.send(f"/trials/{trial_id}/predictions", form).status_code == 422


def test_an_answer_has_the_words_of_the_table(quick_api: Api, tmp_path: Path) -> None:
    table = b"a,b,species\n" + b"1,2,rose\n3,4,<b>aster\n5,6,tulip\n" * 8
    trial_id = trained(quick_api, tmp_path, "t.csv", table)
    place = f"/api/v1/trials/{trial_id}/predictions"
    url = quick_api.owner.post(place, {"inputs": [1, 2]}).get_json()["url"]
    assert quick_api.owner.get(url).get_json()["class_names"] == []
    answered(quick_api, [[0.7, 0.2, 0.1]])
    shown = quick_api.owner.get(url).get_json()
    assert shown["class_names"] == ["<b>aster", "rose", "tulip"]
    page = quick_api.browser().get(shown["page_url"]).text
    assert "Class <strong>&lt;b&gt;aster</strong>" in page and "<b>aster" not in page
    assert '<th scope="row">tulip</th>' in page
