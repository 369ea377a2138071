"""Users' own kernels through a real slot and a real runner, with a fake GPU below it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from db.boards import board_rows
from db.engine import Database
from db.grants import revoke
from db.models import Result
from db.states import TrialState
from db.users import find_user
from labpool.catalog import BoardEntry, Catalog
from labpool.settings import CHECKOUT
from tests.integration.test_own_kernels import gpu
from tests.support.api import Api, make_api
from tests.support.own_cheating import CHEATS
from tests.support.own_kernels import own
from tests.support.slots import attempts, running_pool, settings_for, wait_for_end
from worker.devices import Device

RUNNER = (sys.executable, str(CHECKOUT / "tests" / "support" / "cuda" / "own_runner.py"))
GPU = Device("gpu", "a fake GPU", 1, ("benchmark",))
BOARD = BoardEntry.model_validate(
    {
        "name": "saxpy", "title": "saxpy", "summary": "saxpy", "path": CHECKOUT, "digest": "0" * 64,
        "kind": "benchmark", "metric": "gb_s", "unit": "GB/s", "direction": "maximize",
        "where": {"kernel": "saxpy"}, "device": "gpu",
    }
)  # fmt: skip
MOST = {"samples": 10, "launch": {"threads": 64}}


def opened(database: Database, catalog: Catalog, folder: Path) -> Api:
    api = make_api(database, catalog, folder, own_kernels=True)
    change = json.dumps({"may_run": ["kernels"]})
    api.admin.send("PATCH", "/api/v1/users/owner", change, "application/json")
    return api


def test_it_works(sqlite_url: str, catalog: Catalog, tmp_path: Path) -> None:
    """One pool for all of it: an honest kernel, one that cheats, and one taken back."""
    database = Database(sqlite_url)
    api = opened(database, catalog, tmp_path)
    settings = settings_for(database, tmp_path)
    with running_pool(settings, RUNNER, [GPU]):
        _, [honest] = api.submitted(own(**MOST))
        [done] = wait_for_end(database, honest)
        assert done.state is TrialState.SUCCEEDED, done.reason
        with database.snapshot() as session:
            result = session.get_one(Result, honest)
        assert result.device == "gpu"
        assert result.summary["own_source"] is True
        assert result.summary["compile"]["compiler"] == "c++"
        assert result.metrics["median_ms"] > 0
        text = api.browser().get(f"/trials/{honest}").text
        assert "own-source-text" in text

        _, [cheating] = api.submitted(own(CHEATS["half of the work"], **MOST))
        [done] = wait_for_end(database, cheating)
        assert done.state is TrialState.FAILED and done.reason is not None
        assert done.reason_kind == "user_error"
        assert "is nan" in done.reason
        assert len(attempts(database, cheating)) == 1, "it is not tried again"

    _, [late] = api.submitted(own(**MOST, seed=5))
    with database.transaction() as session:
        user = find_user(session, "owner")
        assert user is not None
        revoke(session, user, "kernels")
    with running_pool(settings, RUNNER, [GPU]):
        [done] = wait_for_end(database, late)
    assert done.state is TrialState.FAILED and done.reason is not None
    assert "labpool user grant owner kernels" in done.reason

    with database.snapshot() as session:
        [row] = board_rows(session, BOARD)
        assert (row.trial_id, row.own_source) == (honest, True)
    database.dispose()


def test_boards_mark_what_is_ones_own(
    sqlite_url: str, catalog: Catalog, tmp_path: Path
) -> None:  # fmt: skip
    database = Database(sqlite_url)
    api = opened(database, catalog, tmp_path)
    text = (catalog.kernels["dense_relu"].path / "kernel.cu").read_text(encoding="utf-8")
    spec = {"kind": "benchmark", "kernel": "dense_relu", "device": "gpu"}
    for given in (spec, {**spec, "source": text}, {**spec, "source": text + "\n"}):
        _, [trial] = api.submitted(given)
        gpu(api, trial, gflop_s=float(trial), percent_of_peak=float(trial))
    rows = api.owner.get("/api/v1/boards/dense_relu_gpu").get_json()["rows"]
    assert [row["own_source"] for row in rows] == [True, True, False], "three configurations"
    page = api.browser().get("/boards/dense_relu_gpu").text
    assert page.count(">own source</span>") == 2
    csv = api.owner.get("/api/v1/boards/dense_relu_gpu/csv").text.splitlines()
    assert csv[0].endswith(",own_source")
    assert [line.endswith(",yes") for line in csv[1:4]] == [True, True, False]
    assert "__global__" not in json.dumps(rows) + page
    best = api.owner.get("/api/v1/boards/launches").get_json()["rows"]
    assert [row["own_source"] for row in best] == [True, True, False], "none stands for another"
    database.dispose()
