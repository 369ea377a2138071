"""What leases, attempts, results, checkpoints and curves must show."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

from tests.faults.checks.seen import TERMINAL, Row, Seen, Violation

FOREVER = float("inf")
# How a cancelled trial's reason begins where its slot gave it back, its worker was lost, or the
# answer to its claim was.
GIVEN_BACK = (
    "Cancelled while its slot gave it back: ",
    "Cancelled. Its worker ",
    "Cancelled. The answer to its claim ",
)
# An attempt's outcome, and the event that closed it.
CLOSED_BY = {
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
    "paused": "paused",
    "pruned": "pruned",
}


def running_means_one_live_lease(seen: Seen) -> Iterator[Violation]:
    """I3, now and at every moment before: attempts lie within their leases, one after another."""
    holding: dict[int, int] = defaultdict(int)
    for trial in seen["trials"]:
        lease = seen.leases.get(trial["lease_id"] or 0)
        if (trial["state"] == "running") != (trial["lease_id"] is not None):
            yield Violation("I3", f"trial {trial['id']} is {trial['state']}, lease {lease}")
        if lease is not None:
            holding[lease["id"]] += 1
            if lease["ended_at"] is not None:
                yield Violation("I3", f"trial {trial['id']} runs under an ended lease")
            if (trial["id"], trial["fence"]) not in seen.attempt:
                yield Violation("I3", f"trial {trial['id']} runs without an attempt")
    for lease in seen["leases"]:
        if lease["ended_at"] is None and not holding[lease["id"]]:
            yield Violation("I3", f"lease {lease['id']} lives and holds nothing")
    for trial_id, attempts in seen.attempts.items():
        yield from _attempts_in_order(seen, trial_id, attempts)


def _attempts_in_order(seen: Seen, trial_id: int, attempts: list[Row]) -> Iterator[Violation]:
    until = 0.0
    for one in attempts:
        lease = seen.leases[one["lease_id"]]
        ended = FOREVER if one["ended_at"] is None else one["ended_at"]
        lease_ended = FOREVER if lease["ended_at"] is None else lease["ended_at"]
        name = f"trial {trial_id}, fence {one['fence']}"
        if one["started_at"] < until:
            yield Violation("I3", f"{name}: began before the attempt before it had ended")
        if one["started_at"] < lease["created_at"] or ended > lease_ended:
            yield Violation("I3", f"{name}: not within its lease")
        if one["slot_id"] != lease["slot_id"] or one["worker_id"] != lease["worker_id"]:
            yield Violation("I3", f"{name}: its lease is another slot's")
        if (one["outcome"] is None) != (one["ended_at"] is None):
            yield Violation("I3", f"{name}: outcome {one['outcome']}, ended {one['ended_at']}")
        until = ended


def one_live_lease_a_slot(seen: Seen) -> Iterator[Violation]:
    """I4, at every moment."""
    of_slot: dict[int, list[Row]] = defaultdict(list)
    for lease in sorted(seen["leases"], key=lambda lease: lease["id"]):
        of_slot[lease["slot_id"]].append(lease)
    for slot, leases in of_slot.items():
        for earlier, later in pairwise(leases):
            if earlier["ended_at"] is None or earlier["ended_at"] > later["created_at"]:
                both = f"leases {earlier['id']} and {later['id']}"
                yield Violation("I4", f"slot {slot}: {both} at once")


def rows_carry_the_current_fence(seen: Seen) -> Iterator[Violation]:
    """I5: whatever an attempt wrote, it wrote between its claim and its end."""
    for table in ("checkpoints", "artifacts", "results"):
        for row in seen[table]:
            name = f"{table} of trial {row['trial_id']}, fence {row['fence']}"
            one = seen.attempt.get((row["trial_id"], row["fence"]))
            if one is None:
                yield Violation("I5", f"{name}: no such attempt")
                continue
            ended = FOREVER if one["ended_at"] is None else one["ended_at"]
            if not one["started_at"] <= row["created_at"] <= ended:
                yield Violation("I5", f"{name}: written while the fence was not current")
    for trial_id, chunks in seen.of_trial("metric_chunks").items():
        fence = 0
        for chunk in chunks:
            if (trial_id, chunk["fence"]) not in seen.attempt:
                yield Violation("I5", f"points of trial {trial_id}: no fence {chunk['fence']}")
            if chunk["fence"] < fence:
                late = f"fence {chunk['fence']} after {fence}"
                yield Violation("I5", f"points of trial {trial_id}: {late}")
            fence = max(fence, chunk["fence"])


def one_result_a_success(seen: Seen) -> Iterator[Violation]:
    """I6: exactly one, made under the fence that won; and each attempt ended as the log says."""
    results: dict[int, list[Row]] = seen.of_trial("results")
    for trial_id, trial in seen.trials.items():
        found = results.get(trial_id, [])
        wanted = 1 if trial["state"] == "succeeded" else 0
        if len(found) != wanted:
            yield Violation("I6", f"trial {trial_id}, {trial['state']}: {len(found)} results")
        if any(result["fence"] != trial["fence"] for result in found):
            yield Violation("I6", f"trial {trial_id}: its result is of another fence")
    for trial_id, events in seen.events.items():
        for event in events:
            if event["from_state"] != "running":
                continue
            # Taking back raises the fence in the same breath.
            fence = event["fence"] - (1 if event["kind"] == "requeued" else 0)
            one = seen.attempt.get((trial_id, fence))
            wanted_outcome = _outcome(event)
            if one is None or one["outcome"] != wanted_outcome:
                is_now = None if one is None else one["outcome"]
                said = f"{event['kind']}, its attempt {is_now}"
                yield Violation("I6", f"trial {trial_id}, fence {fence}: {said}")


def _outcome(event: Row) -> str:
    if event["kind"] == "lost" or event["data"].get("lost"):
        return "lost"
    if event["kind"] == "requeued" and event["data"].get("reason_kind") == "paused":
        # Asked to go on just after it had paused.
        return "paused"
    return CLOSED_BY.get(event["kind"], "released")


def points_are_stored_once(seen: Seen) -> Iterator[Violation]:
    """I6 for curves: no step of an attempt twice, though a COMMIT's answer may be lost."""
    for trial_id, chunks in seen.of_trial("metric_chunks").items():
        steps = Counter(
            (chunk["fence"], chunk["name"], step) for chunk in chunks for step in chunk["steps"]
        )
        for (fence, name, step), times in steps.items():
            if times > 1:
                what = f"{name} at step {step}"
                yield Violation("I6", f"trial {trial_id}, fence {fence}: {what} {times} times")


