"""What administrators do for the pool, over the API and on its page."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from db import claims, quarantine, workers
from db.models import User
from labpool.client import Client
from tests.support.api import Api, problem_of
from tests.support.pool import slot

pytest_plugins = ["tests.support.api_fixtures"]

GPU = "GPU-1f2e"


def gpu_slot(api: Api) -> int:
    info = workers.WorkerInfo("w1", "dgx", 7, "1", [], [], "store")
    with api.database.transaction() as session:
        [slot_id] = workers.register_worker(
            session, info, [workers.SlotInfo(0, "gpu", "NVIDIA H200", ("train",), GPU)]
        )
        quarantine.quarantine(session, slot_id, "dgx", "It lost its <memory>.")
    return slot_id


def pool(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = api.owner.get("/api/v1/pool").get_json()
    return found


@pytest.mark.parametrize("by_slot", [True, False])
def test_an_admin_puts_a_gpu_back(api: Api, by_slot: bool) -> None:
    slot_id = gpu_slot(api)
    [closed] = pool(api)["quarantines"]
    assert (closed["device"], closed["host"], closed["name"]) == (GPU, "dgx", "NVIDIA H200")
    assert closed["reason"] == "It lost its <memory>."
    assert pool(api)["workers"][0]["slots"][0]["state"] == "quarantined"
    path = f"/api/v1/pool/quarantines/{slot_id if by_slot else GPU}/clear"
    problem_of(api.owner.post(path), 403)
    rings = api.bell.rings
    answer = api.admin.post(path)
    assert answer.status_code == 200
    assert answer.get_json()["cleared_at"] is not None
    assert api.bell.rings == rings + 1, "its slot hears of it at once"
    assert pool(api)["quarantines"] == []
    assert pool(api)["workers"][0]["slots"][0]["state"] == "ready"
    told = problem_of(api.admin.post(path), 409)
    assert f"{GPU} is not out of service" in told["detail"]


def test_a_worker_is_drained_and_let_go(api: Api) -> None:
    with api.database.transaction() as session:
        here = slot(session, api.catalog)
    api.submitted()
    path = f"/api/v1/pool/workers/{here.worker_id}"
    answer = api.admin.post(f"{path}/drain").get_json()
    assert answer == {"worker": here.worker_id, "host": "here", "draining": True}
    assert pool(api)["workers"][0]["draining"]
    with api.database.transaction() as session:
        assert claims.claim(session, here, 90.0) is None
    assert not api.admin.post("/api/v1/pool/workers/here/undrain").get_json()["draining"]
    with api.database.transaction() as session:
        assert claims.claim(session, here, 90.0) is not None
    problem_of(api.admin.post("/api/v1/pool/workers/nobody/drain"), 409)


def test_the_client_says_both(quick_api: Api) -> None:
    gpu_slot(quick_api)
    http = httpx.Client(transport=httpx.WSGITransport(app=quick_api.app))
    with Client("http://localhost:8642", quick_api.admin.token, http=http) as client:
        assert client.drain_worker("dgx")["draining"]
        assert not client.drain_worker("w1", undo=True)["draining"]
        assert client.clear_quarantine(GPU)["host"] == "dgx"
        assert client.pool()["quarantines"] == []


def test_the_page_has_the_buttons_for_admins_alone(api: Api) -> None:
    gpu_slot(api)
    mine = api.browser().get("/pool").text
    assert "It lost its &lt;memory&gt;." in mine
    assert "/clear" not in mine
    assert "/drain" not in mine
    browser = api.browser("admin")
    page = browser.get("/pool").text
    assert f'action="/pool/quarantines/{GPU}/clear"' in page
    token = browser.form_token("/pool")
    answer = browser.send("/pool/workers/w1/drain", {"csrf_token": token})
    assert answer.status_code == 303
    page = browser.get("/pool").text
    assert "finishes what it holds and takes nothing more" in page
    assert 'action="/pool/workers/w1/undrain"' in page
    browser.send("/pool/workers/w1/undrain", {"csrf_token": token})
    assert browser.send(f"/pool/quarantines/{GPU}/clear", {"csrf_token": token}).status_code == 303
    page = browser.get("/pool").text
    assert 'id="quarantined"' not in page
    assert ">Free<" in page
    again = browser.send(f"/pool/quarantines/{GPU}/clear", {"csrf_token": token})
    assert again.status_code == 409
    with api.database.snapshot() as session:
        [row] = session.query(quarantine.Quarantine).all()
        assert session.get_one(User, row.cleared_by_id).name == "admin"


def test_a_slot_that_takes_nothing_says_why(api: Api) -> None:
    with api.database.transaction() as session:
        here = slot(session, api.catalog)
        workers.note_slot(session, here.slot_id, "used by hand: pid 7 (python), 4.1 GiB")
    page = api.browser().get("/pool").text
    assert "Takes nothing just now: used by hand: pid 7 (python), 4.1 GiB" in page
    assert pool(api)["workers"][0]["slots"][0]["reason"] == "used by hand: pid 7 (python), 4.1 GiB"
