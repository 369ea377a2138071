"""Asking trained models over the API: who may, what is refused, what an answer looks like."""

from __future__ import annotations

import io
import json
import struct
import zlib
from array import array
from pathlib import Path
from typing import Any

import pytest

from api import predicting
from db import predictions
from db.engine import Database
from labpool.catalog import Catalog
from labpool.uploads import DIGEST as UPLOADS
from tests.support.api import Api, Person, checkpoint, claimed, make_api, problem_of
from tests.support.pool import slot, step_clock

pytest_plugins = ["tests.support.api_fixtures"]

ZEROS = {"inputs": [0.0] * 64}
PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", 8, 8)


def asked_of(api: Api, folder: Path, spec: dict[str, Any] | None = None) -> str:
    """Where to ask a trial that has a best checkpoint."""
    _, [trial_id] = api.submitted(spec)
    checkpoint(api, claimed(api), 1, b"weights", folder, best=True)
    return f"/api/v1/trials/{trial_id}/predictions"


def answered(api: Api, rows: list[list[float]]) -> None:
    """What a worker does with the oldest question."""
    with api.database.transaction() as session:
        one = slot(session, api.catalog)
        data = [*one.data_digests, UPLOADS]
        taken = predictions.claim(session, one.worker_id, one.code_digests, data, 20.0)
        assert taken is not None
        numbers = array("f", [value for row in rows for value in row])
        arrays = [{"name": "probabilities", "shape": [len(rows), len(rows[0])]}]
        predictions.answer(
            session, taken.prediction_id, taken.fence, arrays, numbers.tobytes(), {"examples": 1}
        )


def test_it_works(api: Api, tmp_path: Path) -> None:
    place = asked_of(api, tmp_path)
    rings = api.bell.rings
    asked = api.owner.post(place, ZEROS)
    assert asked.status_code == 202, asked.text
    body = asked.get_json()
    assert asked.headers["Location"] == body["url"] == f"{place}/{body['id']}"
    assert (body["state"], body["form"], body["guesses"]) == ("waiting", "numbers", [])
    assert body["waiting"] == "A worker takes it in a moment."
    assert api.bell.rings == rings + 1
    answered(api, [[0.25, 0.75]])
    shown = api.owner.get(body["url"]).get_json()
    assert shown["state"] == "done"
    assert shown["arrays"] == {"probabilities": {"shape": [1, 2], "values": [[0.25, 0.75]]}}
    assert shown["guesses"] == [{"label": 1, "probability": 0.75}]
    assert (shown["epoch"], shown["waiting"], shown["reason"]) == (1, None, None)
    late = api.owner.post(f"{place}?wait=0.2", ZEROS)
    assert late.status_code == 202, "nobody answers"


def test_who_may_see_a_trial_may_ask_it(api: Api, tmp_path: Path) -> None:
    place = asked_of(api, tmp_path)
    url = api.teammate.post(place, ZEROS).get_json()["url"]
    assert api.teammate.get(url).status_code == 200
    assert api.admin.get(url).status_code == 200
    # What one asks of another's trial is one's own.
    problem_of(api.owner.get(url), 404)
    problem_of(api.anonymous.get(url), 401)
    problem_of(api.anonymous.post(place, ZEROS), 401)
    problem_of(api.owner.get(url.replace("trials/1/", "trials/2/")), 404)


def test_a_private_trial_is_not_there_for_others(private_api: Api, tmp_path: Path) -> None:
    place = asked_of(private_api, tmp_path)
    problem_of(private_api.teammate.post(place, ZEROS), 404)
    assert private_api.owner.post(place, ZEROS).status_code == 202


def test_without_a_checkpoint_the_reason_is_told(quick_api: Api) -> None:
    _, [trial_id] = quick_api.submitted()
    problem = problem_of(quick_api.owner.post(f"/api/v1/trials/{trial_id}/predictions", ZEROS), 409)
    assert "(queued) has no best checkpoint" in problem["detail"]


