"""What there is to say about a trial's wait, and the sentences that say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from db.estimates import Estimate, soon
from db.fairness import NOBODY, Standing
from db.models import Trial
from db.states import TERMINAL, TrialState

Reason = Literal[
    "held", "paused", "rung", "backoff", "lacking", "capped", "turn", "running", "ended"
]


@dataclass(frozen=True, slots=True)
class Why:
    """Everything that there is to say about a trial's wait.

    `ahead` are the trials that come before it on slots that could run it; `by_owner` counts them by
    their owners; of a trial that is kept back by a cap they are its owner's alone. `next_owner_id`
    is who gets the next of those slots. `by_age_s` is how long until it may be taken for its age.
    What does not apply is None or empty.
    """

    trial_id: int
    state: TrialState
    reason: Reason
    sentence: str
    owner_id: int
    priority: int = 0
    standing: Standing = NOBODY
    place: int | None = None
    ahead: int | None = None
    by_owner: tuple[tuple[int, int], ...] = ()
    next_owner_id: int | None = None
    next_standing: Standing | None = None
    able_slots: int = 0
    free_slots: int = 0
    waited_s: float | None = None
    by_age_s: float | None = None
    estimate: Estimate = Estimate(None, "")  # noqa: RUF009 - it is frozen


def in_turn(ahead: int, free: int, standing: Standing, guess: Estimate) -> str:
    """How a trial that only waits its turn, or for its owner's cap, says so."""
    full = standing.is_full()
    when = "when their running trial ends" if full else "when a slot is free"
    if full and standing.running > 1:
        when = "when one of their running trials ends"
    if guess.seconds is not None and (ahead or full or not free):
        when = soon(guess.seconds)
    if full:
        holds = f"{standing.running} slot{'s' if standing.running != 1 else ''}"
        comes = "come" if ahead > 1 else "comes"
        more = f"{ahead} more of theirs {comes} first; " if ahead else ""
        return (
            f"Its owner holds {holds} and may hold {standing.limit} at once; "
            f"{more}it starts {when}."
        )
    if ahead:
        return f"{ahead} {'are' if ahead > 1 else 'is'} ahead of it; it starts {when}."
    return f"It is next; it starts {when}."


def not_waiting(trial: Trial) -> Why:
    """The same of what does not wait for a slot."""
    if trial.state is TrialState.PAUSED:
        says: tuple[Reason, str] = ("paused", "It is paused; its checkpoint is kept.")
    elif trial.state in TERMINAL:
        because = f" {trial.reason}" if trial.reason else ""
        says = ("ended", f"It has ended: {trial.state}.{because}")
    else:
        says = ("running", "It runs.")
    return Why(trial.id, trial.state, *says, trial.owner_id, trial.priority)
