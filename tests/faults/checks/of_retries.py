"""What is tried again: as often as it may be, and at nobody's cost."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.checks.seen import Row, Seen, Violation

# Further tries of one trial, by what went wrong; in a row: a new checkpoint begins a new row.
MOST = {"gpu_fault": 3, "killed": 2}
IN_A_ROW = frozenset({"killed"})
# How an attempt may have ended whose runner had reported that its GPU failed.
AFTER_A_GPU_FAULT = frozenset({"released", "failed", "lost", "cancelled"})


def retries_are_limited(seen: Seen) -> Iterator[Violation]:
    """Never more often than the limit, and given up at the limit only."""
    points = seen.of_trial("checkpoints")
    for trial_id, attempts in seen.attempts.items():
        for one in attempts:
            kind = one["reason_kind"]
            if kind not in MOST or one["outcome"] not in ("released", "failed"):
                continue
            newest = _newest(points.get(trial_id, []), one) if kind in IN_A_ROW else 0
            before = sum(
                earlier["outcome"] == "released" and earlier["reason_kind"] == kind
                and newest < earlier["fence"] < one["fence"]
                for earlier in attempts
            )  # fmt: skip
            name = f"trial {trial_id}, fence {one['fence']}"
            if one["outcome"] == "released" and before >= MOST[kind]:
                text = f"tried again after {kind} for the {before + 1}th time"
                yield Violation("retries", f"{name}: {text}")
            if one["outcome"] == "failed" and before < MOST[kind]:
                text = f"given up after {before} further tries for {kind}"
                yield Violation("retries", f"{name}: {text}")


def _newest(points: list[Row], one: Row) -> int:
    """The fence of the newest checkpoint that there was at an attempt's end."""
    ended = one["ended_at"]
    return max((point["fence"] for point in points if point["created_at"] <= ended), default=0)


def faults_are_not_charged(seen: Seen) -> Iterator[Violation]:
    """Nor what a broken GPU or somebody's kill -9 threw away, even at the last try."""
    for one in seen["attempts"]:
        if one["outcome"] == "failed" and one["reason_kind"] in MOST and one["charged"]:
            name = f"trial {one['trial_id']}, fence {one['fence']}"
            yield Violation("charge", f"{name}: failed for {one['reason_kind']}, and charged")


def a_gpu_fault_ends_the_attempt(seen: Seen) -> Iterator[Violation]:
    """An attempt whose runner had said that its GPU failed has no result to show."""
    for line in seen.ran:
        if line["what"] != "fault":
            continue
        one = seen.attempt.get((line["trial"], line["fence"]))
        name = f"trial {line['trial']}, fence {line['fence']}"
        if one is None or one["outcome"] not in AFTER_A_GPU_FAULT:
            outcome = "is not there" if one is None else one["outcome"]
            yield Violation("lost", f"{name}: its GPU failed, its attempt {outcome}")