@pytest.mark.parametrize(
    ("body", "status", "place", "words"),
    [
        ({"inputs": [[1, 2, 3]]}, 422, "/inputs", "an example of this model's data is 8 x 8 x 1"),
        ({"inputs": [[1, 2], [3]]}, 422, "/inputs/1", "not as long as those before"),
        ({"inputs": [1, "two"]}, 422, "/inputs/1", "A number is wanted"),
        ({"inputs": [True]}, 422, "/inputs/0", "A number is wanted"),
        ({"inputs": []}, 422, "/inputs", "An empty list"),
        ({"inputs": [[[[[1]]]]]}, 422, "/inputs/0/0/0/0", "deeper than 4"),
        ({"input": [1]}, 422, "/inputs", 'Send {"inputs"'),
        ('{"inputs": [NaN]}', 422, "/inputs/0", "not finite"),
        ('{"inputs": [1e999]}', 422, "/inputs/0", "not finite"),
        ('{"inputs": [' + "9" * 300 + "]}", 422, "/inputs/0", "too large"),
        ('{"inputs": [' + "9" * 5000 + "]}", 400, None, "no JSON"),
        ("[" * 100_000, 400, None, "nested too deep"),
        ('{"inputs"', 400, None, "no JSON"),
        (b"\xff\xfe", 400, None, "no JSON"),
    ],
)
def test_bad_numbers_are_named(
    quick_api: Api, tmp_path: Path, body: Any, status: int, place: str | None, words: str
) -> None:
    url = asked_of(quick_api, tmp_path)
    data = json.dumps(body) if isinstance(body, dict) else body
    problem = problem_of(quick_api.owner.send("POST", url, data, "application/json"), status)
    assert words in problem["detail"]
    if place is not None:
        assert [error["pointer"] for error in problem["errors"]] == [place]


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (PNG[:16] + struct.pack(">II", 50_000, 50_000), 422, "50,000 x 50,000 pixels"),
        (PNG[:14], 422, "cut off or damaged"),
        (b"\xff\xd8\xff\xe0\x00", 422, "cut off or damaged"),
        (b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03", 422, "65,535 x 65,535 pixels"),
        (b"GIF89a" + bytes(100), 415, "It is a GIF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "It is SVG"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", 415, "WebP"),
        (b"\x7fELF\x02\x01\x01\x00", 415, "of no known form"),
        (b"", 415, "It is empty"),
    ],
)
def test_hostile_files_are_refused_by_their_first_bytes(
    quick_api: Api, tmp_path: Path, data: bytes, status: int, words: str
) -> None:
    url = asked_of(quick_api, tmp_path)
    problem = problem_of(quick_api.owner.send("POST", url, data, "image/png"), status)
    assert words in problem["detail"]


def test_pictures_are_not_for_models_of_vectors(quick_api: Api, tmp_path: Path) -> None:
    spirals = {"kind": "train", "model": "mlp", "dataset": "spirals", "epochs": 1}
    url = asked_of(quick_api, tmp_path, spirals)
    problem_of(quick_api.owner.send("POST", url, PNG, "image/png"), 422)
    problem_of(quick_api.owner.post(url, {"inputs": [1, 2, 3]}), 422)
    turned = {**spirals, "dataset_parameters": {"turns": 2.5}}
    other = asked_of(quick_api, tmp_path, turned)
    # A parameter may change how long its rows are: what does not fit is told by the runner.
    assert quick_api.owner.post(other, {"inputs": [1, 2, 3]}).status_code == 202


def test_large_bodies_are_refused(sqlite_url: str, catalog: Catalog, tmp_path: Path) -> None:
    database = Database(sqlite_url)
    api = make_api(database, catalog, tmp_path, max_prediction_bytes=2048, max_body_bytes=1024)
    url = asked_of(api, tmp_path)
    assert api.owner.send("POST", url, PNG + bytes(1500), "image/png").status_code == 202
    problem = problem_of(api.owner.send("POST", url, PNG + bytes(2048), "image/png"), 413)
    assert "may have 2,048 (LABPOOL_MAX_PREDICTION_BYTES)" in problem["detail"]
    problem_of(api.owner.send("POST", url, PNG + bytes(200_000), "image/png"), 413)
    # Only these routes take more than others.
    problem_of(api.owner.send("POST", "/api/v1/experiments", b" " * 1500, "application/json"), 413)
    database.dispose()


