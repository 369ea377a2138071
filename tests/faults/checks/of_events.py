"""What the event log alone must show, and that the tables agree with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.faults.checks.seen import TERMINAL, Row, Seen, Violation
from tests.faults.checks.times import Classes

MOVES = frozenset(
    {
        (None, "queued"),
        ("queued", "running"),
        ("queued", "cancelled"),
        ("queued", "pruned"),
        ("running", "queued"),
        ("running", "paused"),
        ("paused", "queued"),
        ("paused", "cancelled"),
        ("paused", "pruned"),
        *(("running", end) for end in TERMINAL),
    }
)
# Claims and takings-back raise the fence; nothing else touches it.
RAISES_FENCE = frozenset({"started", "requeued"})


def ends_are_final(seen: Seen) -> Iterator[Violation]:
    """I1: nothing happens to a trial after its end, and every move is one of the table's."""
    for trial_id, events in seen.events.items():
        state = None
        for event in events:
            if state in TERMINAL:
                yield Violation("I1", f"trial {trial_id}: {event['kind']} after {state}")
            if event["to_state"] is None:
                continue
            if (event["from_state"], event["to_state"]) not in MOVES:
                move = f"{event['from_state']} to {event['to_state']}"
                yield Violation("I1", f"trial {trial_id}: went from {move}")
            if event["from_state"] != state:
                said = f"{event['kind']} from {event['from_state']}"
                yield Violation("I1", f"trial {trial_id}: {said} while it was {state}")
            state = event["to_state"]


def fences_only_rise(seen: Seen) -> Iterator[Violation]:
    """I2: by one at each claim and at each taking back, and never else."""
    for trial_id, events in seen.events.items():
        fence = 0
        for event in events:
            expected = fence + 1 if event["kind"] in RAISES_FENCE else fence
            if event["fence"] != expected:
                said = f"{event['kind']} with fence {event['fence']}, {expected} was next"
                yield Violation("I2", f"trial {trial_id}: {said}")
            fence = event["fence"]


def cancelled_while_waiting_never_runs(seen: Seen) -> Iterator[Violation]:
    """I12: and a runner never heard of one that was cancelled before its first claim."""
    ran = {line["trial"] for line in seen.ran}
    for trial_id, events in seen.events.items():
        waiting = [
            event["id"] for event in events
            if event["kind"] == "cancelled" and event["from_state"] != "running"
        ]  # fmt: skip
        if not waiting:
            continue
        if any(event["kind"] == "started" and event["id"] > waiting[0] for event in events):
            yield Violation("I12", f"trial {trial_id}: claimed after it was cancelled")
        if trial_id not in seen.attempts and trial_id in ran:
            yield Violation("I12", f"trial {trial_id}: ran, and was cancelled before any claim")


def counts_add_up(seen: Seen) -> Iterator[Violation]:
    """I13: what was created, less what has ended, is what is there."""
    created = Counter(
        event["trial_id"] for event in seen["events"]
        if event["to_state"] == "queued" and event["from_state"] is None
    )  # fmt: skip
    for trial_id, times in created.items():
        if times != 1:
            yield Violation("I13", f"trial {trial_id}: created {times} times")
    if created.keys() != seen.trials.keys():
        differing = sorted(created.keys() ^ seen.trials.keys())
        yield Violation("I13", f"created or there, but not both: trials {differing[:10]}")
    states = Counter(trial["state"] for trial in seen["trials"])
    if sum(states.values()) != len(created):
        yield Violation("I13", f"{dict(states)} do not add up to {len(created)}")
    numbers = Counter((trial["experiment_id"], trial["number"]) for trial in seen["trials"])
    for (experiment, number), times in numbers.items():
        if times > 1:
            yield Violation("I13", f"experiment {experiment}: {times} trials number {number}")


def a_replay_gives_the_state(seen: Seen) -> Iterator[Violation]:
    """I14: told from its events alone, each trial is what its row says."""
    classes = Classes(seen)
    for trial_id, trial in seen.trials.items():
        told = _told(seen.events.get(trial_id, [])) | {"priority": classes.last(trial_id)}
        shown = {name: trial[name] for name in told}
        shown["held"] = bool(shown["held"])
        shown["cancel_requested"] = bool(shown["cancel_requested"])
        if shown != told:
            yield Violation("I14", f"trial {trial_id} is {shown}, its events say {told}")


def _told(events: list[Row]) -> Row:
    told: Row = {
        "state": None, "fence": 0, "losses": 0, "held": False, "wish": None,
        "cancel_requested": False,
    }  # fmt: skip
    for event in events:
        kind, data = event["kind"], event["data"]
        told["fence"] = event["fence"]
        if event["to_state"] is not None:
            told["state"] = event["to_state"]
        if kind == "lost" or (kind == "requeued" and data.get("lost")):
            told["losses"] += 1
        if kind in ("held", "let_go"):
            told["held"] = kind == "held"
        if kind == "cancel_requested" or (kind == "cancelled" and data.get("before_it_ran")):
            told["cancel_requested"] = True
        if kind in ("wished", "resumed"):
            told["wish"] = data.get("wish")
        if kind == "requeued" and data.get("held"):
            told["held"], told["wish"] = True, None
        if kind == "paused" and data.get("held"):
            # It was to be paused when it came to its rung.
            told["held"] = True
        if kind == "resumed":
            told["held"] = False
        if told["state"] in TERMINAL or told["state"] == "paused":
            told["wish"] = None
    return told


def everything_ended(seen: Seen) -> Iterator[Violation]:
    """I15, once the faults are over and the bound has passed."""
    for trial_id, trial in seen.trials.items():
        if trial["state"] not in TERMINAL:
            held = ", held" if trial["held"] else ""
            yield Violation("I15", f"trial {trial_id} is still {trial['state']}{held}")
