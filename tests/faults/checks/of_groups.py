"""Trials that one lease held to be trained together."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

from tests.faults.checks.seen import Row, Seen, Violation

# How the reason begins for which a trial is by itself from then on.
APART = (
    "The group that it was trained in crashed; it runs alone now.",
    "It cannot be trained together with others:",
)
MOST_TOGETHER = 64
# An attempt's seconds are told by one reading of the clock, its end and its lease's by others.
ROUNDING_S = 0.05


def members_are_alike(seen: Seen) -> Iterator[Violation]:
    """Of one experiment, one key and one epoch, on one slot since one moment; as many as wanted."""
    experiments = {row["id"]: row for row in seen["experiments"]}
    for lease_id, members in _groups(seen).items():
        lease, name = seen.leases[lease_id], f"lease {lease_id}"
        trials = [seen.trials[one["trial_id"]] for one in members]
        if len({trial["id"] for trial in trials}) < len(trials):
            yield Violation("group", f"{name}: holds a trial twice")
        if {trial["experiment_id"] for trial in trials} != {lease["experiment_id"]}:
            yield Violation("group", f"{name}: its trials are of several experiments")
        keys = {trial["fuse_key"] for trial in trials}
        if len(keys) > 1 or None in keys:
            yield Violation("group", f"{name}: its trials are of several kinds: {keys}")
        if len({one["resumed_epoch"] or 0 for one in members}) > 1:
            yield Violation("group", f"{name}: its trials stood at several epochs")
        if {one["started_at"] for one in members} != {lease["created_at"]}:
            yield Violation("group", f"{name}: its trials began at several moments")
        most = _most(experiments[lease["experiment_id"]]["spec"])
        if len(members) > most:
            yield Violation("group", f"{name}: {len(members)} together, {most} were wanted")


def whoever_came_apart_is_alone(seen: Seen) -> Iterator[Violation]:
    """What was lost or crashed in a group, or cannot be in one, is in none any more."""
    groups = _groups(seen)
    for trial_id, attempts in seen.attempts.items():
        alone = False
        for one in attempts:
            together = one["lease_id"] in groups
            name = f"trial {trial_id}, fence {one['fence']}"
            if alone and together:
                yield Violation("group", f"{name}: trained with others after it came apart")
            reason = one["reason"] or ""
            if together and (one["outcome"] == "lost" or reason.startswith(APART)):
                alone = True
        last = attempts[-1]
        if alone and not seen.trials[trial_id]["alone"] and last["outcome"] != "lost":
            yield Violation("group", f"trial {trial_id}: came apart, and its row does not say so")


def seconds_are_split(seen: Seen) -> Iterator[Violation]:
    """The parts of a lease's trials add up to what the slot was used."""
    for lease_id, members in _members(seen).items():
        if any(one["ended_at"] is None for one in members):
            continue
        used = max(one["ended_at"] for one in members) - seen.leases[lease_id]["created_at"]
        parts = sum(one["slot_seconds"] for one in members)
        if not math.isclose(parts, used, abs_tol=ROUNDING_S):
            text = f"its trials' parts are {parts:.2f} s of {used:.2f} s"
            yield Violation("group", f"lease {lease_id}: {text}")


def runners_got_whole_groups(seen: Seen) -> Iterator[Violation]:
    """A runner's group is of one claim, and stands at one epoch."""
    for line in seen.ran:
        if line["what"] != "group":
            continue
        one = seen.attempt.get((line["trial"], line["fence"]))
        name = f"the group of trial {line['trial']}, fence {line['fence']}"
        if len(line["epochs"]) > 1:
            yield Violation("group", f"{name}: stands at epochs {line['epochs']}")
        held = () if one is None else _members(seen)[one["lease_id"]]
        if not set(line["members"]) <= {other["trial_id"] for other in held}:
            yield Violation("group", f"{name}: holds others than its lease")


def took_place(seen: Seen) -> dict[str, int]:
    """How many groups there were, and of them how many that lost a member or came apart."""
    groups = _groups(seen).values()
    parted = sum(
        any(one["outcome"] == "lost" or (one["reason"] or "").startswith(APART) for one in members)
        for members in groups
    )
    return {"groups": len(groups), "groups_parted": parted}


def _members(seen: Seen) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = defaultdict(list)
    for one in seen["attempts"]:
        found[one["lease_id"]].append(one)
    return found


def _groups(seen: Seen) -> dict[int, list[Row]]:
    return {lease: members for lease, members in _members(seen).items() if len(members) > 1}


def _most(spec: Row) -> int:
    said = spec.get("fuse", spec.get("base", {}).get("fuse", "off"))
    return MOST_TOGETHER if said == "auto" else 1 if said == "off" else int(said)
