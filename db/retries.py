"""What is tried again, how often and after how long, by the kind of what went wrong.

| what happened | kind | tried again | at the end |
| --- | --- | --- | --- |
| its worker died or fell silent | lost | `max_losses` - 1 times, in a row after 0, 20 … s | LOST |
| the GPU failed | gpu_fault | 3 times, after 30, 60 and 120 s | FAILED |
| memory ran out | out_of_memory | once, after 60 s, by itself | FAILED |
| the host could not run it | `UNABLE` | 9 times in a row, after 30 s to 10 min | FAILED |
| its runner was killed from outside | killed | at once, twice in a row | FAILED |
| its worker was shut down | released | at once, without a limit | |
| anything else | | never: it would fail again | FAILED |

How often it was tried is counted in the trial's attempts, so it outlives every process; a new
checkpoint ends a row. The sweeper deals with losses. What labpool or its machines wasted is charged
to nobody.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models import Attempt, Checkpoint, Trial
from db.states import Outcome

LONGEST_DELAY_S = 600.0


@dataclass(frozen=True, slots=True)
class Rule:
    """``most`` further tries, the first after ``delay_s`` and each next after twice as long.

    ``alone``: not together with others any more. ``charged``: the owner pays for the last try.
    ``in_a_row``: who made a checkpoint since has all tries again.
    """

    most: int
    delay_s: float
    alone: bool = False
    charged: bool = False
    in_a_row: bool = False

    def delay_before_s(self, retry: int) -> float:
        """How long the ``retry``-th further try waits, from 1."""
        return _doubled_s(self.delay_s, retry)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a trial; ``reason`` tells people. ``delay_s`` is None when it is over."""

    reason: str
    delay_s: float | None = None
    alone: bool = False
    charged: bool = True


# A failure of the trial.
AFTER_FAILURE: dict[str, Rule] = {
    "gpu_fault": Rule(most=3, delay_s=30.0),
    # With other neighbours on the host, and without its group, it may have room.
    "out_of_memory": Rule(most=1, delay_s=60.0, alone=True, charged=True),
    # Somebody's hand or script, or the kernel in want of memory where it keeps no count of that.
    "killed": Rule(most=2, delay_s=0.0, in_a_row=True),
}
# What kept a trial from running at all. Together, since a host in trouble shows all three.
UNABLE = frozenset({"no_runner", "disk_full", "not_prepared"})
WHEN_UNABLE = Rule(most=9, delay_s=30.0)
# From the second loss in a row on: a host that crashes again and again is not to use up a trial's
# losses within seconds. How many there may be is a setting.
FIRST_DELAY_AFTER_LOSS_S = 20.0


def after_failure(session: Session, trial: Trial, kind: str, reason: str) -> Verdict:
    """What becomes of a running trial that failed with a reason of ``kind``."""
    rule = AFTER_FAILURE.get(kind)
    if rule is None:
        return Verdict(reason)
    retry = _count(session, trial, Outcome.RELEASED, {kind}, in_a_row=rule.in_a_row) + 1
    if retry > rule.most:
        told = f"{_sentence(reason)} Tried {retry} times; given up."
        return Verdict(told, charged=rule.charged)
    delay_s = rule.delay_before_s(retry)
    told = f"{_sentence(reason)} {_next_try(retry, rule.most, delay_s)}"
    return Verdict(told, delay_s, rule.alone, charged=False)


def when_unable(session: Session, trial: Trial, reason: str) -> Verdict:
    """What becomes of a trial that a slot took and could not run, for no fault of the trial's."""
    retry = _count(session, trial, Outcome.RELEASED, UNABLE, in_a_row=True) + 1
    if retry > WHEN_UNABLE.most:
        count = f"That was the {retry}th time in a row without a new checkpoint"
        told = f"{_sentence(reason)} {count}; given up."
        return Verdict(told, charged=False)
    delay_s = WHEN_UNABLE.delay_before_s(retry)
    told = f"{_sentence(reason)} {_next_try(retry, WHEN_UNABLE.most, delay_s)}"
    return Verdict(told, delay_s, charged=False)


def after_loss(session: Session, trial: Trial, max_losses: int, reason: str) -> Verdict:
    """What becomes of a running trial that is lost with its worker."""
    loss = trial.losses + 1
    if loss >= max_losses:
        told = f"{_sentence(reason)} That was loss {loss} of {max_losses}; given up."
        return Verdict(told, charged=False)
    before = _count(session, trial, Outcome.LOST, {"lost"}, in_a_row=True)
    delay_s = _doubled_s(FIRST_DELAY_AFTER_LOSS_S, before) if before else 0.0
    soon = f" {_next_try(loss, max_losses - 1, delay_s)}" if delay_s else ""
    return Verdict(_sentence(reason) + soon, delay_s, charged=False)


def _sentence(reason: str) -> str:
    """What a program said seldom ends with a full stop, and more is said after it."""
    reason = reason.rstrip()
    return reason if reason.endswith((".", "!", "?")) else f"{reason}."


def _next_try(retry: int, most: int, delay_s: float) -> str:
    return f"Next try ({retry} of {most}) {f'{delay_s:g} s later' if delay_s else 'at once'}."


def _doubled_s(first_s: float, retry: int) -> float:
    return min(LONGEST_DELAY_S, first_s * 2.0 ** min(retry - 1, 32))


def _count(
    session: Session, trial: Trial, outcome: Outcome, kinds: Collection[str], *, in_a_row: bool
) -> int:
    """How often it came to this, for these reasons; in a row: since its newest checkpoint."""
    found = (
        select(func.count())
        .select_from(Attempt)
        .where(
            Attempt.trial_id == trial.id,
            Attempt.outcome == outcome,
            Attempt.reason_kind.in_(kinds),
        )
    )
    if in_a_row:
        newest = select(func.max(Checkpoint.fence)).where(Checkpoint.trial_id == trial.id)
        found = found.where(Attempt.fence > func.coalesce(newest.scalar_subquery(), 0))
    return session.scalar(found) or 0
