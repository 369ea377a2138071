"""What the event log says a trial is, told from its events alone, and where the tables differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Event, Trial


@dataclass(frozen=True, slots=True)
class Standing:
    """A trial as far as its events tell."""

    state: str | None = None
    fence: int = 0
    losses: int = 0
    held: bool = False
    wish: str | None = None
    cancel_requested: bool = False


def after(standing: Standing, kind: str, to_state: str | None, fence: int | None,
          data: dict[str, Any]) -> Standing:  # fmt: skip
    """``standing`` after one more event."""
    if to_state is not None:
        standing = replace(standing, state=to_state, fence=fence or 0)
    match kind:
        case "held" | "let_go":
            return replace(standing, held=kind == "held")
        case "cancel_requested":
            return replace(standing, cancel_requested=True)
        case "cancelled" if data.get("before_it_ran"):
            return replace(standing, cancel_requested=True, wish=None)
        case "wished":
            return replace(standing, wish=data.get("wish"))
        case "resumed":
            return replace(standing, wish=data.get("wish"), held=False)
        case "requeued":
            return replace(
                standing,
                losses=standing.losses + (1 if data.get("lost") else 0),
                held=standing.held or bool(data.get("held")),
                wish=None if data.get("held") else standing.wish,
            )
        case "lost":
            return replace(standing, losses=standing.losses + 1, wish=None)
        case "succeeded" | "failed" | "cancelled" | "paused" | "pruned":
            return replace(standing, wish=None, held=standing.held or bool(data.get("held")))
        case _:
            return standing


def replay(events: Iterable[Event]) -> dict[int, Standing]:
    """Every trial by its id, from events in the order in which they happened."""
    found: dict[int, Standing] = {}
    for event in events:
        if event.trial_id is not None:
            standing = found.get(event.trial_id, Standing())
            found[event.trial_id] = after(
                standing, event.kind, event.to_state, event.fence, event.data
            )
    return found


def differences(session: Session) -> Iterator[str]:
    """Where a replay of all events comes to something else than the trials' rows; none is right."""
    told = replay(session.scalars(select(Event).order_by(Event.trial_id, Event.id)))
    for trial in session.scalars(select(Trial).order_by(Trial.id)):
        shown = Standing(
            trial.state, trial.fence, trial.losses, trial.held, trial.wish, trial.cancel_requested
        )
        by_events = told.pop(trial.id, Standing())
        if shown != by_events:
            yield f"trial {trial.id} is {shown}, its events say {by_events}"
    for trial_id in told:
        yield f"trial {trial_id} has events and no row"
