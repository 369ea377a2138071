"""I16: whose turn it was at each claim, told again from the events."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from tests.faults.checks.seen import Row, Seen, Violation

# On Postgres an event is numbered before its transaction is visible to others: what had only just
# happened may rightly have been unknown to a claim.
UNSEEN_SUBMISSION_S = 5.0
UNSEEN_END_S = 1.0
# A row's time and its event's are read one after the other.
CLOCK_READ_TWICE_S = 1.0
FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class _Wait:
    """A trial that could be claimed, without a doubt, from ``since`` until ``until``."""

    trial: Row
    since: float
    since_id: int
    until: float
    until_id: float


def turns_are_fair(seen: Seen) -> Iterator[Violation]:
    """Nobody with fewer slots at work over their share was passed over, within a class."""
    share = {user["id"]: user["share"] for user in seen["users"]}
    waits = _waits(seen)
    held = _Held(seen)
    for claim in _claims(seen):
        lease, trial = seen.leases[claim["data"]["lease"]], seen.trials[claim["trial_id"]]
        if lease.get("by_age") or claim["id"] < _class_since(seen, trial["id"]):
            continue
        device = seen.slots[lease["slot_id"]]["device"]
        mine = held.surely_by(trial["owner_id"], claim) / share[trial["owner_id"]]
        if not mine:
            continue
        for other, trials in waits.items():
            if other == trial["owner_id"] or _is_capped(seen, other):
                continue
            theirs = held.perhaps_by(other, claim) / share[other]
            if theirs >= mine:
                continue
            passed = next(
                (one for one in trials if _waits_at(seen, one, claim, device, trial)), None
            )
            if passed is not None:
                what = f"trial {trial['id']} ({mine:g} at work over its owner's share)"
                over = f"trial {passed.trial['id']} ({theirs:g})"
                yield Violation("I16", f"{what} was taken before {over}")
                break


def higher_classes_go_first(seen: Seen) -> Iterator[Violation]:
    """I16: no claim takes from a class while one above it waits for such a slot."""
    above: dict[int, list[_Wait]] = defaultdict(list)
    for owner, waits in _waits(seen).items():
        if not _is_capped(seen, owner):
            for wait in waits:
                above[wait.trial["priority"]].append(wait)
    for claim in _claims(seen):
        lease, trial = seen.leases[claim["data"]["lease"]], seen.trials[claim["trial_id"]]
        if lease.get("by_age") or claim["id"] < _class_since(seen, trial["id"]):
            continue
        device = seen.slots[lease["slot_id"]]["device"]
        for priority, waits in above.items():
            if priority <= trial["priority"]:
                continue
            passed = next(
                (one for one in waits if _waits_at(seen, one, claim, device, trial)), None
            )
            if passed is not None:
                what = f"trial {trial['id']} of class {trial['priority']}"
                over = f"trial {passed.trial['id']} of class {priority}"
                yield Violation("I16", f"{what} was taken before {over}")
                break


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
        if event["id"] < claim["id"] and event["kind"] in ("let_go", "resumed"):
            since = event["at"]
    return since


def _class_since(seen: Seen, trial_id: int) -> int:
    """The event from which on a trial is of the class that its row tells."""
    changes = [e["id"] for e in seen.events.get(trial_id, []) if e["kind"] == "prioritised"]
    return max(changes, default=0)


def _claims(seen: Seen) -> Iterator[Row]:
    """The first start of each lease, in the order of the claims: they take turns."""
    leases: set[int] = set()
    for event in sorted(seen["events"], key=lambda event: event["id"]):
        is_claim = event["kind"] == "started" and event["trial_id"] in seen.trials
        if is_claim and event["data"]["lease"] not in leases:
            leases.add(event["data"]["lease"])
            yield event


def _waits(seen: Seen) -> dict[int, list[_Wait]]:
    """By owner, when each trial surely could be claimed: queued, let go and not put off.

    In the class that it is of now: what it waited in another one is left out.
    """
    found: dict[int, list[_Wait]] = defaultdict(list)
    for trial_id, trial in seen.trials.items():
        events = seen.events.get(trial_id, [])
        since: Row | None = None
        class_since = _class_since(seen, trial_id)
        for event in events:
            prioritised = event["kind"] == "prioritised"
            # Given back, it may have to wait a while before its next try.
            opens = (event["to_state"] == "queued" and event["kind"] != "requeued") or (
                event["kind"] == "let_go" or (prioritised and since is not None)
            )
            closes = event["to_state"] is not None or event["kind"] == "held"
            if since is not None and (opens or closes) and since["id"] >= class_since:
                found[trial["owner_id"]].append(
                    _Wait(trial, since["at"], since["id"], event["at"], event["id"])
                )
            if opens or closes:
                since = event if opens else None
        if since is not None:
            last = _Wait(trial, since["at"], since["id"], FOREVER, FOREVER)
            found[trial["owner_id"]].append(last)
    return found


def _waits_at(seen: Seen, wait: _Wait, claim: Row, device: str, taken: Row) -> bool:
    if wait.trial["device"] not in ("any", device):
        return False
    if wait.trial["priority"] < taken["priority"]:
        return False
    if seen.exact_order:
        number: int = claim["id"]
        return wait.since_id < number < wait.until_id
    at: float = claim["at"]
    return wait.since < at - UNSEEN_SUBMISSION_S and at < wait.until


def _is_capped(seen: Seen, owner: int) -> bool:
    # Where somebody has a cap of their own, whether they were at it is not told here.
    return any(user["id"] == owner and user["max_running"] for user in seen["users"])


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
