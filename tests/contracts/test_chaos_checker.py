"""The checker of chaos runs: a clean history passes on both databases, each harm is named."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from db import claims, commands, findings, owner, submissions, sweeper
from db.claims import Claim
from db.clock import now
from db.engine import Database
from db.models import Lease
from labpool.catalog import Catalog
from labpool.planning import plan
from tests.faults import checker, frame
from tests.faults.chaos import BOUNDS, Outcome
from tests.faults.checks import of_runs, of_turns
from tests.faults.checks.of_runs import weights_after
from tests.faults.checks.seen import Row, Seen, read
from tests.support.pool import person, slot, trial

TTL_S = 90.0
SPEC = {
    "kind": "train", "model": "softmax", "dataset": "digits", "device": "gpu", "epochs": 2,
}  # fmt: skip


class History:
    """Trials of two people on one database, with the ledgers that a chaos run would have."""

    def __init__(self, database: Database, catalog: Catalog, folder: Path) -> None:
        self.database, self.catalog, self.folder = database, catalog, folder
        self.ledgers, self.store = folder / "ledgers", folder / "store"
        self.ledgers.mkdir()
        with database.transaction() as session:
            self.slots = [slot(session, catalog, device="gpu") for _ in range(2)]

    def submit(self, name: str, key: str, seed: int) -> int:
        planned = plan({**SPEC, "seed": seed}, self.catalog)
        with self.database.transaction() as session:
            made = submissions.submit(session, person(session, name), planned, key, key)
        self.note("acknowledged", user=name, key=key, experiment=made.experiment_id,
                  trials=list(made.trial_ids))  # fmt: skip
        return made.trial_ids[0]

    def claim(self, index: int = 0) -> Claim:
        with self.database.transaction() as session:
            claim = claims.claim(session, self.slots[index], TTL_S)
        assert claim is not None
        [work] = claim.trials
        resumed = work.resume.epoch if work.resume else None
        self.note("ran", what="begin", trial=work.trial_id, fence=work.fence, pid=work.fence,
                  resumed=resumed)  # fmt: skip
        with self.database.transaction() as session:
            environment = {"device": "gpu", "resumed_epoch": resumed}
            owner.note_started(session, work.trial_id, work.fence, environment)
        return claim

    def checkpoint(self, claim: Claim, epoch: int, best: bool = True) -> None:
        [work] = claim.trials
        key = f"trials/{work.trial_id}/{work.fence}/epoch-{epoch}.npz"
        path = self.store / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"epoch {epoch}".encode())
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        chunk = findings.Chunk("loss", [epoch], [float(epoch)], [0.1], [1.0])
        record = findings.CheckpointRecord(epoch, key, sha256, 7, 0.5, best)
        with self.database.transaction() as session:
            findings.record_metrics(session, work.trial_id, work.fence, [chunk])
            dropped = findings.record_checkpoint(session, work.trial_id, work.fence, record)
        for obsolete in dropped:
            (self.store / obsolete).unlink()

    def succeed(self, claim: Claim, epochs: int = 2, early: bool = False) -> None:
        [work] = claim.trials
        summary = {"weights_sha256": weights_after(work.spec["seed"], epochs), "epochs": epochs}
        with self.database.transaction() as session:
            owner.succeed(session, work.trial_id, work.fence, {"a": 1.0}, summary, early)

    def lose(self, claim: Claim) -> None:
        """Its lease runs out, and the sweeper takes it back."""
        with self.database.transaction() as session:
            past = update(Lease).where(Lease.id == claim.lease_id).values(expires_at=0.0)
            session.execute(past)
            assert sweeper.sweep_expired(session) == [claim.trials[0].trial_id]

    def ask(self, name: str, what: str, trial_id: int) -> None:
        command = getattr(commands, f"{what}_trial")
        with self.database.transaction() as session:
            command(session, trial(session, trial_id), person(session, name))
        self.note("asked", user=name, what=what, trial=trial_id, status=200)

    def note(self, ledger: str, **fields: Any) -> None:
        with self.database.snapshot() as session:
            line = {"at": now(session), **fields}
        with (self.ledgers / f"{ledger}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def seen(self) -> Seen:
        url = self.database.url.render_as_string(hide_password=False)
        return read(url, self.ledgers, self.store)


def lived_through(database: Database, catalog: Catalog, folder: Path) -> Seen:
    """Losses, a pause, a stop, cancels, a crash and a hold, all as they should be."""
    history = History(database, catalog, folder)
    lost = history.submit("ada", "one", 1)
    claim = history.claim()
    history.checkpoint(claim, 1)
    history.lose(claim)
    again = history.claim()
    assert again.trials[0].trial_id == lost
    history.checkpoint(again, 2)
    history.checkpoint(again, 3)
    history.checkpoint(again, 4, best=False)
    history.succeed(again)
    never = history.submit("ben", "two", 2)
    history.ask("ben", "cancel", never)
    paused = history.submit("ben", "three", 3)
    claim = history.claim()
    history.checkpoint(claim, 1)
    history.ask("ben", "pause", paused)
    with database.transaction() as session:
        owner.pause(session, paused, claim.trials[0].fence)
    history.ask("ben", "stop", paused)
    history.succeed(history.claim(), epochs=1, early=True)
    crashed = history.submit("ada", "four", 4)
    claim = history.claim()
    history.note("faults", what="kill_runner", pid=claim.trials[0].fence)
    with database.transaction() as session:
        owner.fail(session, crashed, claim.trials[0].fence, "crashed", "It was killed.")
    # Two at once, taken in turn, the second one after it was held and cancelled by its owner.
    first, second = history.submit("ada", "five", 5), history.submit("ben", "six", 6)
    history.ask("ben", "pause", second)
    claim = history.claim()
    assert claim.trials[0].trial_id == first
    history.ask("ben", "resume", second)
    other = history.claim(1)
    history.ask("ben", "cancel", second)
    with database.transaction() as session:
        owner.cancel(session, second, other.trials[0].fence, "Cancelled.")
    history.succeed(claim)
    return history.seen()


def test_a_clean_history_passes(database: Database, catalog: Catalog, tmp_path: Path) -> None:
    seen = lived_through(database, catalog, tmp_path)
    states = sorted(trial["state"] for trial in seen["trials"])
    assert states == ["cancelled"] * 2 + ["failed"] + ["succeeded"] * 3
    assert checker.judge(seen) == []


@pytest.fixture(scope="module")
def clean(
    sqlite_template: Path, catalog: Catalog, tmp_path_factory: pytest.TempPathFactory
) -> Seen:
    """A clean history to do harm to."""
    folder = tmp_path_factory.mktemp("history")
    shutil.copy(sqlite_template, folder / "labpool.db")
    database = Database(f"sqlite:///{folder / 'labpool.db'}")
    seen = lived_through(database, catalog, folder)
    database.dispose()
    return seen


def first(rows: list[Row], **wanted: Any) -> Row:
    return next(row for row in rows if all(row[name] == value for name, value in wanted.items()))


def end_goes_on(seen: Seen) -> None:
    last = first(seen["events"], kind="succeeded")
    seen["events"].append({**last, "id": 900, "kind": "held", "to_state": None})


def move_out_of_order(seen: Seen) -> None:
    first(seen["events"], kind="resumed")["from_state"] = "running"


def fence_goes_back(seen: Seen) -> None:
    first(seen["events"], kind="started", fence=3)["fence"] = 1


def runs_without_a_lease(seen: Seen) -> None:
    seen["trials"][0].update(state="running")


def lease_left_open(seen: Seen) -> None:
    seen["leases"][-1]["ended_at"] = None


def attempts_overlap(seen: Seen) -> None:
    first(seen["attempts"], fence=3)["started_at"] -= 3600


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


def other_weights(seen: Seen) -> None:
    seen["results"][0]["summary"]["weights_sha256"] = "0" * 64


def loss_forgotten(seen: Seen) -> None:
    seen["trials"][0]["losses"] = 0


def losses_past_the_limit(seen: Seen) -> None:
    seen.max_losses = 1


def another_experiment_for_a_key(seen: Seen) -> None:
    line = {**seen.acknowledged[0], "experiment": seen.acknowledged[3]["experiment"]}
    seen.acknowledged.append({**line, "trials": seen.acknowledged[3]["trials"]})


def experiment_without_a_key(seen: Seen) -> None:
    seen["idempotency_keys"].pop()


def acknowledged_and_gone(seen: Seen) -> None:
    seen.acknowledged.append({**seen.acknowledged[0], "trials": [4711]})


def claimed_after_cancelling(seen: Seen) -> None:
    event = first(seen["events"], kind="cancelled", from_state="queued")
    started = first(seen["events"], kind="started")
    event = {**started, "id": 902, "trial_id": event["trial_id"], "fence": 1}
    seen["events"].append(event)


def ran_after_cancelling(seen: Seen) -> None:
    event = first(seen["events"], kind="cancelled", from_state="queued")
    seen.ran.append({**seen.ran[0], "trial": event["trial_id"]})


def trial_vanished(seen: Seen) -> None:
    seen["trials"].pop(2)


def row_disagrees_with_the_log(seen: Seen) -> None:
    seen["trials"][0]["held"] = 1


def never_ended(seen: Seen) -> None:
    seen["trials"][0].update(state="queued")


def passed_over(seen: Seen) -> None:
    """As if ben's sixth had waited all along, and ada had been at work when her fifth was taken."""
    seen["events"][:] = [
        event for event in seen["events"] if event["kind"] not in ("held", "let_go")
    ]
    first(seen["events"], kind="failed")["id"] = 903


