"""One trial: state, curves, log, files, attempts, events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, redirect, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from api.charts.colours import look_of
from api.context import services
from api.logs import choose, tail
from api.pages import pictures, reruns
from api.pages.commands import Command, submit_command
from api.pages.curves import trial_curves
from api.pages.eta import remaining_s
from api.pages.examined import examined_panel
from api.pages.facts import facts_of, origin_of, settings_of
from api.pages.filters import pretty_yaml
from api.pages.frame import page
from api.pages.pausing import buttons_of
from api.pages.predictions import try_it
from api.pages.samples import samples_of
from api.pages.timed import timed_panel
from api.pages.turns import turn_of
from api.problems import ApiProblem
from api.security.identity import me
from api.security.roles import allow
from api.visibility import (
    may_change,
    require_change,
    shown_attempts,
    shown_events,
    visible_trial,
)
from db.commands import cancel_trial, retry_trial
from db.company import company
from db.errors import NotPossible, QueueFull
from db.fairness import Rules
from db.models import Trial, User
from db.own_sources import source_of
from db.reads.curves import curves_since
from db.reads.events import EventRow, events_of_trial
from db.reads.files import AttemptRow, artifacts_of, checkpoints_of
from db.reads.trials import TrialRow
from db.waiting import why_waiting
from labpool.origins import begun_from

pages = Blueprint("trial_pages", __name__)
pages.register_blueprint(pictures.pages)
pages.register_blueprint(reruns.pages)

_LOG_TAIL_BYTES = 16 * 1024
_EVENTS = 200
_EVENT_TEXTS = {
    "queued": "Submitted",
    "started": "Started",
    "cancel_requested": "Cancel asked for",
    "cancelled": "Cancelled",
    "succeeded": "Succeeded",
    "failed": "Failed",
    "lost": "Lost for good",
    "paused": "Paused",
    "held": "Held back",
    "let_go": "Resumed",
    "resumed": "Resumed",
    "requeued": "Given back to the queue",
    "prioritised": "Priority changed",
    "pruned": "Pruned",
    "promoted": "Let go on by its sweep's search",
}
_WISH_TEXTS = {
    "pause": "Pause asked for",
    "prune": "Its sweep's search goes on without it",
    "stop": "Stop asked for",
    None: "Told to go on after all",
}


@dataclass(frozen=True, slots=True)
class EventLine:
    at: float
    text: str
    detail: str


@dataclass(frozen=True, slots=True)
class LogPanel:
    """The log's end; a browser goes on at `next_offset` of the attempt `fence`."""

    text: str
    note: str
    total_bytes: int
    fence: int | None = None
    next_offset: int = 0
    complete: bool = False


@pages.get("/trials/<row:trial_id>")
@allow("member")
def show_trial(trial_id: int) -> Response:
    with services().database.snapshot() as session:
        trial = visible_trial(session, trial_id)
        rules = Rules.of(services().settings)
        waiting = why_waiting(session, session.get_one(Trial, trial_id), rules)
        turn = turn_of(session, trial)
        together = company(session, session.get_one(Trial, trial_id))
        found = curves_since(session, trial_id)
        attempts = shown_attempts(session, trial)
        events = shown_events(trial, events_of_trial(session, trial_id, limit=_EVENTS))
        checkpoints = [] if trial.withheld else checkpoints_of(session, trial_id)
        artifacts = [] if trial.withheld else artifacts_of(session, trial_id)
        again = reruns.rerun_panel(session, trial)
        may = may_change(me(), trial.owner_id)
        source = source_of(session, trial_id) if may else None
        asked = try_it(session, trial, checkpoints)
    return page(
        "trial.html",
        section="Experiments",
        title=f"Trial {trial.id}",
        trial=trial,
        finished=trial.finished,
        topics=[f"trial:{trial.id}"],
        begun_from=begun_from(trial.spec),
        waiting=waiting,
        turn=turn,
        together=None if turn else together,
        again=again,
        may_change=may,
        source=source,
        buttons=buttons_of(trial),
        look=look_of(trial.id),
        curves=trial_curves(trial, found.curves),
        curve_note=_curve_note(attempts),
        facts=facts_of(trial, found.curves, attempts),
        remaining_s=remaining_s(trial),
        settings=settings_of(trial),
        origin=origin_of(trial, attempts),
        log=_log_panel(trial, attempts),
        attempts=attempts,
        events=[_event_line(event) for event in reversed(events)],
        checkpoints=checkpoints,
        artifacts=artifacts,
        try_it=asked,
        pictures=pictures.others(artifacts),
        samples=samples_of(artifacts),
        examined=examined_panel(trial.summary, artifacts),
        timed=timed_panel(trial, found.curves),
        commands=_commands(trial),
        spec_text=pretty_yaml(_said(trial.spec)),
        permalink=f"{request.host_url}trials/{trial.id}",
    )


