"""An autotuner's sweep through a real slot and a real runner onto its pages, on a fake GPU."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from db.engine import Database
from db.states import TrialState
from labpool.catalog import Catalog
from labpool.settings import CHECKOUT
from tests.support.api import make_api
from tests.support.slots import attempts, running_pool, settings_for, wait_for_end
from worker.devices import Device

RUNNER = (sys.executable, str(CHECKOUT / "tests" / "support" / "cuda" / "catalog_runner.py"))
GPU = Device("gpu", "a fake GPU", 1, ("benchmark",))
SWEEP = {
    "kind": "sweep",
    "base": {"kind": "benchmark", "kernel": "saxpy", "device": "gpu", "sizes": {"n": 2003},
             "samples": 10},
    "strategy": {"method": "grid"},
    "space": {"launch.threads": [64, 128, 1024]},
}  # fmt: skip


def test_it_works(sqlite_url: str, catalog: Catalog, tmp_path: Path) -> None:
    database = Database(sqlite_url)
    api = make_api(database, catalog, tmp_path)
    experiment, trials = api.submitted(SWEEP)
    with running_pool(settings_for(database, tmp_path), RUNNER, [GPU]):
        done = [one for trial in trials for one in wait_for_end(database, trial)]
    states = {one.id: (one.state, one.reason) for one in done}
    assert [state for state, _ in states.values()] == [
        TrialState.SUCCEEDED, TrialState.SUCCEEDED, TrialState.FAILED,
    ], states  # fmt: skip
    refused = done[2]
    assert refused.reason_kind == "user_error"
    assert "launch.threads: 1024 is too much: blocks of 1024 threads" in str(refused.reason)
    assert "640. Take less." in str(refused.reason)
    assert len(attempts(database, refused.id)) == 1, "it would fail again"

    browser = api.browser()
    trial = browser.get(f"/trials/{trials[0]}").text
    for part in ("timing", "transfer", "compiled"):
        assert f'id="{part}"' in trial, part
    assert re.search(r"NVRTC \d+\.\d+", trial) and "registers" in trial.lower()
    assert 'class="roof"' in trial and "GPU-fake" in trial
    sweep = browser.get(f"/experiments/{experiment}").text
    assert 'class="roof"' in sweep and "64" in sweep and "128" in sweep
    [row] = api.owner.get("/api/v1/boards/launches").get_json()["rows"]
    assert row["trial_id"] in trials[:2] and row["tried"] == 2
    assert "Best launch" in browser.get("/boards/launches").text
    database.dispose()
