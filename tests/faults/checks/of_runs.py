"""What people were told and what runners did, against what the tables hold."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.faults.checks.seen import TERMINAL, Row, Seen, Violation

# A runner killed just before its slot claimed is found dead when it is handed the trial.
KILLED_BEFORE_S = 5.0
NOT_CONFIGURATION = frozenset({"name", "notes", "tags"})


def acknowledged_is_there(seen: Seen) -> Iterator[Violation]:
    """I11: whatever somebody got an answer for is there, whole, and theirs."""
    owners = {user["id"]: user["name"] for user in seen["users"]}
    experiments = {row["id"]: row for row in seen["experiments"]}
    for line in seen.acknowledged:
        experiment = experiments.get(line["experiment"])
        if experiment is None:
            yield Violation("I11", f"experiment {line['experiment']} was acknowledged and is gone")
            continue
        if owners[experiment["owner_id"]] != line["user"]:
            yield Violation("I11", f"experiment {experiment['id']} is not {line['user']}'s")
        for trial_id in line["trials"]:
            trial = seen.trials.get(trial_id)
            if trial is None or trial["experiment_id"] != experiment["id"]:
                yield Violation("I11", f"trial {trial_id} was acknowledged and is gone")
    for line in seen.asked:
        if line["what"] == "retry" and line.get("new") and line["new"] not in seen.trials:
            yield Violation("I11", f"trial {line['new']}, a retry, was acknowledged and is gone")


def one_key_one_experiment(seen: Seen) -> Iterator[Violation]:
    """I10: however often a submission was sent."""
    answers: dict[tuple[str, str], set[tuple[int, ...]]] = defaultdict(set)
    for line in seen.acknowledged:
        answers[line["user"], line["key"]].add((line["experiment"], *line["trials"]))
    for (user, key), told in answers.items():
        # A sweep may have made more trials by the time of a later answer.
        longest = max(told, key=len)
        if any(one != longest[: len(one)] for one in told):
            yield Violation("I10", f"{user}'s key {key} was answered with {sorted(told)[:3]}")
    keyed = Counter(row["experiment_id"] for row in seen["idempotency_keys"])
    for experiment in seen["experiments"]:
        # Every submission of a chaos run comes with a key.
        if seen.acknowledged and keyed[experiment["id"]] != 1:
            times = keyed[experiment["id"]]
            yield Violation("I10", f"experiment {experiment['id']} has {times} keys")


def every_end_is_explained(seen: Seen) -> Iterator[Violation]:
    """Lost: a trial that failed, was cancelled or was cut short, and nobody had done that to it."""
    asked, stopped = defaultdict(set), set()
    for line in seen.asked:
        asked[line["what"]].add(line["trial"])
        if line["what"] == "stop_sweep":
            stopped.add(line["experiment"])
    prunes = {row["id"] for row in seen["experiments"] if _prunes(row["spec"])}
    for trial_id, trial in seen.trials.items():
        state = trial["state"]
        of_stopped = trial["experiment_id"] in stopped
        if state == "cancelled" and trial_id not in asked["cancel"] and not of_stopped:
            yield Violation("lost", f"trial {trial_id} was cancelled, and nobody asked")
        if state == "failed" and not (_was_killed(seen, trial) or _gpu_failed(seen, trial)):
            why = f"{trial['reason_kind']}: {trial['reason']}"
            yield Violation("lost", f"trial {trial_id} failed without a fault ({why})")
        if state == "lost" and not all(_was_hurt(seen, one) for one in _lost(seen, trial_id)):
            yield Violation("lost", f"trial {trial_id} was lost without a fault")
        if state == "pruned" and trial["experiment_id"] not in prunes:
            yield Violation("lost", f"trial {trial_id} was pruned, and nothing prunes")
        if trial["ended_early"] and trial_id not in asked["stop"] and not of_stopped:
            yield Violation("lost", f"trial {trial_id} ended early, and nobody asked")


def _prunes(spec: Row) -> bool:
    """Whether a sweep may end trials by itself."""
    return bool(spec.get("strategy", {}).get("pruner")) or "budget_slot_seconds" in spec


def _was_killed(seen: Seen, trial: Row) -> bool:
    """Whether a fault killed the runner of the trial's last attempt."""
    attempts = seen.attempts.get(trial["id"])
    if not attempts or trial["reason_kind"] not in ("crashed", "killed"):
        return False
    last = attempts[-1]
    pids = {
        line["pid"] for line in seen.ran
        if (line["trial"], line["fence"]) == (trial["id"], last["fence"])
    }  # fmt: skip
    return any(
        fault["what"] == "kill_runner"
        and last["started_at"] - KILLED_BEFORE_S <= fault["at"] <= last["ended_at"]
        and (not pids or fault["pid"] in pids)
        for fault in seen.faults
    )


