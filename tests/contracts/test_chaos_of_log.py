"""The checker of chaos runs, of the event log: each harm to it is named."""

from __future__ import annotations

import pytest

from tests.faults.checks.seen import Seen
from tests.support.chaos_history import Harm, Harms, first, found_after, str_of


def end_goes_on(seen: Seen) -> None:
    last = first(seen["events"], kind="succeeded")
    seen["events"].append({**last, "id": 900, "kind": "held", "to_state": None})


def move_out_of_order(seen: Seen) -> None:
    first(seen["events"], kind="resumed")["from_state"] = "running"


def fence_goes_back(seen: Seen) -> None:
    first(seen["events"], kind="started", fence=3)["fence"] = 1


def claimed_after_cancelling(seen: Seen) -> None:
    event = first(seen["events"], kind="cancelled", from_state="queued")
    started = first(seen["events"], kind="started")
    event = {**started, "id": 902, "trial_id": event["trial_id"], "fence": 1}
    seen["events"].append(event)


def trial_vanished(seen: Seen) -> None:
    seen["trials"].pop(2)


def row_disagrees_with_the_log(seen: Seen) -> None:
    seen["trials"][0]["held"] = 1


def never_ended(seen: Seen) -> None:
    seen["trials"][0].update(state="queued")


HARMS: Harms = (
    (end_goes_on, "I1"),
    (move_out_of_order, "I1"),
    (fence_goes_back, "I2"),
    (claimed_after_cancelling, "I12"),
    (trial_vanished, "I13"),
    (row_disagrees_with_the_log, "I14"),
    (never_ended, "I15"),
)


@pytest.mark.parametrize(("harm", "invariant"), HARMS, ids=str_of)
def test_a_harm_is_named(clean: Seen, harm: Harm, invariant: str) -> None:
    assert invariant in found_after(clean, harm)
