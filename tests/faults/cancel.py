"""How soon a cancel is heeded: by a training run, and by a runner stuck in a C call.

Times go from the request to the answer that calls the trial cancelled, with the settings that
people get. The stuck runner sits in a C function that holds the interpreter's lock, so that no
thread of it can hear anything, and it has started a process of its own: it is killed after its
grace, with all of its group. Without a broker a cancel waits for the next heartbeat on top.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploy.process_table import ProcessId, descendants, is_alive
from labpool.settings import CHECKOUT
from tests.faults.service import NO_BROKER, Service, percentile, service
from tests.support.databases import KINDS, fresh_database
from tests.support.processes import wait_until

TRIALS, TRIALS_QUICK, UNHEARD = 20, 2, 3
KINDS_QUICK = ("sqlite",)
HOSTILE = CHECKOUT / "tests" / "support" / "catalog"
SETTINGS = {"LABPOOL_SLOTS": "1", "LABPOOL_CATALOG_PATH": str(HOSTILE)}
ENDLESS = {"kind": "train", "dataset": "digits", "epochs": 100_000}
MODELS = ("softmax", "lenet5")
STUCK = {**ENDLESS, "model": "hostile", "parameters": {"how": "children"}}
PATIENCE_S = 120.0
# SIGKILL takes milliseconds; the kernel gives much memory back in seconds.
GONE_S = 5.0

BOUNDS = {"cancelled": "== to_cancel", "cancel_left_over": "== 0"}
FULL_BOUNDS = {"cancel_s_p50": "<= 2", "cancel_stuck_s": "<= 25"}


@dataclass
class Cancels:
    """Seconds from a cancel to its end, on one database."""

    heard: list[float] = field(default_factory=list)
    unheard: list[float] = field(default_factory=list)
    stuck: list[float] = field(default_factory=list)
    left_over: int = 0

    @property
    def number(self) -> int:
        """How many there were."""
        return len(self.heard) + len(self.unheard) + len(self.stuck)


def figures(quick: bool) -> dict[str, float | int | bool | None]:
    """Seconds, and the processes left of runners that were stuck. Raises when one does not end.

    Times without a suffix are those of the worse database.
    """
    trials = TRIALS_QUICK if quick else TRIALS
    kinds = KINDS_QUICK if quick else KINDS
    found = {kind: measured(kind, trials, 0 if quick else UNHEARD) for kind in kinds}
    of_each = trials + 1 + (0 if quick else UNHEARD + 1)
    medians = {kind: round(percentile(each.heard, 0.5), 2) for kind, each in found.items()}
    stuck = {kind: round(max(each.stuck), 2) for kind, each in found.items()}
    unheard = [seconds for each in found.values() for seconds in each.unheard]
    return {
        "cancelled": sum(each.number for each in found.values()),
        "to_cancel": of_each * len(kinds),
        "cancel_left_over": sum(each.left_over for each in found.values()),
        "cancel_s_p50": max(medians.values()),
        **{f"cancel_s_p50_{kind}": median for kind, median in medians.items()},
        "cancel_s_max": round(max(max(each.heard) for each in found.values()), 2),
        "cancel_unheard_s_max": round(max(unheard), 2) if unheard else None,
        "cancel_stuck_s": max(stuck.values()),
        **{f"cancel_stuck_s_{kind}": seconds for kind, seconds in stuck.items()},
    }


def measured(kind: str, trials: int, unheard: int) -> Cancels:
    """Cancels with a broker on one database, and so many ``unheard``, without one."""
    found = Cancels()
    print(f"  {kind}")
    with _idle_slot(kind) as running:
        found.heard = [cancel_running(running, one) for one in range(trials)]
        _stuck(running, found)
    if unheard:
        with _idle_slot(kind, LABPOOL_BROKER_URL=NO_BROKER) as running:
            found.unheard = [cancel_running(running, one) for one in range(unheard)]
            _stuck(running, found)
    return found


def _stuck(running: Service, found: Cancels) -> None:
    seconds, left_over = cancel_stuck(running)
    found.stuck.append(seconds)
    found.left_over += left_over


def cancel_running(running: Service, number: int) -> float:
    """Seconds until a run under way was cancelled; models take turns."""
    spec = {**ENDLESS, "model": MODELS[number % len(MODELS)], "seed": number}
    [trial_id] = running.submit(spec)
    wait_until(lambda: _trains(running, trial_id), PATIENCE_S, "a run under way", poll_s=0.1)
    # Cancels come at any moment between two heartbeats and within an epoch.
    time.sleep(0.37 * (number % 10))
    seconds = _cancel(running, trial_id)
    print(f"  {spec['model']} cancelled after {seconds:.2f} s")
    return seconds


def cancel_stuck(running: Service) -> tuple[float, int]:
    """Seconds until a stuck runner's trial was cancelled, and how many processes are left of it."""
    worker = running.worker
    assert worker is not None
    [trial_id] = running.submit(STUCK)
    wait_until(
        lambda: bool(_sleepers(worker.pid)),
        PATIENCE_S,
        "a runner with a process of its own",
        poll_s=0.1,
    )
    # The call that holds the lock comes right after it.
    time.sleep(0.5)
    # Not the slot's standby, which is to live on.
    session = os.getsid(_sleepers(worker.pid)[0].pid)
    family = [one for one in descendants(worker.pid) if _session(one) == session]
    seconds = _cancel(running, trial_id)
    deadline_s = time.monotonic() + GONE_S
    while any(map(is_alive, family)) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    left_over = sum(map(is_alive, family))
    print(f"  stuck: cancelled after {seconds:.2f} s; {left_over} of {len(family)} processes left")
    return seconds, left_over


def _sleepers(worker: int) -> list[ProcessId]:
    return [process for process in descendants(worker) if "sleep" in _command(process)]


def _session(process: ProcessId) -> int | None:
    try:
        return os.getsid(process.pid)
    except ProcessLookupError:
        return None


@contextmanager
def _idle_slot(kind: str, **settings: str) -> Iterator[Service]:
    with (
        tempfile.TemporaryDirectory(prefix="lp-") as folder,
        fresh_database(kind) as database,
        service(Path(folder), database, SETTINGS) as running,
    ):
        running.start_worker(**settings)
        running.wait_ready(1)
        yield running


def _cancel(running: Service, trial_id: int) -> float:
    began_s = time.monotonic()
    running.http.post(f"/api/v1/trials/{trial_id}/cancel").raise_for_status()
    wait_until(
        lambda: running.trial(trial_id)["state"] == "cancelled", PATIENCE_S, "a cancelled trial",
        poll_s=0.02,
    )  # fmt: skip
    return time.monotonic() - began_s


def _trains(running: Service, trial_id: int) -> bool:
    """Whether an epoch is done. Its log knows, and what the API shows comes with a heartbeat."""
    scratch = Path(running.environment["LABPOOL_DATA_DIR"]) / "scratch"
    logs = scratch.glob(f"*/*/{trial_id}-*/log.txt")
    return any("\nepoch " in f"\n{log.read_text(errors='replace')}" for log in logs)


def _command(process: ProcessId) -> str:
    try:
        return Path(f"/proc/{process.pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""
