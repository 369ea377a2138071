"""What was so at a claim, as far as it could know: priority classes and caps, which change."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

from tests.faults.checks.seen import Row, Seen

# On Postgres an event is numbered before its transaction is visible to others: what had only just
# happened may rightly have been unknown to a claim.
UNSEEN_CHANGE_S = 5.0
CLASSES = {"low": -1, "normal": 0, "high": 1}
NO_CAP = float("inf")


@dataclass(frozen=True, slots=True)
class _Change:
    """From this event on a trial is of a class."""

    number: int
    at: float
    priority: int


class Classes:
    """The class of every trial at every moment, told from how it began and from its events."""

    def __init__(self, seen: Seen) -> None:
        self._exact = seen.exact_order
        self._changes: dict[int, list[_Change]] = {}
        for trial_id, trial in seen.trials.items():
            changes = [
                _Change(event["id"], event["at"], CLASSES[event["data"]["priority"]])
                for event in seen.events.get(trial_id, [])
                if event["kind"] == "prioritised"
            ]
            first = _first(seen, trial) if changes else trial["priority"]
            self._changes[trial_id] = [_Change(0, 0.0, first), *changes]

    def first(self, trial_id: int) -> int:
        """The class that it was submitted in."""
        return self._changes[trial_id][0].priority

    def last(self, trial_id: int) -> int:
        """The class that it is of at the end."""
        return self._changes[trial_id][-1].priority

    def highest_at(self, trial_id: int, claim: Row) -> int:
        """The class in which a claim took it; the highest, where it had only just changed."""
        before = [one for one in self._changes[trial_id] if one.number < claim["id"]]
        known = before[-1].priority
        if self._exact:
            return known
        recent = [
            earlier.priority
            for earlier, later in pairwise(before)
            if later.at > claim["at"] - UNSEEN_CHANGE_S
        ]
        return max(known, *recent) if recent else known


def _first(seen: Seen, trial: Row) -> int:
    parent = seen.trials.get(trial.get("parent_id") or 0)
    # What ended keeps its class; a member's retry of it is never high.
    if parent is not None:
        return int(min(parent["priority"], 0))
    return CLASSES[trial["spec"].get("priority", "normal")]


class Caps:
    """The most slots that a user may hold, at every moment: as administrators were answered."""

    def __init__(self, seen: Seen) -> None:
        self._unseen_s = 0.0 if seen.exact_order else UNSEEN_CHANGE_S
        names = {user["name"]: user["id"] for user in seen["users"]}
        self._asked: dict[int, list[Row]] = defaultdict(list)
        for line in seen.kept:
            # Without an answer it may have been done; what was refused was not.
            if line["what"] == "cap" and (line["status"] < 0 or line["status"] in (200, 500, 503)):
                self._asked[names[line["user"]]].append(line)

    def most(self, owner: int, at: float) -> float:
        """No claim at that time may go past this."""
        return max(self._possible(owner, at))

    def least(self, owner: int, at: float) -> float:
        """A claim at that time may have heeded this."""
        return min(self._possible(owner, at))

    def _possible(self, owner: int, at: float) -> list[float]:
        possible = [NO_CAP]
        for line in self._asked[owner]:
            if line["status"] == 200 and line["answered"] < at - self._unseen_s:
                possible = [line["value"]]
            elif line["at"] <= at:
                possible.append(line["value"])
        return possible
