"""The checker of chaos runs, of upkeep: caps, drains, quarantines and further tries."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from db import owner, priorities, quarantine, users, workers
from db.engine import Database
from labpool.catalog import Catalog
from tests.faults import checker
from tests.faults.checks import of_retries, of_turns, of_upkeep
from tests.faults.checks.seen import Seen
from tests.support.chaos_history import (
    Harm,
    Harms,
    History,
    first,
    found_after,
    harmed,
    str_of,
)
from tests.support.pool import person, step_clock, trial


class Upkeep(History):
    """With an administrator, whose asking is noted as the keeper of a chaos run does."""

    def keep(self, what: str, **told: Any) -> None:
        """Note what was just done. A moment passes before it and after."""
        step_clock(self.database, 2.0)
        self.note("kept", what=what, status=200, answered=self.now() + 1.0, **told)
        step_clock(self.database, 4.0)

    def cap(self, name: str, most: int) -> None:
        with self.database.transaction() as session:
            person(session, name)
            users.set_user_limits(session, name, max_running=most)
        self.keep("cap", user=name, value=most)

    def prioritise(self, name: str, trial_id: int, word: Any) -> None:
        with self.database.transaction() as session:
            row = trial(session, trial_id)
            priorities.set_priority(session, row, word, person(session, name))
        step_clock(self.database, 6.0)

    def drain(self, index: int, drain: bool) -> None:
        worker = self.slots[index].worker_id
        if not drain:
            self.keep("undrain", worker=worker)
        with self.database.transaction() as session:
            workers.drain_worker(session, worker, drain)
        if drain:
            self.keep("drain", worker=worker)

    def gpu_fault(self, claim: Any) -> None:
        [work] = claim.trials
        self.note("ran", what="fault", trial=work.trial_id, fence=work.fence, pid=work.fence)
        with self.database.transaction() as session:
            owner.fail(session, work.trial_id, work.fence, "gpu_fault", "It failed.")

    def close_gpu(self, index: int) -> None:
        with self.database.transaction() as session:
            quarantine.quarantine(session, self.slots[index].slot_id, "here", "It failed.")

    def clear_gpu(self, index: int) -> None:
        gpu = f"GPU-{self.slots[index].slot_id}"
        self.note("kept", what="clear", device=gpu, status=200)
        with self.database.transaction() as session:
            quarantine.clear(session, gpu, person(session, "grace", "admin"))
        step_clock(self.database, 6.0)


def kept_up(database: Database, catalog: Catalog, folder: Path) -> Seen:
    """A cap, two classes, a broken GPU and a drain, all as they should be."""
    history = Upkeep(database, catalog, folder)
    history.cap("ada", 1)
    broken = history.submit("ada", "one", 1)
    low, normal = history.submit("ada", "two", 2), history.submit("ada", "three", 3)
    history.prioritise("ada", low, "low")
    step_clock(database, 6.0)
    claim = history.claim(0)
    assert claim.trials[0].trial_id == broken
    history.note("faults", what="break_gpu", gpu=f"GPU-{history.slots[0].slot_id}")
    history.gpu_fault(claim)
    history.close_gpu(0)
    step_clock(database, 6.0)
    other = history.claim(1)
    assert other.trials[0].trial_id == normal
    history.succeed(other)
    history.drain(1, True)
    history.clear_gpu(0)
    history.drain(1, False)
    step_clock(database, 31.0)
    for wanted in (broken, low):
        claim = history.claim(0)
        assert claim.trials[0].trial_id == wanted
        history.succeed(claim)
        step_clock(database, 6.0)
    return history.seen()


@pytest.fixture(scope="module")
def upkeep(
    sqlite_template: Path, catalog: Catalog, tmp_path_factory: pytest.TempPathFactory
) -> Seen:
    """A clean history to do harm to."""
    folder = tmp_path_factory.mktemp("upkeep")
    shutil.copy(sqlite_template, folder / "labpool.db")
    database = Database(f"sqlite:///{folder / 'labpool.db'}")
    seen = kept_up(database, catalog, folder)
    database.dispose()
    return seen


def test_clean_upkeep_passes(database: Database, catalog: Catalog, tmp_path: Path) -> None:
    seen = kept_up(database, catalog, tmp_path)
    assert checker.judge(seen) == []
    did = {"caps": 1, "drains": 1, "priorities": 1, "quarantines": 1}
    assert of_upkeep.took_place(seen) == did


def two_at_once(seen: Seen) -> None:
    seen["leases"][0]["ended_at"] = seen["leases"][1]["created_at"] + 0.1


def two_at_once_and_never_ended(seen: Seen) -> None:
    seen["leases"][0]["ended_at"] = None


def given_while_drained(seen: Seen) -> None:
    drained = first(seen.kept, what="drain")
    lease = seen["leases"][-1]
    lease.update(worker_id=drained["worker"], created_at=drained["answered"] + 1.5)


def given_when_never_let_go(seen: Seen) -> None:
    seen["leases"][-1]["worker_id"] = first(seen.kept, what="drain")["worker"]
    seen.kept[:] = [line for line in seen.kept if line["what"] != "undrain"]


def given_while_out_of_service(seen: Seen) -> None:
    seen["quarantines"][0]["cleared_at"] = seen["leases"][-1]["created_at"] + 0.1


def given_before_it_was_cleared(seen: Seen) -> None:
    seen["quarantines"][0]["cleared_at"] = None


def closed_for_nothing(seen: Seen) -> None:
    seen.faults.clear()


def another_one_closed(seen: Seen) -> None:
    first(seen.faults, what="break_gpu")["gpu"] = "GPU-4711"


def cleared_by_nobody(seen: Seen) -> None:
    seen.kept[:] = [line for line in seen.kept if line["what"] != "clear"]


def tried_a_fourth_time(seen: Seen) -> None:
    faulty = first(seen["attempts"], reason_kind="gpu_fault")
    seen["attempts"].extend({**faulty, "id": 900 + n, "fence": 900 + n} for n in range(3))


def given_up_early(seen: Seen) -> None:
    first(seen["attempts"], reason_kind="gpu_fault")["outcome"] = "failed"


def killed_too_often(seen: Seen) -> None:
    faulty = first(seen["attempts"], reason_kind="gpu_fault")
    killed = {**faulty, "reason_kind": "killed"}
    seen["attempts"].extend({**killed, "id": 900 + n, "fence": 900 + n} for n in range(3))


def fault_charged(seen: Seen) -> None:
    first(seen["attempts"], reason_kind="gpu_fault").update(outcome="failed", charged=1)


def a_result_on_a_broken_gpu(seen: Seen) -> None:
    first(seen["attempts"], reason_kind="gpu_fault")["outcome"] = "succeeded"


def class_without_an_event(seen: Seen) -> None:
    first(seen["trials"], priority=-1)["priority"] = 0


def low_before_normal(seen: Seen) -> None:
    """As if it had been the one that was claimed third that was given the lower class."""
    low = first(seen["trials"], priority=-1)
    changed = first(seen["events"], kind="prioritised")
    normal = first(seen["trials"], id=low["id"] + 1)
    low["priority"], normal["priority"], changed["trial_id"] = 0, -1, normal["id"]


HARMS: Harms = (
    (two_at_once, "cap"),
    (two_at_once_and_never_ended, "cap"),
    (given_while_drained, "drain"),
    (given_when_never_let_go, "drain"),
    (given_while_out_of_service, "quarantine"),
    (given_before_it_was_cleared, "quarantine"),
    (closed_for_nothing, "quarantine"),
    (another_one_closed, "quarantine"),
    (cleared_by_nobody, "quarantine"),
    (tried_a_fourth_time, "retries"),
    (given_up_early, "retries"),
    (killed_too_often, "retries"),
    (fault_charged, "charge"),
    (a_result_on_a_broken_gpu, "lost"),
    (class_without_an_event, "I14"),
    (low_before_normal, "I16"),
)


@pytest.mark.parametrize(("harm", "invariant"), HARMS, ids=str_of)
def test_a_harm_is_named(upkeep: Seen, harm: Harm, invariant: str) -> None:
    assert invariant in found_after(upkeep, harm)


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"status": 200, "value": 2}, False),
        ({"status": -1, "value": 2}, False),
        ({"status": 409, "value": 2}, True),
        ({"status": 200, "value": 1}, True),
    ],
)
def test_a_cap_that_may_have_been_raised_is_heeded(
    upkeep: Seen, change: dict[str, Any], broken: bool
) -> None:
    seen = harmed(upkeep, two_at_once)
    seen.kept.append({**first(seen.kept, what="cap"), **change})
    assert bool(list(of_upkeep.caps_are_kept(seen))) is broken


@pytest.mark.parametrize(("length_s", "broken"), [(60.0, False), (0.1, True)])
def test_a_worker_stopped_in_a_claim_may_end_it_after_its_drain(
    upkeep: Seen, length_s: float, broken: bool
) -> None:
    seen = harmed(upkeep, given_while_drained)
    seen.exact_order = False
    pid = first(seen["workers"], id=first(seen.kept, what="drain")["worker"])["pid"]
    at = first(seen.kept, what="drain")["at"] - 0.5
    seen.faults.append({"what": "stop_worker", "pid": pid, "at": at, "lasts_s": length_s})
    assert bool(list(of_upkeep.drained_workers_get_nothing(seen))) is broken


def test_a_new_checkpoint_begins_a_new_row_of_tries(upkeep: Seen) -> None:
    seen = harmed(upkeep, killed_too_often)
    assert list(of_retries.retries_are_limited(seen)) != []
    trial_id = first(seen["attempts"], reason_kind="killed")["trial_id"]
    ended = first(seen["attempts"], reason_kind="killed")["ended_at"]
    seen["checkpoints"].append({"id": 1, "trial_id": trial_id, "fence": 900, "created_at": ended})
    assert list(of_retries.retries_are_limited(seen)) == []


@pytest.mark.parametrize("capped", [True, False])
def test_who_is_at_their_cap_is_not_passed_over(upkeep: Seen, capped: bool) -> None:
    """Ben's is taken while one of ada's, of a higher class, waits."""

    def harm(seen: Seen) -> None:
        ada = first(seen["users"], name="ada")
        seen["users"].append({**ada, "id": 900, "name": "ben"})
        first(seen["trials"], id=3)["owner_id"] = 900
        first(seen["trials"], id=2)["priority"] = 1
        # As if the first of hers were at work all the time.
        first(seen["attempts"], reason_kind="gpu_fault")["ended_at"] = None
        seen["events"][:] = [one for one in seen["events"] if one["kind"] != "prioritised"]
        if not capped:
            seen.kept[:] = [line for line in seen.kept if line["what"] != "cap"]

    passed = of_turns.higher_classes_go_first(harmed(upkeep, harm))
    assert any("trial 3 of" in violation.text for violation in passed) is not capped