def checkpoints_never_go_back(seen: Seen) -> Iterator[Violation]:
    """I7: at no moment was the furthest or the best of those kept worse than the moment before."""
    for trial_id, points in seen.of_trial("checkpoints").items():
        for point in points:
            gone = point["deleted_at"]
            if gone is None:
                continue
            left = [
                one for one in points
                if one["created_at"] <= gone and (one["deleted_at"] or FOREVER) > gone
            ]  # fmt: skip
            name = f"trial {trial_id}, fence {point['fence']}, epoch {point['epoch']}"
            if not any(one["epoch"] >= point["epoch"] for one in left) and not any(
                one["epoch"] > point["epoch"] for one in left
            ):
                yield Violation("I7", f"{name}: dropped with none further kept")
            if point["best"] and not any(
                one["best"] and one["epoch"] >= point["epoch"] for one in left
            ):
                yield Violation("I7", f"{name}: the best was dropped")


def kept_checkpoints_are_in_the_store(seen: Seen) -> Iterator[Violation]:
    """I7: what the table calls durable is there, byte for byte."""
    if seen.store is None:
        return
    for table in ("checkpoints", "artifacts"):
        for row in seen[table]:
            if row.get("deleted_at") is not None:
                continue
            path = seen.store / row["key"]
            if not path.is_file():
                yield Violation("I7", f"{row['key']} is not in the store")
            elif hashlib.sha256(path.read_bytes()).hexdigest() != row["sha256"]:
                yield Violation("I7", f"{row['key']} is not what was recorded")


def resumes_start_at_the_newest(seen: Seen) -> Iterator[Violation]:
    """I8: each attempt goes on from the furthest checkpoint that there was at its claim."""
    points = seen.of_trial("checkpoints")
    for trial_id, attempts in seen.attempts.items():
        for one in attempts:
            began = one["started_at"]
            there = [
                point["epoch"] for point in points.get(trial_id, [])
                if point["created_at"] <= began and (point["deleted_at"] or FOREVER) > began
            ]  # fmt: skip
            if one["resumed_epoch"] != max(there, default=None):
                told = f"from epoch {one['resumed_epoch']}, there was {max(there, default=None)}"
                yield Violation("I8", f"trial {trial_id}, fence {one['fence']}: went on {told}")


def losses_are_limited(seen: Seen) -> Iterator[Violation]:
    """I9: as many as attempts were lost, never past the limit, and LOST exactly at the limit."""
    for trial_id, trial in seen.trials.items():
        lost = sum(one["outcome"] == "lost" for one in seen.attempts.get(trial_id, []))
        if lost != trial["losses"]:
            yield Violation("I9", f"trial {trial_id}: {lost} lost attempts, says {trial['losses']}")
        at_limit = trial["losses"] >= seen.max_losses
        if trial["losses"] > seen.max_losses or at_limit != (trial["state"] == "lost"):
            said = f"{trial['losses']} losses and {trial['state']}"
            yield Violation("I9", f"trial {trial_id}: {said}, the limit is {seen.max_losses}")


def waste_is_not_charged(seen: Seen) -> Iterator[Violation]:
    """Fair share: nobody pays for what a dead or departing worker threw away."""
    for one in seen["attempts"]:
        if one["outcome"] in ("lost", "released") and one["charged"]:
            name = f"trial {one['trial_id']}, fence {one['fence']}"
            yield Violation("charge", f"{name}: {one['outcome']}, and charged")
    # What was to be cancelled anyway: its owner is told that it was given back or lost.
    for trial in seen["trials"]:
        last = seen.attempt.get((trial["id"], trial["fence"]))
        if last is None or last["outcome"] != "cancelled" or not last["charged"]:
            continue
        if (trial["reason"] or "").startswith(GIVEN_BACK):
            name = f"trial {trial['id']}, fence {trial['fence']}"
            yield Violation("charge", f"{name}: charged, and told: {trial['reason']}")


def ended_trials_hold_nothing(seen: Seen) -> Iterator[Violation]:
    """I3 at the end: every attempt of an ended trial is closed."""
    for trial_id, attempts in seen.attempts.items():
        if trial_id in seen.trials and seen.trials[trial_id]["state"] in TERMINAL:
            for one in attempts:
                if one["ended_at"] is None:
                    yield Violation("I3", f"trial {trial_id}, fence {one['fence']}: never closed")
