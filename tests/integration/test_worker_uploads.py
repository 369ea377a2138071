"""Trials of a real worker on data that people brought, and on data that is not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from db.artifacts import FolderStore
from db.engine import Database
from db.models import Result, Upload
from db.states import TrialState
from labpool.catalog import Catalog
from labpool.uploads import DIGEST
from tests.integration.test_uploads import SPEC, send
from tests.support.api import make_api
from tests.support.hostile import npz
from tests.support.slots import attempts, running_pool, settings_for, wait_for_end, wait_until
from worker.process import COMMAND

RANDOM = np.random.default_rng(1)
LABELS = np.arange(300) % 3
# Three clouds that are easy to tell apart; the last 60 are their own test set.
POINTS = (RANDOM.normal(0, 0.2, (300, 2)) + np.eye(3)[LABELS][:, :2] * 4).astype(np.float32)
FLOWERS = npz(
    x_train=POINTS[:240], y_train=LABELS[:240], x_test=POINTS[240:], y_test=LABELS[240:]
)  # fmt: skip


def test_it_works(
    sqlite_url: str, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One pool for all of it, for a runner takes seconds to load TensorFlow."""
    monkeypatch.setenv("LABPOOL_DATASETS_DIR", str(tmp_path / "data" / "datasets"))
    database = Database(sqlite_url)
    api = make_api(database, catalog, tmp_path)
    assert send(api.owner, ("flowers.npz", FLOWERS)).status_code == 201
    settings = settings_for(database, tmp_path)
    store = FolderStore(settings.artifacts_dir)
    cache = settings.datasets_folder / "uploads"
    with running_pool(settings, COMMAND):
        _, [first] = api.submitted({**SPEC, "epochs": 5})
        [done] = wait_for_end(database, first)
        assert done.state is TrialState.SUCCEEDED, done.reason
        assert done.data_digest == DIGEST
        with database.snapshot() as session:
            metrics = session.get_one(Result, first).metrics
        assert metrics["test_accuracy"] > 0.9
        [attempt] = attempts(database, first)
        assert attempt.environment is not None
        assert attempt.environment["examples"]["test"] == 60, "its own test set"

        [kept] = cache.iterdir()
        good = kept.read_bytes()
        kept.chmod(0o644)
        kept.write_bytes(good[:-200] + bytes(200))
        _, [second] = api.submitted({**SPEC, "seed": 1})
        [done] = wait_for_end(database, second)
        assert done.state is TrialState.SUCCEEDED, done.reason
        assert kept.read_bytes() == good, "what was spoilt is fetched anew"

        # Other data, for a warm runner has no need to read the same again.
        other = npz(x=POINTS + 1, y=LABELS)
        assert send(api.owner, ("o.npz", other), name="other").status_code == 201
        with database.snapshot() as session:
            store.delete(session.get_one(Upload, 2).key)
        _, [third] = api.submitted({**SPEC, "dataset": "owner/other"})
        [done] = wait_for_end(database, third)
        assert done.state is TrialState.FAILED and done.reason is not None
        assert "The upload was deleted" in done.reason
        assert len(attempts(database, third)) == 1, "it is not tried again"

        _, [fourth] = api.submitted({**SPEC, "dataset": "mnist"})
        [done] = wait_for_end(database, fourth)
        assert done.state is TrialState.FAILED and done.reason is not None
        assert "labpool data fetch mnist" in done.reason
        assert "labpool data import mnist" in done.reason
        assert len(attempts(database, fourth)) == 1, "it is not tried again"
        assert [kept] == list(cache.iterdir()), "tidied once, and nothing was in vain"
    gone = api.owner.send("DELETE", "/api/v1/uploads/1", b"", "text/plain")
    assert gone.status_code == 204
    with running_pool(settings):
        wait_until(lambda: not list(cache.iterdir()), "the removal of its copy")
    database.dispose()
