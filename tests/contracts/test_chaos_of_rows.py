"""The checker of chaos runs, of the tables: each harm to leases, results and files is named."""

from __future__ import annotations

import pytest

from tests.faults.checks.seen import Seen
from tests.support.chaos_history import Harm, Harms, first, found_after, str_of


def runs_without_a_lease(seen: Seen) -> None:
    seen["trials"][0].update(state="running")


def lease_left_open(seen: Seen) -> None:
    seen["leases"][-1]["ended_at"] = None


def attempts_overlap(seen: Seen) -> None:
    first(seen["attempts"], fence=3)["started_at"] -= 3600


def attempt_never_closed(seen: Seen) -> None:
    seen["attempts"][-1].update(ended_at=None, outcome=None)


def two_leases_on_a_slot(seen: Seen) -> None:
    seen["leases"][1]["ended_at"] += 3600


def checkpoint_after_the_end(seen: Seen) -> None:
    seen["checkpoints"][0]["created_at"] += 3600


def points_of_an_old_fence(seen: Seen) -> None:
    seen["metric_chunks"].append({**seen["metric_chunks"][0], "id": 900, "steps": [99]})


def result_twice(seen: Seen) -> None:
    seen["results"].append(dict(seen["results"][0]))


def result_of_a_loser(seen: Seen) -> None:
    seen["results"][0]["fence"] = 1


def no_result(seen: Seen) -> None:
    seen["results"].pop()


def points_twice(seen: Seen) -> None:
    seen["metric_chunks"].append({**seen["metric_chunks"][-1], "id": 901})


def newest_checkpoint_dropped(seen: Seen) -> None:
    newest = max(seen["checkpoints"], key=lambda row: row["epoch"])
    newest["deleted_at"] = newest["created_at"] + 0.001


def best_checkpoint_dropped(seen: Seen) -> None:
    best = first(seen["checkpoints"], epoch=3)
    newest = first(seen["checkpoints"], epoch=4)
    best["deleted_at"] = newest["created_at"] + 0.001


def checkpoint_file_gone(seen: Seen) -> None:
    first(seen["checkpoints"], deleted_at=None)["key"] = "trials/0/0/nothing.npz"


def started_over(seen: Seen) -> None:
    first(seen["attempts"], fence=3)["resumed_epoch"] = None


def loss_forgotten(seen: Seen) -> None:
    seen["trials"][0]["losses"] = 0


def losses_past_the_limit(seen: Seen) -> None:
    seen.max_losses = 1


def cancelled_when_given_back_and_charged(seen: Seen) -> None:
    one = first(seen["attempts"], outcome="cancelled", charged=1)
    seen.trials[one["trial_id"]]["reason"] = "Cancelled while its slot gave it back: GPU fault."


def waste_charged(seen: Seen) -> None:
    first(seen["attempts"], outcome="lost")["charged"] = 1


HARMS: Harms = (
    (runs_without_a_lease, "I3"),
    (lease_left_open, "I3"),
    (attempts_overlap, "I3"),
    (attempt_never_closed, "I3"),
    (two_leases_on_a_slot, "I4"),
    (checkpoint_after_the_end, "I5"),
    (points_of_an_old_fence, "I5"),
    (result_twice, "I6"),
    (result_of_a_loser, "I6"),
    (no_result, "I6"),
    (points_twice, "I6"),
    (newest_checkpoint_dropped, "I7"),
    (best_checkpoint_dropped, "I7"),
    (checkpoint_file_gone, "I7"),
    (started_over, "I8"),
    (loss_forgotten, "I9"),
    (losses_past_the_limit, "I9"),
    (waste_charged, "charge"),
    (cancelled_when_given_back_and_charged, "charge"),
)


@pytest.mark.parametrize(("harm", "invariant"), HARMS, ids=str_of)
def test_a_harm_is_named(clean: Seen, harm: Harm, invariant: str) -> None:
    assert invariant in found_after(clean, harm)
