"""The limits on a runner, on a clock that the test moves."""

from __future__ import annotations

import pytest

from worker.guards import MEBIBYTE, Breach, Guards


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guards(clock: Clock) -> Guards:
    """A ready runner with trial 7 at work: 100 s in all, 20 s without progress, 40 s at first."""
    guards = Guards(clock, memory_limit_mb=500, ready_limit_s=60.0)
    guards.ready()
    guards.add(7, time_limit_s=100.0, stall_limit_s=20.0, first_progress_s=40.0)
    guards.begin(7)
    return guards


def kind(breach: Breach | None) -> str | None:
    return None if breach is None else breach.reason_kind


def test_nothing_is_wrong_at_first(guards: Guards) -> None:
    assert guards.check(0) is None


def test_time_limit(guards: Guards, clock: Clock) -> None:
    for _ in range(9):
        clock.now_s += 10
        guards.progressed(7)
        assert guards.check(0) is None
    clock.now_s += 10
    breach = guards.check(0)
    assert breach == Breach(
        "kill", "time_limit", "The trial ran past its time limit of 100 s.", trial=7
    )


def test_earlier_attempts_have_used_some_of_the_time(clock: Clock) -> None:
    guards = Guards(clock)
    guards.ready()
    guards.add(7, time_limit_s=100.0, stall_limit_s=1000.0, seconds_used=95.0)
    guards.begin(7)
    clock.now_s += 5
    assert kind(guards.check(0)) == "time_limit"


def test_the_first_batch_has_longer_than_the_stall_limit(guards: Guards, clock: Clock) -> None:
    clock.now_s += 15
    guards.progressed(7, first_batch_done=False)
    clock.now_s += 39
    assert guards.check(0) is None
    clock.now_s += 1
    assert kind(guards.check(0)) == "stall_limit"


def test_after_progress_the_stall_limit_holds(guards: Guards, clock: Clock) -> None:
    guards.progressed(7)
    clock.now_s += 19
    assert guards.check(0) is None
    clock.now_s += 1
    breach = guards.check(0)
    assert breach is not None
    assert breach.reason == "The trial made no progress for 20 s."


def test_silence_of_our_own_making_is_no_stall(guards: Guards, clock: Clock) -> None:
    guards.progressed(7)
    clock.now_s += 19
    guards.excuse()
    clock.now_s += 19
    assert guards.check(0) is None


def test_time_begins_when_the_runner_is_ready(clock: Clock) -> None:
    guards = Guards(clock, ready_limit_s=60.0)
    guards.add(7, time_limit_s=10.0, stall_limit_s=1000.0)
    guards.begin(7)
    clock.now_s += 59
    assert guards.check(0) is None
    guards.ready()
    clock.now_s += 9
    assert guards.check(0) is None
    clock.now_s += 1
    assert kind(guards.check(0)) == "time_limit"


def test_a_runner_must_become_ready(clock: Clock) -> None:
    guards = Guards(clock, ready_limit_s=60.0)
    clock.now_s += 61
    breach = guards.check(0)
    assert (kind(breach), breach and breach.trial) == ("not_ready", None)


def test_memory_limit_names_the_figures(guards: Guards) -> None:
    assert guards.check(500 * MEBIBYTE) is None
    breach = guards.check(1501 * MEBIBYTE)
    assert breach is not None
    assert (breach.act, breach.reason_kind) == ("kill", "out_of_memory")
    assert "1,501 MiB" in breach.reason
    assert "500 MiB" in breach.reason


def test_a_lease_that_is_not_renewed_suspends_once(guards: Guards, clock: Clock) -> None:
    guards.renew_lease(clock.now_s + 12)
    clock.now_s += 11
    assert guards.check(0) is None
    clock.now_s += 1
    breach = guards.check(0)
    assert breach is not None
    assert (breach.act, breach.reason_kind) == ("suspend", "lease")
    assert guards.check(0) is None


