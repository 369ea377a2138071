"""`labpool sweep`: a sweep at a glance."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from labpool.cli import options
from tests.support.cli import FakeClient, run

RUNG: dict[str, Any] = {
    "number": 0, "epochs": 1, "is_top": False, "to_come": 0, "waiting": 2, "running": 0,
    "paused": 5, "promoted": 2, "pruned": 0, "done": 0, "failed": 0, "members": 9, "places": 3,
    "best": 0.91, "best_trial": 14,
}  # fmt: skip
TOP = {**RUNG, "number": 1, "epochs": 3, "is_top": True, "members": None, "places": None,
       "waiting": 2, "paused": 0, "promoted": 0, "best": None, "best_trial": None}  # fmt: skip
FOUND: dict[str, Any] = {
    "experiment_id": 7,
    "objective": {"metric": "val_accuracy", "direction": "maximize"},
    "parameters": ["learning_rate"],
    "planned": 9,
    "halt": "paused",
    "elapsed_s": 90.0,
    "rungs": [RUNG, TOP],
    "best_so_far": [
        {"at_s": 10.0 * n, "slot_seconds": 8.0 * n, "value": n / 10, "trial_id": 10 + n}
        for n in range(1, 9)
    ],
    "importance": {"method": "a method\x1b", "trials": 14, "epochs": 1, "lacking": "",
                   "parameters": [{"name": "learning_rate", "share": 0.8124, "groups": 2},
                                  {"name": "seed", "share": None, "groups": 9}]},
    "cost": {"used": 64.0, "uncharged": 0.0, "to_come": None, "budget": None,
             "arithmetic": "No estimate: no trial of mlp has ended well yet."},
    "groups": [], "group_count": 0, "trials": [],
}  # fmt: skip


class Lab(FakeClient):
    found: ClassVar[dict[str, Any]] = FOUND

    def sweep(self, experiment_id: int) -> dict[str, Any]:
        return self.found


@pytest.fixture(autouse=True)
def lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "Client", Lab)
    monkeypatch.setattr(Lab, "found", FOUND)


def test_it_works() -> None:
    shown = run("sweep", "7")
    assert shown.exit_code == 0, shown.output
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert shown.stdout.startswith("9 trials by val_accuracy; paused\n")
    assert "used 1 min 4 s of slots; to come -" in shown.stdout
    assert ["rung", "epochs", "waiting", "paused", "promoted", "go", "on", "best", "trial"] in lines
    assert ["0", "1", "2", "5", "2", "3", "of", "9", "0.91", "14"] in lines
    assert ["top", "3", "2", "0", "0", "-", "-", "-"] in lines
    assert ["learning_rate", "0.81"] in lines
    assert ["seed", "-"] in lines
    assert "\x1b" not in shown.stdout
    assert "over 14 trials after epoch 1" in shown.stdout


def test_the_newest_steps_come_first() -> None:
    lines = [line.split() for line in run("sweep", "7").stdout.splitlines()]
    known = {str(10 + n) for n in range(1, 9)}
    steps = [line[:2] for line in lines if len(line) > 1 and line[1] in known]
    assert steps == [[f"0.{n}", str(10 + n)] for n in (8, 7, 6, 5, 4)]


def test_json_is_what_the_service_said() -> None:
    assert json.loads(run("sweep", "7", "--json").stdout) == FOUND


def test_what_is_not_known_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    importance = {**FOUND["importance"], "parameters": [], "lacking": "Told from 12 trials on."}
    bare = {**FOUND, "objective": None, "rungs": [], "best_so_far": [], "importance": importance}
    monkeypatch.setattr(Lab, "found", bare)
    shown = run("sweep", "7").stdout
    assert "by no metric yet" in shown
    assert "Which settings matter: Told from 12 trials on." in shown
