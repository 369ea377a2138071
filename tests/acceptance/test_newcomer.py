"""CONTRIBUTING.md taken at its word: what it shows is written down, runs, and has a board."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from db.engine import Database
from db.migrate import upgrade
from db.users import add_user, issue_token
from labpool import Client
from labpool.settings import CHECKOUT
from tests.support.processes import Processes


def section(title: str) -> dict[str, str]:
    """The code blocks of one section by their language."""
    text = (CHECKOUT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    body = text.split(f"\n## {title}\n")[1].split("\n## ")[0].split("\n### ")[0]
    blocks = re.findall(r"^ *```(\w+)\n(.*?)^ *```$", body, re.DOTALL | re.MULTILINE)
    return {language: textwrap.dedent(block) for language, block in blocks}


def write_catalog(root: Path) -> str:
    """What the document shows, as files; the spec of its example."""
    model, board = section("A model"), section("A board")
    folder = root / "models" / "one_layer"
    folder.mkdir(parents=True)
    (folder / "model.toml").write_text(model["toml"])
    (folder / "model.py").write_text(model["python"])
    (folder / "example.yaml").write_text(model["yaml"])
    (folder / "README.md").write_text("# one_layer\nFrom CONTRIBUTING.md.\n")
    (root / "boards").mkdir()
    (root / "boards" / "one_layer.toml").write_text(board["toml"])
    return model["yaml"]


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    return Processes(tmp_path / "processes")


def test_it_works(processes: Processes, tmp_path: Path) -> None:
    spec = write_catalog(tmp_path / "catalog")
    with processes:
        environment = processes.environment(
            LABPOOL_CATALOG_PATH=str(tmp_path / "catalog"),
            LABPOOL_SLOTS="1",
            LABPOOL_BROKER_URL=processes.broker().url,
        )
        database = Database(f"sqlite:///{environment['LABPOOL_DATA_DIR']}/labpool.db")
        upgrade(database)
        with database.transaction() as session:
            _, token = issue_token(session, add_user(session, "newcomer"), "api")
        database.dispose()
        api = processes.api(environment)
        processes.worker(environment)
        with Client(api.url, token) as client:
            names = [entry["name"] for entry in client.catalog()["models"]]
            assert "one_layer" in names
            experiment = client.wait(client.submit(spec).id, timeout_s=180)
            (trial,) = client.trials(experiment.id)
            assert trial.state == "succeeded", client.log(trial.id)
            (row,) = client.board("one_layer")["rows"]
            assert row["trial_id"] == trial.id
            assert row["value"] > 0.8
            checkpoint = client.download_checkpoint(trial.id, tmp_path / "best.npz")
            assert checkpoint.stat().st_size > 0