def lower_class_first(seen: Seen) -> None:
    """As if the sixth had been of a higher class, and had waited all along."""
    seen["events"][:] = [
        event for event in seen["events"] if event["kind"] not in ("held", "let_go")
    ]
    first(seen["trials"], id=6)["priority"] = 1


def out_of_turn_for_age(seen: Seen) -> None:
    for lease in seen["leases"][1:3]:
        lease["by_age"] = 1


def too_young_for_age(seen: Seen) -> None:
    seen["leases"][-1]["by_age"] = 1


def too_young_since_it_was_let_go(seen: Seen) -> None:
    """The sixth, which its owner had held, as if for long."""
    seen["leases"][-1]["by_age"] = 1
    first(seen["trials"], id=6)["queued_at"] -= 2 * seen.ageing_s


def gpu_shared(seen: Seen) -> None:
    seen.ran.append({**seen.ran[0], "what": "collision", "gpu": "GPU-1"})


def ran_unclaimed(seen: Seen) -> None:
    seen.ran.append({**seen.ran[0], "fence": 44})


def handed_out_twice(seen: Seen) -> None:
    seen.ran.append(dict(seen.ran[0]))


def failed_by_itself(seen: Seen) -> None:
    seen.faults.clear()


def cancelled_by_nobody(seen: Seen) -> None:
    seen.asked[:] = [line for line in seen.asked if line["what"] != "cancel"]


