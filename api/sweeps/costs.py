"""What a sweep has used and what it will still use, in slot-seconds."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from api.sweeps.progress import Use
from db.estimates import shown_s
from db.forecast import pace_of
from db.reads.sweeps import Sweep, SweepTrial
from labpool import search
from labpool.durations import duration
from labpool.search.costs import share_trained
from labpool.spec import TrainSpec

_MOVING = ("queued", "running", "paused")
# After so many ended trials the sweep's own pace says more than that of others before.
_OWN_PACE_FROM = 3


@dataclass(frozen=True, slots=True)
class Cost:
    """Slot-seconds. ``to_come`` is None where nothing tells it; ``arithmetic`` says how it comes,
    or why there is none. ``uncharged`` were lost through no fault of the sweep's owner."""

    used: float
    uncharged: float
    to_come: float | None
    budget: float | None
    arithmetic: str


def cost_of(session: Session, sweep: Sweep) -> Cost:
    """By the sweep's own pace once some of its trials have ended, before by what its model's or
    kernel's trials took lately, as the dry run does."""
    use = Use(sweep)
    used = use.total
    uncharged = sum(use.of(stint) for stint in sweep.stints if not stint.charged)
    budget = sweep.spec.budget_slot_seconds
    left, unit = _left(sweep)
    if left <= 0:
        return Cost(used, uncharged, 0.0, budget, "Nothing is left to do.")
    if budget is not None and used >= budget:
        return Cost(used, uncharged, 0.0, budget, f"The budget of {duration(budget)} is used.")
    known = _own_pace(sweep, used, unit) or pace_of(session, sweep.code_name, unit)
    if known is None:
        words = f"No estimate: no trial of {sweep.code_name} has ended well yet."
        return Cost(used, uncharged, None, budget, words)
    each_s, source = known
    to_come = left * each_s
    count = f"{left:.0f}" if left >= 10 or left == int(left) else f"{left:.1f}"
    words = f"About {count} {unit}{'' if count == '1' else 's'} × {shown_s(each_s)} ({source})"
    if budget is not None and used + to_come > budget:
        to_come = budget - used
        words += f"; the budget ends it at {duration(budget)}"
    return Cost(used, uncharged, to_come, budget, f"{words}.")


def _left(sweep: Sweep) -> tuple[float, str]:
    """How many epochs, or trials of a kernel, are still to run."""
    stopped = sweep.halt == "stopped"
    unmade = 0 if stopped else max(0, search.count(sweep.spec) - len(sweep.trials))
    moving = [trial for trial in sweep.trials if trial.state in _MOVING]
    base = sweep.spec.base
    if not isinstance(base, TrainSpec):
        return float(len(moving) + unmade), "trial"
    if search.epochs(sweep.spec, 0) is None:
        wholes = [trial.whole for trial in sweep.trials if trial.whole is not None]
        whole = sum(wholes) / len(wholes) if wholes else float(base.epochs or 0)
        return sum(_rest(trial, trial.whole) for trial in moving) + unmade * whole, "epoch"
    # Rungs: as many as the whole search trains, but no fewer than are on their way already.
    on_their_way = sum(
        _rest(trial, trial.halts_at or trial.whole) for trial in moving if not trial.at_rung
    )
    if stopped or (not unmade and not moving):
        return on_their_way, "epoch"
    whole = float(base.epochs or 0)
    all_epochs = share_trained(sweep.spec) * search.count(sweep.spec) * whole
    trained = sum(trial.epochs_done for trial in sweep.trials)
    return max(on_their_way, all_epochs - trained), "epoch"


def _rest(trial: SweepTrial, whole: int | None) -> float:
    return max(0.0, (whole or 0) - trial.epochs_done)


def _own_pace(sweep: Sweep, used: float, unit: str) -> tuple[float, str] | None:
    ended = [trial for trial in sweep.trials if trial.state not in _MOVING or trial.at_rung]
    done = sum(trial.epochs_done for trial in sweep.trials) if unit == "epoch" else len(ended)
    if len(ended) < _OWN_PACE_FROM or done <= 0 or used <= 0:
        return None
    return used / done, f"what the {shown(len(ended))} trials so far took"


def shown(count: int) -> str:
    return f"{count:,}"
