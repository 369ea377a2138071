"""Pause, resume, and stop with what there is, by the API and by the pages' buttons."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from api.routes import trials as trials_routes
from db import findings, owner
from db.claims import ClaimedTrial
from db.engine import Database
from labpool.catalog import Catalog
from tests.support.api import (
    BENCHMARK,
    GRID,
    Api,
    claimed,
    epochs,
    make_api,
    problem_of,
    succeeded,
)

pytest_plugins = ["tests.support.api_fixtures"]

CHECKPOINT = findings.CheckpointRecord(2, "trials/1/1/epoch-2.npz", "0" * 64, 10, 0.5, True)


def asked(api: Api, trial_id: int, verb: str) -> dict[str, object]:
    answer = api.owner.post(f"/api/v1/trials/{trial_id}/{verb}")
    assert answer.status_code == 200, answer.text
    body: dict[str, object] = answer.get_json()
    return body


def paused(api: Api, work: ClaimedTrial) -> None:
    """As the slot does it that has heard of the wish."""
    with api.database.transaction() as session:
        findings.record_checkpoint(session, work.trial_id, work.fence, CHECKPOINT)
        owner.pause(session, work.trial_id, work.fence, progress=(2.0, 3.0, "epoch"))


def buttons(api: Api, path: str, viewer: str = "owner") -> list[str]:
    """The verbs of the forms at the head of a page."""
    page = api.browser(viewer).get(path).text
    return re.findall(rf'action="{path}/(pause|resume|stop|cancel)"', page)


def test_it_works(api: Api) -> None:
    _, [trial_id] = api.submitted()
    rings = api.bell.rings
    held = asked(api, trial_id, "pause")
    assert (held["state"], held["held"], held["wish"]) == ("queued", True, None)
    assert "held back" in str(held["waiting"])
    assert asked(api, trial_id, "resume")["held"] is False

    work = claimed(api)
    epochs(api, work, range(1, 3), total=3)
    assert asked(api, trial_id, "pause")["wish"] == "pause"
    assert asked(api, trial_id, "pause")["wish"] == "pause", "asking twice is no error"
    assert asked(api, trial_id, "resume")["wish"] is None
    assert asked(api, trial_id, "pause")["state"] == "running"
    paused(api, work)
    shown = api.owner.get(f"/api/v1/trials/{trial_id}").get_json()
    assert (shown["state"], shown["wish"], shown["progress"]["done"]) == ("paused", None, 2.0)
    assert shown["attempts"][0]["outcome"] == "paused"

    assert asked(api, trial_id, "resume")["state"] == "queued"
    again = claimed(api)
    assert asked(api, trial_id, "stop")["wish"] == "stop"
    with api.database.transaction() as session:
        owner.succeed(session, trial_id, again.fence, {"test_accuracy": 0.5}, {}, ended_early=True)
    problem_of(api.owner.post(f"/api/v1/trials/{trial_id}/pause"), 409)
    assert api.bell.rings == rings + 8


def test_only_owner_and_admin_may_ask(api: Api) -> None:
    experiment, [trial_id] = api.submitted()
    for path in (f"/api/v1/trials/{trial_id}", f"/api/v1/experiments/{experiment}"):
        problem_of(api.anonymous.post(f"{path}/pause"), 401)
        problem_of(api.teammate.post(f"{path}/pause"), 403)
        assert api.admin.post(f"{path}/pause").status_code == 200
        problem_of(api.owner.post(f"{path}/pause", {"a": 1}), 400)


def test_what_cannot_be_says_why(api: Api) -> None:
    _, [trial_id] = api.submitted()
    problem = problem_of(api.owner.post(f"/api/v1/trials/{trial_id}/stop"), 409)
    assert "nothing to keep" in problem["detail"]
    _, [benchmark] = api.submitted(BENCHMARK)
    api.owner.post(f"/api/v1/trials/{trial_id}/cancel")
    claimed(api)
    problem = problem_of(api.owner.post(f"/api/v1/trials/{benchmark}/pause"), 409)
    assert "benchmark" in problem["detail"]
    problem_of(api.owner.post("/api/v1/trials/999/pause"), 404)
    problem_of(api.owner.post("/api/v1/experiments/999/stop"), 404)


def test_a_waiting_trial_that_ran_before_is_stopped_with_what_it_has(api: Api) -> None:
    _, [trial_id] = api.submitted()
    work = claimed(api)
    with api.database.transaction() as session:
        findings.record_checkpoint(session, work.trial_id, work.fence, CHECKPOINT)
        owner.release(session, work.trial_id, work.fence, "Its worker was shut down.")
    asked(api, trial_id, "pause")
    stopped = asked(api, trial_id, "stop")
    assert (stopped["state"], stopped["held"], stopped["wish"]) == ("queued", False, "stop")
    why = api.owner.get(f"/api/v1/trials/{trial_id}/why").get_json()
    assert why["pending"] == "stopping once it has a slot"
    assert claimed(api).wish == "stop", "the slot that takes it hears of it at once"


def test_what_goes_on_waits_by_the_rules_of_the_pool(
    database: Database, catalog: Catalog, tmp_path: Path
) -> None:
    api = make_api(database, catalog, tmp_path, max_running_per_user=1)
    api.submitted()
    _, [trial_id] = api.submitted()
    claimed(api)
    asked(api, trial_id, "pause")
    assert "may hold 1 at once" in str(asked(api, trial_id, "resume")["waiting"])


def test_a_whole_experiment(api: Api) -> None:
    number, trials = api.submitted(GRID)
    path = f"/api/v1/experiments/{number}"
    done = claimed(api)
    succeeded(api, done, 0.9)
    running = claimed(api)
    counts = api.owner.post(f"{path}/pause").get_json()["states"]
    assert counts == {"succeeded": 1, "running": 1, "queued": 2}
    shown = {trial["id"]: trial for trial in _trials(api, number)}
    assert shown[running.trial_id]["wish"] == "pause"
    assert [trial["held"] for trial in shown.values()].count(True) == 2
    paused(api, running)

    counts = api.owner.post(f"{path}/resume").get_json()["states"]
    assert counts == {"succeeded": 1, "queued": 3}
    assert not any(trial["held"] for trial in _trials(api, number))

    again = claimed(api)
    counts = api.owner.post(f"{path}/stop").get_json()["states"]
    after = {trial["id"]: trial for trial in _trials(api, number)}
    assert after[again.trial_id]["wish"] == "stop"
    # One of those that wait ran before the pause or runs now; the two that never ran are over.
    never_ran = set(trials) - {done.trial_id, running.trial_id, again.trial_id}
    assert {after[trial_id]["state"] for trial_id in never_ran} == {"cancelled"}
    begun = {done.trial_id, running.trial_id, again.trial_id}
    assert "cancelled" not in {after[trial_id]["state"] for trial_id in begun}
    assert counts["cancelled"] == len(never_ran)


def _trials(api: Api, experiment: int) -> list[dict[str, object]]:
    found: list[dict[str, object]] = api.owner.get(
        f"/api/v1/trials?experiment={experiment}"
    ).get_json()["trials"]
    return found


def test_the_pages_have_the_buttons_that_apply(quick_api: Api) -> None:
    api = quick_api
    number, [trial_id] = api.submitted()
    path = f"/trials/{trial_id}"
    assert buttons(api, path) == ["pause", "cancel"]
    assert buttons(api, path, "teammate") == []
    browser = api.browser()
    token = browser.form_token(path)

    def press(verb: str) -> str:
        answer = browser.send(f"{path}/{verb}", {"csrf_token": token})
        assert (answer.status_code, answer.headers["Location"]) == (303, path)
        return browser.get(path).text

    assert "held back" in press("pause")
    assert buttons(api, path) == ["resume", "cancel"]
    press("resume")

    work = claimed(api)
    epochs(api, work, range(1, 3), total=3)
    assert buttons(api, path) == ["pause", "stop", "cancel"]
    assert buttons(api, f"/experiments/{number}") == ["pause", "stop", "cancel"]
    assert "Pausing after this epoch" in press("pause")
    assert "Pausing after this epoch" in browser.get(f"/experiments/{number}").text
    assert buttons(api, path) == ["resume", "stop", "cancel"]
    assert "Told to go on after all" in press("resume")
    stopping = press("stop")
    assert "Stopping after this epoch" in stopping
    assert "Pause asked for" in stopping and "Stop asked for" in stopping
    assert buttons(api, path) == ["resume", "pause", "cancel"]
    with api.database.transaction() as session:
        owner.release(session, work.trial_id, work.fence, "Its worker was shut down.")
    assert "Stopping once it has a slot" in browser.get(path).text
    assert "Stopping once it has a slot" in browser.get(f"/experiments/{number}").text
    assert buttons(api, path) == ["resume", "pause", "cancel"]
    assert "Stopping once it has a slot" not in press("resume")


def test_a_paused_trial_can_be_resumed_from_its_page(quick_api: Api) -> None:
    api = quick_api
    number, [trial_id] = api.submitted()
    work = claimed(api)
    asked(api, trial_id, "pause")
    paused(api, work)
    path = f"/trials/{trial_id}"
    assert buttons(api, path) == ["resume", "stop", "cancel"]
    assert buttons(api, f"/experiments/{number}") == ["resume", "stop", "cancel"]
    browser = api.browser()
    page = browser.get(path).text
    assert "<strong>Paused.</strong> Its state is saved" in page
    assert "Waiting." not in page
    assert 'id="reason"' not in page, "said once"
    answer = browser.send(f"/experiments/{number}/resume", {"csrf_token": browser.form_token(path)})
    assert answer.headers["Location"] == f"/experiments/{number}"
    assert api.owner.get(f"/api/v1/trials/{trial_id}").get_json()["state"] == "queued"


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_button_that_came_too_late_says_so(quick_api: Api, verb: str) -> None:
    _, [trial_id] = quick_api.submitted()
    browser = quick_api.browser()
    token = browser.form_token(f"/trials/{trial_id}")
    quick_api.owner.post(f"/api/v1/trials/{trial_id}/cancel")
    answer = browser.send(f"/trials/{trial_id}/{verb}", {"csrf_token": token})
    assert answer.status_code == 409
    assert "already cancelled" in answer.text


def test_an_experiments_answer_counts_what_was_asked(api: Api) -> None:
    experiment, trials = api.submitted(GRID)
    claimed(api)

    def ask(verb: str) -> dict[str, object]:
        found = api.owner.post(f"/api/v1/experiments/{experiment}/{verb}").get_json()
        return {name: found[name] for name in ("asked", "changed")}

    waiting = len(trials) - 1
    assert ask("pause") == {"asked": {"held": waiting, "pausing": 1}, "changed": len(trials)}
    listed = api.owner.get("/api/v1/experiments").get_json()["experiments"][0]
    assert listed["asked"] == {"held": waiting, "pausing": 1}
    assert ask("resume")["asked"] == {}
    assert ask("cancel") == {"asked": {"cancelling": 1}, "changed": len(trials)}
    again = ask("pause")
    assert again["changed"] == 0, "what is being cancelled is not paused"


@pytest.mark.parametrize("verb", ["pause", "resume", "priority"])
def test_an_answer_is_read_after_the_commit(
    api: Api, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why a trial waits is a look at the whole queue, which must keep nobody from writing."""
    _, [trial_id] = api.submitted()
    if verb == "resume":
        asked(api, trial_id, "pause")
    seen: list[bool] = []

    def look(real: Callable[..., Any]) -> Callable[..., Any]:
        def looked(session: Session, *rest: Any) -> Any:
            seen.append(session.connection().get_execution_options().get("write", False))
            return real(session, *rest)

        return looked

    monkeypatch.setattr(trials_routes, "why_waiting", look(trials_routes.why_waiting))
    monkeypatch.setattr(trials_routes, "why", look(trials_routes.why))
    if verb == "priority":
        answer = api.owner.send(
            "PATCH", f"/api/v1/trials/{trial_id}", '{"priority": "low"}', "application/json"
        )
        assert answer.status_code == 200, answer.text
    else:
        asked(api, trial_id, verb)
    assert seen == [False]
