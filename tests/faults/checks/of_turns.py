"""I16: whose turn it was at each claim, told again from the events."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from tests.faults.checks.seen import Row, Seen, Violation
from tests.faults.checks.times import CLASSES, UNSEEN_CHANGE_S, Caps, Classes

UNSEEN_END_S = 1.0
# A row's time and its event's are read one after the other.
CLOCK_READ_TWICE_S = 1.0
FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class _Wait:
    """A trial that could be claimed in a class, without a doubt, from ``since`` to ``until``."""

    trial: Row
    priority: int
    since: float
    since_id: int
    until: float
    until_id: float


def turns_are_fair(seen: Seen) -> Iterator[Violation]:
    """Nobody with fewer slots at work over their share was passed over, within a class."""
    share = {user["id"]: user["share"] for user in seen["users"]}
    waits, held, caps, classes = _waits(seen), _Held(seen), Caps(seen), Classes(seen)
    for claim in _claims(seen):
        lease, trial = seen.leases[claim["data"]["lease"]], seen.trials[claim["trial_id"]]
        if lease.get("by_age"):
            continue
        device = seen.slots[lease["slot_id"]]["device"]
        least = classes.highest_at(trial["id"], claim)
        mine = held.surely_by(trial["owner_id"], claim) / share[trial["owner_id"]]
        if not mine:
            continue
        for other, trials in waits.items():
            if other == trial["owner_id"]:
                continue
            slots = held.perhaps_by(other, claim)
            theirs = slots / share[other]
            if theirs >= mine or slots >= caps.least(other, claim["at"]):
                continue
            passed = next(
                (one for one in trials if _waits_at(seen, one, claim, device, least)), None
            )
            if passed is not None:
                what = f"trial {trial['id']} ({mine:g} at work over its owner's share)"
                over = f"trial {passed.trial['id']} ({theirs:g})"
                yield Violation("I16", f"{what} was taken before {over}")
                break


def higher_classes_go_first(seen: Seen) -> Iterator[Violation]:
    """I16: no claim takes from a class while one above it waits for such a slot."""
    waits, held, caps, classes = _waits(seen), _Held(seen), Caps(seen), Classes(seen)
    above = {
        priority: {
            owner: [one for one in trials if one.priority == priority]
            for owner, trials in waits.items()
        }
        for priority in CLASSES.values()
    }
    for claim in _claims(seen):
        lease, trial = seen.leases[claim["data"]["lease"]], seen.trials[claim["trial_id"]]
        if lease.get("by_age"):
            continue
        device = seen.slots[lease["slot_id"]]["device"]
        mine = classes.highest_at(trial["id"], claim)
        for priority in range(mine + 1, max(CLASSES.values()) + 1):
            for other, trials in above[priority].items():
                if held.perhaps_by(other, claim) >= caps.least(other, claim["at"]):
                    continue
                passed = next(
                    (one for one in trials if _waits_at(seen, one, claim, device, priority)), None
                )
                if passed is not None:
                    what = f"trial {trial['id']} of class {mine}"
                    over = f"trial {passed.trial['id']} of class {priority}"
                    yield Violation("I16", f"{what} was taken before {over}")


def ageing_keeps_its_turn(seen: Seen) -> Iterator[Violation]:
    """I16: at most one of a slot's claims in so many is for age, and of one that is old enough."""
    # By slot, the leases since its last one by age; one that had none yet may begin with it.
    fair: dict[int, int] = {}
    for lease in sorted(seen["leases"], key=lambda lease: lease["id"]):
        slot = lease["slot_id"]
        if not lease.get("by_age"):
            if slot in fair:
                fair[slot] += 1
            continue
        if slot in fair and fair[slot] < seen.ageing_turn - 1:
            yield Violation("I16", f"lease {lease['id']}: for its age after {fair[slot]} others")
        fair[slot] = 0
    for claim in _claims(seen):
        if not seen.leases[claim["data"]["lease"]].get("by_age"):
            continue
        waited_s = claim["at"] - _waiting_since(seen, claim)
        if waited_s < seen.ageing_s - CLOCK_READ_TWICE_S:
            yield Violation("I16", f"trial {claim['trial_id']}: for its age after {waited_s:.1f} s")


def _waiting_since(seen: Seen, claim: Row) -> float:
    """Since when a trial waited at a claim; what its owner held or paused is no older for that."""
    since: float = seen.trials[claim["trial_id"]]["queued_at"]
    for event in seen.events.get(claim["trial_id"], []):
        if event["id"] < claim["id"] and event["kind"] in ("let_go", "resumed", "promoted"):
            since = event["at"]
    return since


