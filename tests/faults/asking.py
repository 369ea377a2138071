"""What people ask of a trial, as the database does it: each acts on a row that was read earlier."""

from __future__ import annotations

from tests.faults.life import (
    CANCELLED,
    PAUSED,
    PRUNED,
    QUEUED,
    RUNNING,
    Database,
    Event,
    State,
    Step,
    Trial,
    put_trial,
)

COMMANDS = {
    QUEUED: ("cancel_waiting", "hold", "let_go", "stop"),
    RUNNING: ("request_cancel", "wish pause", "wish stop", "wish nothing"),
    PAUSED: ("cancel_waiting", "resume", "resume to stop"),
}
AT_RUNG = ("cancel_waiting", "resume to stop", "hold", "let_go")
# What the search of its sweep does.
SEARCHES = {
    QUEUED: ("promote", "prune_waiting"),
    RUNNING: ("promote", "request_prune"),
    PAUSED: ("promote", "prune_waiting"),
}


def ask(database: Database, state: State, number: int, row: Trial, command: str) -> Step | None:
    """Transitions 8 and 11, hold and wish, on ``row`` as it was seen; None when it has changed."""
    now = state.trials[number]
    verb, _, rest = command.partition(" ")
    change = {
        "cancel_waiting": _cancel_waiting,
        "request_cancel": _request_cancel,
        "resume": _resume,
        "hold": _hold,
        "let_go": _let_go,
        "wish": _wish,
        "stop": _stop,
        "promote": _promote,
        "prune_waiting": _prune_waiting,
        "request_prune": _request_prune,
    }[verb]
    found = change(database, now, row, rest)
    if found is None:
        return None
    trial, events = found
    return put_trial(state, number, trial), tuple(
        event._replace(trial=number) for event in events
    )  # fmt: skip


_Change = tuple[Trial, tuple[Event, ...]]


def _fits(database: Database, now: Trial, row: Trial, verb: str, wanted: str, says: str) -> bool:
    """Whether state and fence are as they must be, as far as the guards look."""
    state_fits = now.state == wanted or not database.on(f"{verb}: Trial.state == {says}")
    fence_fits = now.fence == row.fence or not database.on(
        f"{verb}: Trial.fence == the one seen"
    )  # fmt: skip
    return state_fits and fence_fits


def _cancel_waiting(database: Database, now: Trial, row: Trial, _rest: str) -> _Change | None:
    if not _fits(database, now, row, "cancel_waiting", row.state, "the one seen"):
        return None
    data = (("before_it_ran", True),)
    event = Event(0, "cancelled", row.fence, row.state, CANCELLED, data)
    return now._replace(state=CANCELLED, cancel=True, wish=None, at_rung=False), (event,)


def _request_cancel(database: Database, now: Trial, row: Trial, _rest: str) -> _Change | None:
    if now.cancel or not _fits(database, now, row, "request_cancel", RUNNING, "RUNNING"):
        return None
    return now._replace(cancel=True), (Event(0, "cancel_requested", row.fence),)


def _resume(database: Database, now: Trial, row: Trial, rest: str) -> _Change | None:
    if not _fits(database, now, row, "resume", PAUSED, "PAUSED"):
        return None
    wish = "stop" if rest == "to stop" else None
    if now.at_rung and wish is None:
        return None
    event = Event(0, "resumed", row.fence, PAUSED, QUEUED, (("wish", wish),))
    after = now._replace(
        state=QUEUED, wish=wish, asked="go", delayed=False, at_rung=False, held=False
    )
    return after, (event,)


def _hold(database: Database, now: Trial, row: Trial, _rest: str) -> _Change | None:
    wanted = PAUSED if now.at_rung else QUEUED
    if now.held or not _fits(database, now, row, "hold", wanted, "QUEUED"):
        return None
    events = (*_forgotten(now, row), Event(0, "held", row.fence))
    return now._replace(held=True, wish=None, asked="pause"), events


def _let_go(database: Database, now: Trial, row: Trial, _rest: str) -> _Change | None:
    nothing = not now.held and now.wish is None
    wanted = PAUSED if now.at_rung else QUEUED
    if nothing or not _fits(database, now, row, "hold", wanted, "QUEUED"):
        return None
    let_go = (Event(0, "let_go", row.fence),) if now.held else ()
    events = (*_forgotten(now, row), *let_go)
    return now._replace(held=False, wish=None, asked="go"), events


def _forgotten(now: Trial, row: Trial) -> tuple[Event, ...]:
    """What was wished of it before is taken back first."""
    if now.wish is None:
        return ()
    return (Event(0, "wished", row.fence, data=(("wish", None),)),)


def _wish(database: Database, now: Trial, row: Trial, rest: str) -> _Change | None:
    wish = None if rest == "nothing" else rest
    if now.wish == wish or not _fits(database, now, row, "wish", RUNNING, "RUNNING"):
        return None
    if now.cancel and database.on("wish: Trial.cancel_requested is False"):
        return None
    event = Event(0, "wished", row.fence, data=(("wish", wish),))
    return now._replace(wish=wish, asked="pause" if wish == "pause" else "go"), (event,)


def _stop(database: Database, now: Trial, row: Trial, _rest: str) -> _Change | None:
    """What waits and has a checkpoint is taken up only to make its result."""
    if not now.epoch or now.wish == "stop" or (now.state, now.fence) != (QUEUED, row.fence):
        return None
    wished = Event(0, "wished", row.fence, data=(("wish", "stop"),))
    events = (Event(0, "let_go", row.fence), wished) if now.held else (wished,)
    return now._replace(held=False, wish="stop", asked="go"), events


def _promote(database: Database, now: Trial, row: Trial, _rest: str) -> _Change | None:
    if (
        (not now.at_rung and database.on("promote: Trial.at_rung is True"))
        or (now.held and database.on("promote: Trial.held is False"))
        or (now.fence != row.fence and database.on("promote: Trial.fence == the one seen"))
    ):
        return None
    event = Event(0, "promoted", row.fence, row.state, QUEUED)
    return now._replace(state=QUEUED, at_rung=False, halts=False, delayed=False), (event,)


def _prune_waiting(database: Database, now: Trial, row: Trial, _rest: str) -> _Change | None:
    if not _fits(database, now, row, "prune_waiting", row.state, "the one seen"):
        return None
    kept = now.held and database.on("prune_waiting: Trial.held is False")
    wished = now.wish not in (None, "prune")
    if kept or (wished and database.on("prune_waiting: Trial.wish is None or PRUNE")):
        return None
    by_person = now.state == PAUSED and not now.at_rung
    if by_person and database.on("prune_waiting: what is paused is at its rung"):
        return None
    event = Event(0, "pruned", row.fence, row.state, PRUNED)
    return now._replace(state=PRUNED, at_rung=False, wish=None), (event,)


def _request_prune(database: Database, now: Trial, row: Trial, _rest: str) -> _Change | None:
    if (
        not _fits(database, now, row, "request_prune", RUNNING, "RUNNING")
        or (now.cancel and database.on("request_prune: Trial.cancel_requested is False"))
        or (now.wish is not None and database.on("request_prune: Trial.wish is None"))
    ):
        return None
    event = Event(0, "wished", row.fence, data=(("wish", "prune"),))
    return now._replace(wish="prune"), (event,)
