"""What a request changes in one guarded statement: in `db/`, and in the model."""

from __future__ import annotations

from sqlalchemy.orm import Session

from db import transitions
from db.models import Trial
from db.states import Wish
from tests.faults import expected

ACTOR = "a test"
CHANGES = (
    "hold", "let_go", "pause", "stop", "take_back", "resume", "cancel_waiting", "request_cancel",
)  # fmt: skip


def ask(session: Session, row: Trial, change: str) -> bool:
    """Make it, as somebody who read ``row``; whether it was made."""
    match change:
        case "hold" | "let_go":
            return transitions.hold(session, row, change == "hold", actor=ACTOR)
        case "pause" | "stop":
            return transitions.wish(session, row, Wish(change), actor=ACTOR)
        case "take_back":
            return transitions.wish(session, row, None, actor=ACTOR)
        case "resume":
            return transitions.resume(session, row, actor=ACTOR)
        case "cancel_waiting":
            return transitions.cancel_waiting(session, row, actor=ACTOR)
        case _:
            return transitions.request_cancel(session, row, actor=ACTOR)


def allowed(trial: expected.Trial, row: Trial, change: str) -> bool:
    """Whether it is, for who read ``row``."""
    if trial.fence != row.fence:
        return False
    match change:
        case "hold" | "let_go":
            return trial.state == "queued" and trial.held != (change == "hold")
        case "pause" | "stop":
            states = ("running", "queued") if change == "stop" else ("running",)
            return trial.state in states and not trial.cancel and trial.wish != change
        case "take_back":
            waits_or_runs = trial.state in ("running", "queued")
            return waits_or_runs and not trial.cancel and trial.wish is not None
        case "resume":
            return trial.state == "paused"
        case "cancel_waiting":
            return trial.state == str(row.state) in ("queued", "paused")
        case _:
            return trial.state == "running" and not trial.cancel


def follow(trial: expected.Trial, change: str) -> None:
    """What the trial is once it is allowed."""
    match change:
        case "hold" | "let_go":
            trial.held = change == "hold"
        case "pause" | "stop":
            trial.wish = change
        case "take_back":
            trial.wish = None
        case "resume":
            trial.state, trial.not_before = "queued", 0.0
        case "cancel_waiting":
            trial.state, trial.cancel, trial.wish = "cancelled", True, None
        case "request_cancel":
            trial.cancel = True
