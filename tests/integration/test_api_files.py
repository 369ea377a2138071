"""Logs, checkpoints and artifacts."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from api.context import services
from db import findings
from tests.support.api import Api, checkpoint, claimed, failed, problem_of, released

pytest_plugins = ["tests.support.api_fixtures"]


def with_log(api: Api, folder: Path, text: bytes) -> int:
    _, [trial_id] = api.submitted()
    trial = claimed(api)
    key = f"trials/{trial_id}/{trial.fence}/log.txt"
    api.put_file(key, text, folder)
    with api.database.transaction() as session:
        findings.set_log(session, trial_id, trial.fence, key, len(text))
    return trial_id


def with_artifact(api: Api, folder: Path, name: str, media_type: str, data: bytes) -> str:
    _, [trial_id] = api.submitted()
    trial = claimed(api)
    key = f"trials/{trial_id}/{trial.fence}/{name}"
    sha256 = api.put_file(key, data, folder)
    record = findings.ArtifactRecord(name, key, media_type, sha256, len(data))
    with api.database.transaction() as session:
        findings.record_artifact(session, trial_id, trial.fence, record)
    [row] = api.owner.get(f"/api/v1/trials/{trial_id}/artifacts").get_json()["artifacts"]
    assert row["sha256"] == sha256
    return str(row["url"])


def store_folder(api: Api) -> Path:
    with api.app.app_context():
        return services().settings.artifacts_dir


def test_it_works(api: Api, tmp_path: Path) -> None:
    _, [trial_id] = api.submitted()
    trial = claimed(api)
    data = bytes(range(256)) * 4096
    sha256 = checkpoint(api, trial, 2, data, tmp_path, best=True)
    [row] = api.owner.get(f"/api/v1/trials/{trial_id}/checkpoints").get_json()["checkpoints"]
    assert row["sha256"] == sha256 == hashlib.sha256(data).hexdigest()
    assert row["size_bytes"] == len(data)
    assert row["best"] is True

    answer = api.owner.get(row["url"])
    assert answer.data == data
    assert answer.headers["ETag"] == f'"{sha256}"'
    assert answer.headers["Content-Length"] == str(len(data))
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    disposition = answer.headers["Content-Disposition"]
    assert disposition == f'attachment; filename="trial-{trial_id}-epoch-2.npz"'
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    same = api.owner.get(row["url"], {"If-None-Match": f'"{sha256}"'})
    assert same.status_code == 304
    assert same.data == b""


def test_a_file_that_left_the_store_is_gone(api: Api, tmp_path: Path) -> None:
    _, [trial_id] = api.submitted()
    trial = claimed(api)
    checkpoint(api, trial, 1, b"one", tmp_path)
    [row] = api.owner.get(f"/api/v1/trials/{trial_id}/checkpoints").get_json()["checkpoints"]
    with api.app.app_context():
        services().store.delete(f"trials/{trial_id}/{trial.fence}/epoch-1.npz")

    problem_of(api.owner.get(row["url"]), 410)


def test_a_file_is_not_gone_while_the_store_is_away(quick_api: Api, tmp_path: Path) -> None:
    url = with_artifact(quick_api, tmp_path, "out.bin", "application/octet-stream", b"one")
    root = store_folder(quick_api)
    mounted = root.rename(root.with_name("elsewhere"))

    root.mkdir()  # Where a share is not mounted there is an empty folder.
    answer = quick_api.owner.get(url)
    problem = problem_of(answer, 503)
    assert problem["type"].endswith("store-away")
    assert "artifact store is away" in problem["detail"]
    assert int(answer.headers["Retry-After"]) > 0
    root.rmdir()
    problem_of(quick_api.owner.get(url), 503)

    mounted.rename(root)
    assert quick_api.owner.get(url).data == b"one"


def test_a_picture_is_not_gone_while_the_store_is_away(quick_api: Api, tmp_path: Path) -> None:
    data = b"\x89PNG\r\n\x1a\n" + bytes(20)
    with_artifact(quick_api, tmp_path, "out.png", "image/png", data)
    browser = quick_api.browser()
    url = "/trials/1/pictures/1"
    root = store_folder(quick_api)
    mounted = root.rename(root.with_name("elsewhere"))
    answer = browser.get(url)
    assert (answer.status_code, "artifact store is away" in answer.text) == (503, True)
    assert int(answer.headers["Retry-After"]) > 0

    mounted.rename(root)
    assert browser.get(url).data == data


def test_a_log_is_told_from_its_tail_while_the_store_is_away(
    quick_api: Api, tmp_path: Path
) -> None:
    trial_id = with_log(quick_api, tmp_path, b"a line\n")
    root = store_folder(quick_api)
    root.rename(root.with_name("elsewhere"))
    assert quick_api.owner.get(f"/api/v1/trials/{trial_id}/log").status_code == 200


def test_a_file_of_another_trial_is_not_found(api: Api, tmp_path: Path) -> None:
    _, [trial_id] = api.submitted()
    trial = claimed(api)
    checkpoint(api, trial, 1, b"one", tmp_path)
    released(api, trial)
    _, [other_id] = api.submitted()
    [row] = api.owner.get(f"/api/v1/trials/{trial_id}/checkpoints").get_json()["checkpoints"]

    problem_of(api.owner.get(f"/api/v1/trials/{other_id}/checkpoints/{row['id']}"), 404)
    problem_of(api.owner.get(f"/api/v1/trials/{trial_id}/checkpoints/99"), 404)
    problem_of(api.owner.get(f"/api/v1/trials/{trial_id}/artifacts/{row['id']}"), 404)


@pytest.mark.parametrize(
    ("media_type", "sent"),
    [
        ("image/png", "image/png"),
        ("text/csv", "text/csv; charset=utf-8"),
        ("text/html", "application/octet-stream"),
        ("image/svg+xml", "application/octet-stream"),
        ("application/javascript", "application/octet-stream"),
        ("text/html; charset=utf-8\r\nX-Evil: 1", "application/octet-stream"),
        ("TEXT/HTML", "application/octet-stream"),
    ],
)
def test_nothing_is_sent_that_a_browser_would_run(
    quick_api: Api, tmp_path: Path, media_type: str, sent: str
) -> None:
    url = with_artifact(quick_api, tmp_path, "out.bin", media_type, b"<script>1</script>")
    answer = quick_api.owner.get(url)

    assert answer.headers["Content-Type"] == sent
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert "X-Evil" not in answer.headers
    assert answer.data == b"<script>1</script>"


def test_a_log_is_read_from_an_offset(api: Api, tmp_path: Path) -> None:
    trial_id = with_log(api, tmp_path, "eins\nzwei äöü\n".encode())
    path = f"/api/v1/trials/{trial_id}/log"
    whole = api.owner.get(path)
    assert whole.text == "eins\nzwei äöü\n"
    assert whole.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert whole.headers["Content-Disposition"].startswith("attachment")
    part = api.owner.get(f"{path}?offset=5", {"Accept": "application/json"}).get_json()
    assert part["text"] == "zwei äöü\n"
    assert part["next_offset"] == part["total_bytes"] == whole.content_length
    assert part["complete"] is False
    after = f"{path}?offset={part['next_offset']}"
    assert api.owner.get(after, {"Accept": "application/json"}).get_json()["text"] == ""
    assert api.owner.get(f"{path}?offset=999999").text == ""


def test_a_failed_trial_keeps_the_tail_of_its_log(api: Api) -> None:
    _, [trial_id] = api.submitted()
    failed(api, claimed(api), "crashed", "line one\nline two\n")
    body = api.owner.get(
        f"/api/v1/trials/{trial_id}/log", {"Accept": "application/json"}
    ).get_json()

    assert body["text"] == "line one\nline two\n"
    assert body["truncated"] is True
    assert body["complete"] is True


def test_a_trial_without_a_log_has_an_empty_one(quick_api: Api) -> None:
    _, [trial_id] = quick_api.submitted()

    assert quick_api.owner.get(f"/api/v1/trials/{trial_id}/log").text == ""
    problem_of(quick_api.owner.get(f"/api/v1/trials/{trial_id}/log?fence=3"), 404)
    problem_of(quick_api.owner.get(f"/api/v1/trials/{trial_id}/log?offset=-1"), 422)


def test_a_browser_may_download_with_its_cookie(quick_api: Api, tmp_path: Path) -> None:
    trial_id = with_log(quick_api, tmp_path, b"hello")
    browser = quick_api.browser("teammate")

    assert browser.get(f"/api/v1/trials/{trial_id}/log").text == "hello"