def stopped_by_nobody(seen: Seen) -> None:
    seen.asked[:] = [line for line in seen.asked if line["what"] != "stop"]


def waste_charged(seen: Seen) -> None:
    first(seen["attempts"], outcome="lost")["charged"] = 1


def attempt_never_closed(seen: Seen) -> None:
    seen["attempts"][-1].update(ended_at=None, outcome=None)


HARMS: tuple[tuple[Callable[[Seen], None], str], ...] = (
    (end_goes_on, "I1"),
    (move_out_of_order, "I1"),
    (fence_goes_back, "I2"),
    (ran_unclaimed, "I2"),
    (handed_out_twice, "I2"),
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
    (other_weights, "I8"),
    (loss_forgotten, "I9"),
    (losses_past_the_limit, "I9"),
    (another_experiment_for_a_key, "I10"),
    (experiment_without_a_key, "I10"),
    (acknowledged_and_gone, "I11"),
    (claimed_after_cancelling, "I12"),
    (ran_after_cancelling, "I12"),
    (trial_vanished, "I13"),
    (row_disagrees_with_the_log, "I14"),
    (never_ended, "I15"),
    (passed_over, "I16"),
    (lower_class_first, "I16"),
    (out_of_turn_for_age, "I16"),
    (too_young_for_age, "I16"),
    (too_young_since_it_was_let_go, "I16"),
    (gpu_shared, "I17"),
    (failed_by_itself, "lost"),
    (cancelled_by_nobody, "lost"),
    (stopped_by_nobody, "lost"),
    (waste_charged, "charge"),
)


