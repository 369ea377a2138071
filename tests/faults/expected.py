"""What a pool must hold after each thing that happens to it: a small model, in plain Python.

It shares nothing with `db/`: it is written from the table of a trial's life. It says what is
allowed and what follows; which of the trials that may run is claimed first is not its business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.faults.expected_rows import ENDED, Attempt, Lease, Point, Refused, Trial

__all__ = ["ENDED", "MAX_LOSSES", "Pool", "Refused", "Trial"]

MAX_LOSSES = 3
HALF_LIFE_S = 7 * 24 * 3600.0
# Delays before a further try, by the kind of failure, and whether it is by itself from then on.
TRIES: dict[str, tuple[list[float], bool]] = {
    "gpu_fault": ([30.0, 60.0, 120.0], False),
    "out_of_memory": ([60.0], True),
}


@dataclass
class Pool:
    """Trials, leases and use, and the time that it is."""

    now: float = 0.0
    trials: dict[int, Trial] = field(default_factory=dict)
    leases: dict[int, Lease] = field(default_factory=dict)
    use: dict[int, tuple[float, float]] = field(default_factory=dict)

    # What slots do.

    def busy(self, slot: int) -> bool:
        """Whether a live lease refers to the slot."""
        return any(lease.live and lease.slot == slot for lease in self.leases.values())

    def eligible(self) -> list[Trial]:
        """What a claim may take."""
        return [trial for trial in self.trials.values()
                if trial.state == "queued" and not trial.held
                and trial.not_before <= self.now]  # fmt: skip

    def siblings(self, head: Trial) -> list[Trial]:
        """What may be trained together with ``head``."""
        if head.fuse_key is None or head.alone:
            return []
        return [trial for trial in self.eligible()
                if trial.id != head.id and trial.experiment == head.experiment
                and trial.fuse_key == head.fuse_key and not trial.alone]  # fmt: skip

    def claimed(
        self, slot: int, lease: int, ids: list[int], ttl_s: float, companions: list[int]
    ) -> None:
        """A claim gave these trials; fails when it may not have, or others had to come along."""
        assert not self.busy(slot), "one live lease a slot"
        eligible = {trial.id for trial in self.eligible()}
        assert set(ids) <= eligible, f"{ids} were claimed, {eligible} may be"
        assert ids[1:] == companions, f"{ids[0]} came with {ids[1:]}, it must with {companions}"
        self.leases[lease] = Lease(slot, self.now + ttl_s, self.now, len(ids))
        for trial_id in ids:
            trial = self.trials[trial_id]
            trial.state, trial.lease, trial.not_before = "running", lease, 0.0
            trial.fence += 1
            trial.attempts[trial.fence] = Attempt(lease, self.now)

    def beat(
        self, lease: int, fences: Mapping[int, int], ttl_s: float
    ) -> tuple[set[int], set[int], dict[int, str]]:
        """Who is still alive, who is to be cancelled, and what else is wished."""
        if not self.leases[lease].live:
            return set(), set(), {}
        self.leases[lease].expires = self.now + ttl_s
        mine = [trial for trial in self.trials.values()
                if trial.lease == lease and fences.get(trial.id) == trial.fence]  # fmt: skip
        cancel = {trial.id for trial in mine if trial.cancel}
        wishes = {t.id: t.wish for t in mine if t.wish is not None and t.id not in cancel}
        return {trial.id for trial in mine}, cancel, wishes

    def own(self, trial_id: int, fence: int) -> Trial:
        """The trial, for who holds it under the current fence."""
        trial = self.trials[trial_id]
        if trial.state != "running" or trial.fence != fence:
            raise Refused("fenced off")
        return trial

    def checkpoint(self, trial: Trial, epoch: int, best: bool) -> None:
        """The two newest stay, and the last that was the best."""
        trial.points.append(Point(epoch, trial.fence, best))
        kept = [point for point in trial.points if point.kept]
        kept.sort(key=lambda point: (point.epoch, point.fence), reverse=True)
        best_point = next((point for point in kept if point.best), None)
        for point in kept[2:]:
            point.kept = point is best_point

    def succeed(self, trial: Trial, ended_early: bool) -> None:
        """With its result."""
        trial.result, trial.ended_early = trial.fence, ended_early
        self.leave(trial, "succeeded")

    def fail(self, trial: Trial, kind: str) -> None:
        """An end, unless another try may go better."""
        delays, alone = TRIES.get(kind, ([], False))
        tries = trial.failures.get(kind, 0)
        if tries < len(delays):
            if not trial.cancel:
                trial.failures[kind] = tries + 1
            self.release(trial, delays[tries], alone)
        else:
            charged = kind != "gpu_fault"
            self.leave(trial, "failed", charged=charged)

    def pause(self, trial: Trial) -> None:
        """Its slot is free for others; who wants it to go on by now gets it queued."""
        if trial.cancel:
            self.leave(trial, "cancelled")
        elif trial.wish == "pause":
            self.leave(trial, "paused")
        else:
            self.requeue(trial, "paused", charged=True)

    def release(self, trial: Trial, delay_s: float = 0.0, alone: bool = False) -> None:
        """Back into the queue, uncharged; what is to be cancelled is."""
        if trial.cancel:
            self.leave(trial, "cancelled", charged=False)
        else:
            self.requeue(trial, "released", delay_s, alone)

    def requeue(
        self,
        trial: Trial,
        outcome: str,
        delay_s: float = 0.0,
        alone: bool = False,
        charged: bool = False,
    ) -> None:
        """One fence further; what was to be paused waits held."""
        paused = trial.wish == "pause"
        wish = None if paused else trial.wish
        self.leave(trial, "queued", outcome=outcome, charged=charged)
        trial.fence += 1
        trial.held, trial.wish = trial.held or paused, wish
        trial.alone = trial.alone or alone
        trial.not_before = self.now + delay_s if delay_s else 0.0

    def leave(
        self, trial: Trial, state: str, outcome: str | None = None, charged: bool = True
    ) -> None:
        """Out of RUNNING: its attempt is closed, and its lease with its last trial."""
        assert trial.lease is not None
        attempt, lease = trial.attempts[trial.fence], self.leases[trial.lease]
        lease.left.append(self.now)
        attempt.outcome, attempt.charged = outcome or state, charged
        attempt.slot_seconds = _share(lease)
        if charged:
            used, since = self.use.get(trial.owner, (0.0, self.now))
            left = used * 0.5 ** ((self.now - since) / HALF_LIFE_S)
            self.use[trial.owner] = (left + attempt.slot_seconds, self.now)
        lease.live = len(lease.left) < lease.members
        trial.state, trial.lease, trial.wish = state, None, None

    # What the sweeper does.

    def expired(self) -> list[Trial]:
        """What may be taken back."""
        return [trial for trial in self.trials.values()
                if trial.lease is not None
                and self.leases[trial.lease].expires < self.now]  # fmt: skip

    def take_back(self, trial: Trial) -> None:
        """Its worker is silent."""
        if trial.cancel:
            self.leave(trial, "cancelled", charged=False)
            return
        assert trial.lease is not None
        trial.losses += 1
        if trial.losses >= MAX_LOSSES:
            self.leave(trial, "lost", charged=False)
        else:
            together = self.leases[trial.lease].members > 1
            newest = max((point.fence for point in trial.points), default=0)
            before = [attempt for fence, attempt in trial.attempts.items()
                      if attempt.outcome == "lost" and fence > newest]  # fmt: skip
            delay_s = 20.0 * 2.0 ** (len(before) - 1) if before else 0.0
            self.requeue(trial, "lost", delay_s, alone=together)

    def sums_up(self, ids: Iterable[int]) -> bool:
        """Whether nothing was lost or doubled."""
        return set(ids) == set(self.trials)


def _share(lease: Lease) -> float:
    """What the member that just left used of the slot: it was shared by all who were on it."""
    used, since = 0.0, lease.began
    for number, moment in enumerate(lease.left):
        used += (moment - since) / (lease.members - number)
        since = moment
    return used