def _gpu_failed(seen: Seen, trial: Row) -> bool:
    """Whether the runner of the trial's last attempt had reported its GPU."""
    last = max((one["fence"] for one in seen.attempts.get(trial["id"], [])), default=0)
    return trial["reason_kind"] == "gpu_fault" and any(
        line["what"] == "fault" and (line["trial"], line["fence"]) == (trial["id"], last)
        for line in seen.ran
    )


def runners_ran_what_was_claimed(seen: Seen) -> Iterator[Violation]:
    """I2 from outside: a runner has a trial only after its claim, and each claim once."""
    begun: Counter[tuple[int, int]] = Counter()
    for line in seen.ran:
        if line["what"] != "begin":
            continue
        begun[line["trial"], line["fence"]] += 1
        one = seen.attempt.get((line["trial"], line["fence"]))
        name = f"trial {line['trial']}, fence {line['fence']}"
        if one is None:
            yield Violation("I2", f"{name}: ran without a claim")
        elif line["resumed"] != one["resumed_epoch"] and one["environment"] is not None:
            told = f"epoch {line['resumed']}, its attempt says {one['resumed_epoch']}"
            yield Violation("I8", f"{name}: its runner went on from {told}")
    for (trial_id, fence), times in begun.items():
        if times > 1:
            yield Violation("I2", f"trial {trial_id}, fence {fence}: handed out {times} times")


def no_gpu_is_shared(seen: Seen) -> Iterator[Violation]:
    """I17: no runner set to work on a GPU on which another one still was."""
    for line in seen.ran:
        if line["what"] == "collision":
            name = f"trial {line['trial']}, fence {line['fence']}"
            yield Violation("I17", f"{name}: began while {line['gpu']} was at work")


def results_are_those_of_an_unstopped_run(seen: Seen) -> Iterator[Violation]:
    """I8: the weights of a trial that was killed, paused and resumed are what they must be."""
    found = {result["trial_id"]: result for result in seen["results"]}
    same: dict[str, set[str]] = defaultdict(set)
    for trial_id, result in found.items():
        trial = seen.trials.get(trial_id)
        if trial is None:
            continue
        digest, spec = result["summary"]["weights_sha256"], trial["spec"]
        if trial["device"] == "cpu":
            if not trial["ended_early"]:
                kept = {key: spec[key] for key in spec.keys() - NOT_CONFIGURATION}
                same[json.dumps(kept, sort_keys=True)].add(digest)
            continue
        epochs = result["summary"]["epochs"]
        if not trial["ended_early"] and epochs != spec["epochs"]:
            yield Violation("I8", f"trial {trial_id}: {epochs} of {spec['epochs']} epochs")
        if digest != weights_after(spec["seed"], epochs):
            yield Violation("I8", f"trial {trial_id}: other weights than an unstopped run's")
    for spec, digests in same.items():
        if len(digests) > 1:
            yield Violation("I8", f"{len(digests)} different weights of one spec: {spec[:200]}")


def weights_after(seed: int, epochs: int) -> str:
    """What a paced run comes to: each epoch hashes what the one before it left."""
    state = f"seed {seed}"
    for epoch in range(1, epochs + 1):
        state = hashlib.sha256(f"{state}, epoch {epoch}".encode()).hexdigest()
    return state


def acknowledged_ends(seen: Seen) -> Iterator[Violation]:
    """Lost: a trial that somebody got an answer for and that never came to an end."""
    for line in seen.acknowledged:
        for trial_id in line["trials"]:
            trial = seen.trials.get(trial_id)
            if trial is None or trial["state"] not in TERMINAL:
                yield Violation("lost", f"trial {trial_id} was acknowledged and did not end")


def unprovoked_losses(seen: Seen) -> int:
    """Attempts taken back from workers to which nothing had been done; a busy machine has some."""
    return sum(one["outcome"] == "lost" and not _was_hurt(seen, one) for one in seen["attempts"])


def _lost(seen: Seen, trial_id: int) -> list[Row]:
    return [one for one in seen.attempts.get(trial_id, []) if one["outcome"] == "lost"]


def _was_hurt(seen: Seen, one: Row) -> bool:
    """Whether something was done to its worker, or to the database, that may have lost it.

    A lease lasts one TTL from the last heartbeat, and after an outage sweepers wait for another.
    """
    pids = {worker["id"]: worker["pid"] for worker in seen["workers"]}
    pid = pids[one["worker_id"]]
    for fault in seen.faults:
        what, since_s = fault["what"], one["ended_at"] - fault["at"]
        of_it = what == "database" or (what == "stop_worker" and fault["pid"] == pid)
        if of_it and 0 <= since_s <= fault.get("lasts_s", 0.0) + 2 * seen.lease_ttl_s:
            return True
        # The dead never beat again, however late somebody notices.
        if what == "kill_worker" and fault["pid"] == pid and since_s >= 0:
            return True
    return False