def str_of(value: object) -> str:
    return str(getattr(value, "__name__", value))


@pytest.mark.parametrize(("harm", "invariant"), HARMS, ids=str_of)
def test_a_harm_is_named(clean: Seen, harm: Callable[[Seen], None], invariant: str) -> None:
    assert checker.judge(clean) == []
    harmed = Seen(
        copy.deepcopy(clean.tables), copy.deepcopy(clean.acknowledged),
        copy.deepcopy(clean.asked), copy.deepcopy(clean.ran), copy.deepcopy(clean.faults),
        clean.store,
    )  # fmt: skip
    harm(harmed)
    assert invariant in {violation.invariant for violation in checker.judge(harmed)}


def harmed_turns(clean: Seen, harm: Callable[[Seen], None]) -> Seen:
    seen = Seen(copy.deepcopy(clean.tables))
    harm(seen)
    return seen


@pytest.mark.parametrize(("offset", "passed"), [(-0.5, True), (0.5, False)])
def test_a_class_counts_from_when_it_is_given(clean: Seen, offset: float, passed: bool) -> None:
    seen = harmed_turns(clean, lower_class_first)
    claim = first(seen["events"], kind="started", trial_id=5)
    given = {**claim, "id": claim["id"] + offset, "trial_id": 6, "kind": "prioritised"}
    seen["events"].append({**given, "from_state": None, "to_state": None})
    seen["events"].sort(key=lambda event: event["id"])
    assert bool(list(of_turns.higher_classes_go_first(seen))) is passed


@pytest.mark.parametrize(("leases", "broken"), [((0,), 0), ((1,), 0), ((0, 1), 1), ((0, 3), 1),
                                                ((0, 4), 0), ((1, 2, 3), 2)])  # fmt: skip
def test_a_slot_has_one_turn_by_age_in_four(
    clean: Seen, leases: tuple[int, ...], broken: int
) -> None:
    def by_age(seen: Seen) -> None:
        seen.ageing_s = 0.0
        of_slot = [one for one in seen["leases"] if one["slot_id"] == seen["leases"][0]["slot_id"]]
        for number in leases:
            of_slot[number]["by_age"] = 1

    assert len(list(of_turns.ageing_keeps_its_turn(harmed_turns(clean, by_age)))) == broken


def test_losses_that_nobody_provoked_are_counted(clean: Seen) -> None:
    lost = first(clean["attempts"], outcome="lost")
    pid = first(clean["workers"], id=lost["worker_id"])["pid"]
    outcome = Outcome(unprovoked=of_runs.unprovoked_losses(Seen(clean.tables)))
    assert outcome.numbers()["unprovoked_losses"] == 1
    killed = {"what": "kill_worker", "pid": pid, "at": lost["started_at"]}
    assert of_runs.unprovoked_losses(Seen(clean.tables, faults=[killed])) == 0
    outage = {"what": "database", "at": lost["started_at"]}
    assert of_runs.unprovoked_losses(Seen(clean.tables, faults=[outage])) == 0
    [amiss] = frame.out_of_bounds(
        Outcome(unprovoked=5).numbers(), {"unprovoked_losses": BOUNDS["unprovoked_losses"]}
    )
    assert amiss.startswith("unprovoked_losses is 5")


def test_every_promise_has_a_harm() -> None:
    promises = {f"I{number}" for number in range(1, 18)}
    assert promises <= {invariant for _, invariant in HARMS}


def test_the_checker_shares_no_code_with_the_writers() -> None:
    ours = ("api", "db", "deploy", "labpool", "worker")
    for path in (Path(checker.__file__), *Path(of_runs.__file__).parent.glob("*.py")):
        for line in path.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[:1] in (["import"], ["from"]):
                assert words[1].split(".")[0] not in ours, f"{path.name}: {line}"
