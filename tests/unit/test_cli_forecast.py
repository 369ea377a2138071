"""`labpool submit --dry-run`: what it would cost and whom it would delay."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, ClassVar

import pytest

from labpool.cli import options
from tests.support.cli import FakeClient, run

FOUND: dict[str, Any] = {
    "trial_count": 60,
    "slot_seconds": 7200.0,
    "finish_s": 3700.0,
    "delays": [{"owner": "bob\x1b", "trials": 3, "seconds": 65.0}],
    "able_slots": 2,
    "devices": ["gpu"],
    "lacking": None,
    "arithmetic": "60 × 120 s.",
    "least_slot_seconds": None,
    "most_slot_seconds": None,
    "together": None,
}


class Lab(FakeClient):
    found: ClassVar[dict[str, Any]] = FOUND

    def forecast(self, spec: object) -> dict[str, Any]:
        return self.found

    def submit(self, *given: object, **named: object) -> Any:
        raise AssertionError("a dry run stores nothing")


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(options, "Client", Lab)
    monkeypatch.setattr(Lab, "found", FOUND)
    path = tmp_path / "sweep.yaml"
    path.write_text("kind: sweep\n")
    return str(path)


def test_it_works(spec: str) -> None:
    shown = run("submit", spec, "--dry-run")
    assert shown.exit_code == 0
    lines = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in shown.stdout.splitlines())
    assert lines == {
        "trials": "60",
        "GPU-hours": "2 (2 h 0 min)",
        "done": "in about 1 h 1 min on 2 slots",
        "delays": "3 waiting trials of bob� by up to 1 min 5 s",
        "arithmetic": "60 × 120 s.",
    }
    assert json.loads(run("submit", spec, "--dry-run", "--json").stdout) == FOUND


def test_groups_and_pruning_have_lines(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"groups": {"8": 7}, "saved_slot_seconds": None, "sentence": "7 groups of 8."}
    more = {"least_slot_seconds": 1800.0, "most_slot_seconds": 7200.0, "together": told}
    monkeypatch.setattr(Lab, "found", {**FOUND, **more})
    shown = run("submit", spec, "--dry-run").stdout
    assert "between 0.5 (30 min 0 s) and 2 (2 h 0 min)" in shown
    assert "7 groups of 8." in shown


def test_what_is_not_known_is_said(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = {"slot_seconds": None, "finish_s": None, "delays": [], "devices": []}
    lacks = {"lacking": "No worker is connected.", "arithmetic": "No estimate."}
    monkeypatch.setattr(Lab, "found", {**FOUND, **unknown, **lacks})
    shown = run("submit", spec, "--dry-run").stdout
    assert shown.count("not known") == 2 and "slot-hours" in shown
    assert "No worker is connected." in shown and "nobody" not in shown
    free = {**FOUND, "delays": [], "devices": ["cpu", "gpu"], "able_slots": 1}
    monkeypatch.setattr(Lab, "found", free)
    shown = run("submit", spec, "--dry-run").stdout
    assert "nobody" in shown and "slot-hours" in shown and "on 1 slot\n" in shown


@pytest.mark.parametrize("other", ["--watch", "--again", "--reuse", "--key=k"])
def test_nothing_that_stores_goes_with_it(spec: str, other: str) -> None:
    assert run("submit", spec, "--dry-run", other).exit_code == 2
