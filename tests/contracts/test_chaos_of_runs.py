"""The checker of chaos runs, of what people and runners noted: each harm is named."""

from __future__ import annotations

import pytest

from tests.faults import frame
from tests.faults.chaos import BOUNDS, Outcome
from tests.faults.checks import of_runs
from tests.faults.checks.seen import Seen
from tests.support.chaos_history import Harm, Harms, first, found_after, str_of


def ran_unclaimed(seen: Seen) -> None:
    seen.ran.append({**seen.ran[0], "fence": 44})


def handed_out_twice(seen: Seen) -> None:
    seen.ran.append(dict(seen.ran[0]))


def other_weights(seen: Seen) -> None:
    seen["results"][0]["summary"]["weights_sha256"] = "0" * 64


def another_experiment_for_a_key(seen: Seen) -> None:
    line = {**seen.acknowledged[0], "experiment": seen.acknowledged[3]["experiment"]}
    seen.acknowledged.append({**line, "trials": seen.acknowledged[3]["trials"]})


def experiment_without_a_key(seen: Seen) -> None:
    seen["idempotency_keys"].pop()


def acknowledged_and_gone(seen: Seen) -> None:
    seen.acknowledged.append({**seen.acknowledged[0], "trials": [4711]})


def ran_after_cancelling(seen: Seen) -> None:
    event = first(seen["events"], kind="cancelled", from_state="queued")
    seen.ran.append({**seen.ran[0], "trial": event["trial_id"]})


def gpu_shared(seen: Seen) -> None:
    seen.ran.append({**seen.ran[0], "what": "collision", "gpu": "GPU-1"})


def failed_by_itself(seen: Seen) -> None:
    seen.faults.clear()


def cancelled_by_nobody(seen: Seen) -> None:
    seen.asked[:] = [line for line in seen.asked if line["what"] != "cancel"]


def stopped_by_nobody(seen: Seen) -> None:
    seen.asked[:] = [line for line in seen.asked if line["what"] != "stop"]


def lost_by_nobody(seen: Seen) -> None:
    one = first(seen["attempts"], outcome="lost")
    seen.trials[one["trial_id"]].update(state="lost")


HARMS: Harms = (
    (ran_unclaimed, "I2"),
    (handed_out_twice, "I2"),
    (other_weights, "I8"),
    (another_experiment_for_a_key, "I10"),
    (experiment_without_a_key, "I10"),
    (acknowledged_and_gone, "I11"),
    (ran_after_cancelling, "I12"),
    (gpu_shared, "I17"),
    (failed_by_itself, "lost"),
    (cancelled_by_nobody, "lost"),
    (stopped_by_nobody, "lost"),
    (lost_by_nobody, "lost"),
)


@pytest.mark.parametrize(("harm", "invariant"), HARMS, ids=str_of)
def test_a_harm_is_named(clean: Seen, harm: Harm, invariant: str) -> None:
    assert invariant in found_after(clean, harm)


def test_losses_that_nobody_provoked_are_counted(clean: Seen) -> None:
    lost = first(clean["attempts"], outcome="lost")
    pid = first(clean["workers"], id=lost["worker_id"])["pid"]
    outcome = Outcome(unprovoked=of_runs.unprovoked_losses(Seen(clean.tables)))
    assert outcome.numbers()["unprovoked_losses"] == 1
    killed = {"what": "kill_worker", "pid": pid, "at": lost["started_at"]}
    assert of_runs.unprovoked_losses(Seen(clean.tables, faults=[killed])) == 0
    outage = {"what": "database", "at": lost["ended_at"] - 182.0, "lasts_s": 3.0}
    assert of_runs.unprovoked_losses(Seen(clean.tables, faults=[outage])) == 0
    stopped = {**outage, "what": "stop_worker", "pid": pid}
    assert of_runs.unprovoked_losses(Seen(clean.tables, faults=[stopped])) == 0
    for early in ({**outage, "lasts_s": 1.0}, {**stopped, "lasts_s": 1.0}, {**stopped, "pid": 0}):
        assert of_runs.unprovoked_losses(Seen(clean.tables, faults=[early])) == 1
    [amiss] = frame.out_of_bounds(
        Outcome(unprovoked=5).numbers(), {"unprovoked_losses": BOUNDS["unprovoked_losses"]}
    )
    assert amiss.startswith("unprovoked_losses is 5")