def _claims(seen: Seen) -> Iterator[Row]:
    """The first start of each lease, in the order of the claims: they take turns."""
    leases: set[int] = set()
    for event in sorted(seen["events"], key=lambda event: event["id"]):
        is_claim = event["kind"] == "started" and event["trial_id"] in seen.trials
        if is_claim and event["data"]["lease"] not in leases:
            leases.add(event["data"]["lease"])
            yield event


def _waits(seen: Seen) -> dict[int, list[_Wait]]:
    """By owner, when each trial surely could be claimed: queued, let go and not put off."""
    found: dict[int, list[_Wait]] = defaultdict(list)
    classes = Classes(seen)
    for trial_id, trial in seen.trials.items():
        since: Row | None = None
        put_off, state, priority = False, None, classes.first(trial_id)
        for event in seen.events.get(trial_id, []):
            prioritised, moved = event["kind"] == "prioritised", event["to_state"] is not None
            state = event["to_state"] or state
            if moved:
                # Given back, it may have to wait a while before its next try.
                put_off = event["kind"] == "requeued"
            opens = not put_off and (
                event["to_state"] == "queued"
                # What is let go at its rung waits for its search still.
                or (event["kind"] == "let_go" and state == "queued")
                or (prioritised and since is not None)
            )  # fmt: skip
            closes = moved or event["kind"] == "held"
            if since is not None and (opens or closes):
                span = (since["at"], since["id"], event["at"], event["id"])
                found[trial["owner_id"]].append(_Wait(trial, priority, *span))
            if prioritised:
                priority = CLASSES[event["data"]["priority"]]
            if opens or closes:
                since = event if opens else None
        if since is not None:
            span = (since["at"], since["id"], FOREVER, FOREVER)
            found[trial["owner_id"]].append(_Wait(trial, priority, *span))
    return found


def _waits_at(seen: Seen, wait: _Wait, claim: Row, device: str, least: int) -> bool:
    """Whether it waited for such a slot when it was claimed, in this class or above."""
    if wait.trial["device"] not in ("any", device) or wait.priority < least:
        return False
    if seen.exact_order:
        number: int = claim["id"]
        return wait.since_id < number < wait.until_id
    at: float = claim["at"]
    return wait.since < at - UNSEEN_CHANGE_S and at < wait.until


class _Held:
    """How many slots each owner held at a claim, from below and from above."""

    def __init__(self, seen: Seen) -> None:
        self._exact = seen.exact_order
        self._of_owner: dict[int, list[tuple[int, float, float, float]]] = defaultdict(list)
        starts = {event["data"]["lease"]: event for event in _claims(seen)}
        ends: dict[int, Row] = {}
        for one in seen["attempts"]:
            end = self._end_of(seen, one)
            known = ends.get(one["lease_id"])
            if end is not None and (known is None or known["id"] < end["id"]):
                ends[one["lease_id"]] = end
        running = Counter(one["lease_id"] for one in seen["attempts"] if one["ended_at"] is None)
        for lease, start in starts.items():
            owner = seen.trials[start["trial_id"]]["owner_id"]
            end = None if running[lease] else ends.get(lease)
            span = (FOREVER, FOREVER) if end is None else (end["id"], end["at"])
            self._of_owner[owner].append((start["id"], *span, start["at"]))

    @staticmethod
    def _end_of(seen: Seen, one: Row) -> Row | None:
        for event in seen.events.get(one["trial_id"], []):
            fence = event["fence"] - (1 if event["kind"] == "requeued" else 0)
            if event["from_state"] == "running" and fence == one["fence"]:
                return event
        return None

    def surely_by(self, owner: int, claim: Row) -> int:
        """Slots held at the claim without a doubt, this one not among them."""
        return sum(
            start_id < claim["id"] and (claim["id"] < end_id if self._exact else claim["at"] < end)
            for start_id, end_id, end, _ in self._of_owner[owner]
        )

    def perhaps_by(self, owner: int, claim: Row) -> int:
        """Slots held at the claim as far as it could know."""
        return sum(
            start_id < claim["id"]
            and (claim["id"] < end_id if self._exact else claim["at"] - UNSEEN_END_S < end)
            for start_id, end_id, end, _ in self._of_owner[owner]
        )
