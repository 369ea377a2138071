"""A runner that is held still for want of a heartbeat is let go on, or ended; never forgotten."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from db.engine import Database
from db.states import TrialState
from labpool.catalog import Catalog
from tests.support.fake_runner import seed_of, well
from tests.support.slots import behaving, running_pool, settings_for, submit, wait_for_end
from worker.guards import Guards
from worker.lease import LeaseKeeper
from worker.recording import Recorder
from worker.watch import Watch


def test_one_held_while_its_last_answer_was_recorded_harms_no_other_trial(
    database: Database, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    succeed = Recorder.succeed
    trials = [submit(database, catalog, behaving(seed_of(well)))[0] for _ in range(3)]

    def slowly(recorder: Recorder, *arguments: Any) -> None:
        if recorder.trial == trials[0]:
            time.sleep(1.5)
        succeed(recorder, *arguments)

    # Long before the database's lease ends, so that nobody takes the trial back.
    monkeypatch.setattr(LeaseKeeper, "_deadline", lambda _keeper, began_s: began_s + 0.7)
    monkeypatch.setattr(Recorder, "succeed", slowly)
    with running_pool(settings_for(database, tmp_path)):
        for done in wait_for_end(database, *trials):
            assert done.state is TrialState.SUCCEEDED, done.reason
            assert done.fence == 1


class HeldProcess:
    """A runner whose lease is renewed in the very moment in which it is to be held still."""

    pid = os.getpid()

    def __init__(self, guards: Guards) -> None:
        self.guards = guards
        self.socket, self.theirs = socket.socketpair()
        self.done: list[str] = []

    def has_ended(self) -> bool:
        return "suspend" in self.done

    def suspend(self) -> None:
        # As the slot's thread would, between the watch's look and its signal.
        if self.guards.renew_lease(1e9):
            self.resume()
        self.done.append("suspend")

    def resume(self) -> None:
        self.done.append("resume")

    def kill(self) -> None:
        self.done.append("kill")


def test_a_lease_renewed_at_the_same_moment_leaves_nobody_held() -> None:
    guards = Guards(lambda: 100.0)
    guards.renew_lease(50.0)
    process = HeldProcess(guards)
    watch = Watch(process, guards)  # type: ignore[arg-type]
    watch.join(30.0)
    assert process.done == ["resume", "suspend", "resume"]
    process.socket.close()
    process.theirs.close()