def test_too_many_at_once(sqlite_url: str, catalog: Catalog, tmp_path: Path) -> None:
    database = Database(sqlite_url)
    api = make_api(database, catalog, tmp_path, max_open_predictions=2)
    url = asked_of(api, tmp_path)
    for _ in range(2):
        assert api.owner.post(url, ZEROS).status_code == 202
    refused = api.owner.post(url, ZEROS)
    assert "2 of your predictions" in problem_of(refused, 429)["detail"]
    assert refused.headers["Retry-After"] == "10"
    assert api.teammate.post(url, ZEROS).status_code == 202
    database.dispose()


def test_with_no_worker_it_ends_all_the_same(api: Api, tmp_path: Path) -> None:
    url = api.owner.post(asked_of(api, tmp_path), ZEROS).get_json()["url"]
    step_clock(api.database, 121)
    shown = api.owner.get(url).get_json()
    assert (shown["state"], shown["reason_kind"]) == ("failed", "timeout")
    assert "No worker is connected" in shown["reason"]


def test_only_so_many_wait(quick_api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    url = asked_of(quick_api, tmp_path)
    monkeypatch.setattr(predicting, "_waiting", threading.BoundedSemaphore(1))
    assert predicting._waiting.acquire(blocking=False)
    answer = quick_api.owner.post(f"{url}?wait=25", ZEROS)
    assert answer.status_code == 202, "at once, with the place of the answer"


def test_the_form_works_without_a_script(quick_api: Api, tmp_path: Path) -> None:
    place = asked_of(quick_api, tmp_path)
    trial = place.removeprefix("/api/v1").removesuffix("/predictions")
    browser = quick_api.browser()
    token = browser.form_token(trial)
    assert 'id="try-it"' in browser.get(trial).text
    predicting_wait = {"csrf_token": token}
    for form, status, words in (
        ({}, 422, "Choose a file"),
        ({"numbers": "1, x"}, 422, "Line 1 holds something"),
        ({"numbers": "1, 2, nan"}, 422, "not finite"),
        ({"file": (io.BytesIO(b"GIF89a"), "a.png")}, 415, "It is a GIF"),
    ):
        answer = browser.client.post(
            f"{trial}/predictions",
            data={**predicting_wait, **form},
            headers={"Origin": "http://localhost", "Accept": "text/html"},
        )
        assert answer.status_code == status
        assert words in answer.text
    refused = browser.client.post(
        f"{trial}/predictions",
        data={"numbers": "1"},
        headers={"Origin": "http://localhost", "Accept": "text/html"},
    )
    assert refused.status_code == 403, "no form token"


def test_an_uploaded_picture_leads_to_its_answer(
    sqlite_url: str, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(sqlite_url)
    quick_api = make_api(database, catalog, tmp_path, max_body_bytes=100_000)
    monkeypatch.setattr("api.pages.predictions._WAIT_S", 0.0)
    trial = asked_of(quick_api, tmp_path).removeprefix("/api/v1").removesuffix("/predictions")
    browser = quick_api.browser()
    rows = zlib.compress(bytes(9 * 8))
    # Larger than what other forms may bring.
    picture = PNG + rows + bytes(300_000)
    answer = browser.client.post(
        f"{trial}/predictions",
        data={
            "csrf_token": browser.form_token(trial),
            "file": (io.BytesIO(picture), "seven.png"),
        },
        headers={"Origin": "http://localhost", "Accept": "text/html"},
    )
    assert answer.status_code == 303, answer.text
    page = browser.get(answer.headers["Location"])
    assert "Not answered yet." in page.text
    answered(quick_api, [[0.1] * 9 + [0.1]])
    page = browser.get(answer.headers["Location"])
    assert page.text.count("<progress") == 10
    assert "From the checkpoint of epoch 1" in page.text
    other: Person = quick_api.teammate
    assert quick_api.browser(other.name).get(answer.headers["Location"]).status_code == 404
    database.dispose()
