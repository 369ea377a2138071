"""`labpool why` and `labpool priority`, without a service."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from labpool.cli import main, options
from labpool.client import Client

HELD = {"owner": "ada", "running": 2, "share": 2.0, "used_s": 7300.0, "max_running": 4}
WHY: dict[str, Any] = {
    "trial_id": 57,
    "state": "queued",
    "priority": "normal",
    "reason": "turn",
    "sentence": "12 are ahead of it; it starts in about 9 min 50 s.",
    "place": 13,
    "ahead": 12,
    "ahead_of": [{"owner": "bob", "count": 8}, {"owner": "carol", "count": 4}],
    "able_slots": 2,
    "free_slots": 0,
    "owner": HELD,
    "next": {"owner": "bob", "running": 1, "share": 1.0, "used_s": 60.0, "max_running": None},
    "waited_s": 3600.0,
    "by_age_s": 82800.0,
    "estimate_s": 590.0,
    "arithmetic": "12 ahead × 95 s (median of the last 20 trials of lenet5) + 40 s left of what "
    "runs, over 2 slots that can serve it ≈ 9 min 50 s.",
}


class FakeClient(Client):
    """Answers without a service."""

    answer = WHY

    def __init__(self, url: str | None = None) -> None:
        pass

    def close(self) -> None:
        pass

    def why(self, trial_id: int) -> dict[str, Any]:
        return {**self.answer, "trial_id": trial_id}

    def prioritise(self, trial_id: int, priority: str) -> dict[str, Any]:
        return {**self.answer, "priority": priority}


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> type[FakeClient]:
    made = type("FakeClientOfOneTest", (FakeClient,), {})
    monkeypatch.setattr(options, "Client", made)
    return made


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_it_works(service: type[FakeClient]) -> None:
    turn = (
        "ada holds 2 slots of at most 4 and used 2 h 1 min with share 2; "
        "next is bob, who holds 1 slot and used 1 min 0 s"
    )
    assert run("why", "57").splitlines() == [
        "Trial 57: queued, place 13 of the queue",
        "12 are ahead of it; it starts in about 9 min 50 s.",
        "  ahead:    8 of bob, 4 of carol",
        "  turn:     " + turn,
        f"  estimate: {WHY['arithmetic']}",
        "  by age:   may be taken out of turn in 23 h 0 min",
    ]
    assert json.loads(run("why", "57", "--json")) == WHY


def test_what_does_not_apply_is_left_out(service: type[FakeClient]) -> None:
    service.answer = {
        **WHY, "place": None, "ahead_of": [], "next": None, "by_age_s": None, "arithmetic": "",
        "sentence": "It is held back until somebody lets it go.", "priority": "low",
    }  # fmt: skip
    assert run("why", "3").splitlines() == [
        "Trial 3: queued, low priority",
        "It is held back until somebody lets it go.",
    ]


def test_what_was_asked_of_it_is_said(service: type[FakeClient]) -> None:
    service.answer = {**WHY, "pending": "stopping once it has a slot"}
    first = run("why", "57").splitlines()[0]
    assert first == "Trial 57: queued, stopping once it has a slot, place 13 of the queue"


def test_what_is_ones_own_turn_or_old_is_said(service: type[FakeClient]) -> None:
    service.answer = {**WHY, "next": HELD, "by_age_s": 0.0}
    text = run("why", "57")
    assert "the next slot is theirs" in text
    assert "waits long enough to be taken out of turn" in text


def test_what_others_wrote_cannot_steer_a_terminal(service: type[FakeClient]) -> None:
    service.answer = {**WHY, "sentence": "red \x1b[31m"}
    assert "\x1b" not in run("why", "57")


def test_a_priority_is_set(service: type[FakeClient]) -> None:
    assert run("priority", "57", "low").startswith("Trial 57: low. 12 are ahead")
    assert json.loads(run("priority", "57", "low", "--json"))["priority"] == "low"
    assert CliRunner().invoke(main, ["priority", "57", "urgent"]).exit_code == 2