def test_time_stands_still_for_a_suspended_trial(guards: Guards, clock: Clock) -> None:
    guards.progressed(7)
    guards.renew_lease(clock.now_s + 10)
    clock.now_s += 10
    assert kind(guards.check(0)) == "lease"
    clock.now_s += 300
    assert guards.check(0) is None
    assert guards.renew_lease(clock.now_s + 10)
    clock.now_s += 9
    assert guards.check(0) is None
    assert not guards.renew_lease(clock.now_s + 1000)
    clock.now_s += 1
    assert kind(guards.check(0)) == "stall_limit"


def test_a_suspended_runner_may_still_not_hold_too_much(guards: Guards, clock: Clock) -> None:
    guards.renew_lease(clock.now_s)
    assert kind(guards.check(0)) == "lease"
    assert kind(guards.check(501 * MEBIBYTE)) == "out_of_memory"


def test_a_cancelled_trial_has_its_grace(guards: Guards, clock: Clock) -> None:
    guards.cancel(7, grace_s=10.0)
    clock.now_s += 5
    guards.cancel(7, grace_s=10.0)
    clock.now_s += 4
    assert guards.check(0) is None
    clock.now_s += 1
    assert kind(guards.check(0)) == "cancelled"


def test_a_trial_that_is_answered_has_no_limits(guards: Guards, clock: Clock) -> None:
    guards.remove(7)
    clock.now_s += 10_000
    assert guards.check(0) is None


def test_nothing_can_be_lost_between_leases(guards: Guards, clock: Clock) -> None:
    guards.renew_lease(clock.now_s + 5)
    guards.end_lease()
    clock.now_s += 10_000
    assert guards.check(0) is None


def test_the_end_of_a_lease_tells_of_a_runner_held_still(guards: Guards, clock: Clock) -> None:
    guards.renew_lease(clock.now_s + 5)
    assert not guards.end_lease()
    guards.renew_lease(clock.now_s + 5)
    clock.now_s += 5
    assert kind(guards.check(0)) == "lease"
    assert guards.is_suspended
    assert guards.end_lease()
    assert not guards.is_suspended
    assert not guards.renew_lease(clock.now_s + 5)


def test_only_trials_at_work_run_against_time(guards: Guards, clock: Clock) -> None:
    guards.add(8, time_limit_s=1.0, stall_limit_s=1.0)
    clock.now_s += 10
    assert guards.check(0) is None
    guards.begin(8)
    clock.now_s += 1
    breach = guards.check(0)
    assert (kind(breach), breach and breach.trial) == ("time_limit", 8)


def test_a_machine_that_slept_past_its_lease_holds_its_runner_still() -> None:
    clock, lease_clock = Clock(), Clock()
    guards = Guards(clock, lease_clock=lease_clock)
    guards.ready()
    guards.add(1, time_limit_s=100.0, stall_limit_s=50.0)
    guards.begin(1)
    guards.progressed(1)
    guards.renew_lease(lease_clock() + 72.0)
    assert guards.check(0) is None
    lease_clock.now_s += 3600.0
    breach = guards.check(0)
    assert breach is not None
    assert (breach.act, breach.reason) == ("suspend", "The lease was not renewed in time.")
    # The hour is no time of the trial's.
    assert guards.renew_lease(lease_clock() + 72.0)
    assert guards.check(0) is None


def test_members_of_a_group_share_its_time(clock: Clock) -> None:
    """Each may use its limit of its own share, and all whose time is over are named."""
    guards = Guards(clock)
    guards.ready()
    for trial, limit_s in ((1, 10.0), (2, 10.0), (3, 30.0)):
        guards.add(trial, limit_s, stall_limit_s=500.0, members=3)
        guards.begin(trial)
    clock.now_s += 29.0
    assert guards.check(0) is None
    assert guards.over_time() == {}
    clock.now_s += 1.0
    breach = guards.check(0)
    assert kind(breach) == "time_limit"
    assert guards.over_time() == dict.fromkeys((1, 2), "The trial ran past its time limit of 10 s.")
