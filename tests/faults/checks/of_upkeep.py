"""What administrators did to the pool was heeded: caps, drains and GPUs out of service."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tests.faults.checks.seen import Row, Seen, Violation
from tests.faults.checks.times import Caps

FOREVER = float("inf")
# On Postgres a claim that had looked just before a drain may end just after its answer.
CLAIM_UNDER_WAY_S = 1.0


def caps_are_kept(seen: Seen) -> Iterator[Violation]:
    """Nobody was given a slot while they held as many as they may."""
    caps = Caps(seen)
    owners = {row["id"]: row["owner_id"] for row in seen["experiments"]}
    of_owner: dict[int, list[Row]] = defaultdict(list)
    for lease in seen["leases"]:
        of_owner[owners[lease["experiment_id"]]].append(lease)
    for owner, leases in of_owner.items():
        for lease in leases:
            at = lease["created_at"]
            held = sum(
                one["created_at"] <= at < (one["ended_at"] or FOREVER)
                for one in leases if one is not lease
            )  # fmt: skip
            most = caps.most(owner, at)
            if held >= most:
                holds = f"held {held} slots and may hold {most:g}"
                yield Violation("cap", f"lease {lease['id']}: its trial's owner {holds}")


def drained_workers_get_nothing(seen: Seen) -> Iterator[Violation]:
    """From the answer to a drain to the request that takes it back."""
    for worker, since, until in drains(seen):
        pid = next(row["pid"] for row in seen["workers"] if row["id"] == worker)
        for lease in seen["leases"]:
            if lease["worker_id"] != worker or not since < lease["created_at"] < until:
                continue
            if not _was_stopped(seen, pid, since, lease["created_at"]):
                late_s = lease["created_at"] - since
                what = f"given {late_s:.3f} s after worker {worker} was drained"
                yield Violation("drain", f"lease {lease['id']}: {what}")


def drains(seen: Seen) -> Iterator[tuple[str, float, float]]:
    """Each worker that was surely drained, and from when to when."""
    under_way_s = 0.0 if seen.exact_order else CLAIM_UNDER_WAY_S
    since: dict[str, float] = {}
    for line in seen.kept:
        if line["what"] == "drain" and line["status"] == 200:
            since.setdefault(line["worker"], line["answered"] + under_way_s)
        elif line["what"] == "undrain" and line["worker"] in since:
            yield line["worker"], since.pop(line["worker"]), line["at"]
    for worker, begun in since.items():
        yield worker, begun, FOREVER


def took_place(seen: Seen) -> dict[str, int]:
    """How often something was done that these checks judge, and came to something."""
    return {
        "caps": sum(line["what"] == "cap" and line["status"] == 200 for line in seen.kept),
        "drains": sum(since < until < FOREVER for _, since, until in drains(seen)),
        "priorities": sum(event["kind"] == "prioritised" for event in seen["events"]),
        "quarantines": sum(row["cleared_at"] is not None for row in seen["quarantines"]),
    }


def _was_stopped(seen: Seen, pid: int, since: float, created_at: float) -> bool:
    """Whether SIGSTOP caught the worker in the midst of a claim that had looked before."""
    return not seen.exact_order and any(
        fault["what"] == "stop_worker" and fault["pid"] == pid
        and fault["at"] <= since
        and created_at <= fault["at"] + fault["lasts_s"] + CLAIM_UNDER_WAY_S
        for fault in seen.faults
    )  # fmt: skip


def quarantined_devices_get_nothing(seen: Seen) -> Iterator[Violation]:
    """No slot of a device was given a lease between its quarantine and the end of that.

    To the last digit: who claims holds the GPU's lock, and so does who puts it out of service.
    """
    for row in seen["quarantines"]:
        until = row["cleared_at"] or FOREVER
        for lease in seen["leases"]:
            slot = seen.slots[lease["slot_id"]]
            if row["device"] in (slot["gpu_uuid"], f"slot-{slot['id']}") and (
                row["since"] < lease["created_at"] < until
            ):
                text = f"lease {lease['id']}: given while {row['device']} was out of service"
                yield Violation("quarantine", text)


def quarantines_have_a_cause(seen: Seen) -> Iterator[Violation]:
    """Only a device that was broken was put out of service, and only an administrator clears it."""
    broken: dict[str, list[float]] = defaultdict(list)
    for fault in seen.faults:
        if fault["what"] == "break_gpu":
            broken[fault["gpu"]].append(fault["at"])
    asked: dict[str, list[float]] = defaultdict(list)
    for line in seen.kept:
        if line["what"] == "clear":
            asked[line["device"]].append(line["at"])
    for row in seen["quarantines"]:
        since, until, device = row["since"], row["cleared_at"], row["device"]
        if not any(at <= since for at in broken[device]):
            yield Violation("quarantine", f"{device} was put out of service, and nobody broke it")
        if until is not None and not any(since <= at <= until for at in asked[device]):
            yield Violation("quarantine", f"{device} was cleared, and nobody asked")