@pages.post("/trials/<row:trial_id>/cancel")
@allow("member")
def cancel_the_trial(trial_id: int) -> BaseResponse:
    def work(session: Session, trial: Trial, user: User) -> int:
        cancel_trial(session, trial, user)
        return trial.id

    return _change(trial_id, work)


@pages.post("/trials/<row:trial_id>/retry")
@allow("member")
def retry_the_trial(trial_id: int) -> BaseResponse:
    def work(session: Session, trial: Trial, user: User) -> int:
        return retry_trial(session, trial, user, services().settings.max_queued_per_user)

    return _change(trial_id, work)


def _change(trial_id: int, verb: Any) -> BaseResponse:
    """Apply a user's verb and show the trial that it came to."""

    def work(session: Session) -> int:
        row = visible_trial(session, trial_id)
        require_change(me(), row.owner_id, "trial")
        changed = verb(session, session.get_one(Trial, row.id), session.get_one(User, me().user_id))
        return int(changed)

    try:
        shown_id = services().database.run(work)
    except NotPossible as error:
        raise ApiProblem(409, "not-possible", str(error)) from error
    except QueueFull as error:
        raise ApiProblem(429, "queue-full", str(error)) from error
    services().bell.ring()
    return redirect(f"/trials/{shown_id}", code=303)


def _curve_note(attempts: list[AttemptRow]) -> str:
    if not attempts or attempts[0].resumed_epoch is None:
        return ""
    return f"resumed after epoch {attempts[0].resumed_epoch}"


def _log_panel(trial: TrialRow, attempts: list[AttemptRow]) -> LogPanel:
    part = tail(choose(attempts, None), _LOG_TAIL_BYTES)
    if part.data:
        return LogPanel(
            part.text, "", part.total_bytes, part.fence, part.next_offset, part.complete
        )
    if trial.withheld:
        note = "The log is not shared, since it may quote the data."
    elif not attempts:
        note = "The log begins when a slot takes the trial."
    elif trial.finished:
        note = "Nothing was written."
    else:
        note = "Nothing has been written yet."
    return LogPanel("", note, 0)


def _said(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec without what it leaves open."""
    return {name: value for name, value in spec.items() if value not in (None, "", [], {})}


def _commands(trial: TrialRow) -> list[Command]:
    follow = "" if trial.finished else " --follow"
    return [
        Command("show", "Show it", f"labpool show {trial.id} --trial"),
        Command("log", "Read its log", f"labpool logs {trial.id}{follow}"),
        Command("again", "Submit the same again", submit_command(_said(trial.spec))),
    ]


def _event_line(event: EventRow) -> EventLine:
    text = _EVENT_TEXTS.get(event.kind, event.kind.replace("_", " ").capitalize())
    if event.kind == "wished":
        text = _WISH_TEXTS[event.data.get("wish")]
    elif event.kind == "prioritised":
        text = f"Priority changed to {event.data.get('priority')}"
    kind, _, who = event.actor.partition(" ")
    # A worker's id is random and long; its start is enough to tell two apart.
    actor = "" if kind == "pool" else f"by {who}" if kind == "user" else f"by {kind} {who[:8]}"
    # That it is paused is what the event's own word says.
    reason = "" if event.kind == "paused" else str(event.data.get("reason") or "")
    detail = ": ".join(part for part in (actor, reason) if part)
    return EventLine(event.at, text, detail)
