"""A look now and then, in the midst of a chaos run, at what is true at every commit."""

from __future__ import annotations

import threading
import time
from typing import Self

from tests.faults import checker
from tests.faults.checks import of_events, of_groups, of_rows, of_searches, of_upkeep
from tests.faults.checks.seen import Seen, Violation, read_tables

TABLES = (
    "users", "experiments", "trials", "attempts", "leases", "slots", "events", "quarantines",
    "sweep_reports",
)  # fmt: skip
CHECKS = (
    of_events.ends_are_final,
    of_events.fences_only_rise,
    of_events.counts_add_up,
    of_events.a_replay_gives_the_state,
    of_rows.running_means_one_live_lease,
    of_rows.one_live_lease_a_slot,
    of_rows.losses_are_limited,
    of_rows.waste_is_not_charged,
    of_upkeep.quarantined_devices_get_nothing,
    of_groups.members_are_alike,
    of_groups.whoever_came_apart_is_alone,
    of_searches.points_are_made_once,
    of_searches.rungs_are_climbed_one_by_one,
)
LOOK_EVERY_S = 2.0


class Looker:
    """A thread that checks now and then, in the midst of it, what is true at every commit."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="looker", daemon=True)
        self.violations: list[Violation] = []
        self.looks = 0
        self.missed: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(30.0)

    def _run(self) -> None:
        pause_s = LOOK_EVERY_S
        while not self._stop.wait(pause_s):
            begun = time.monotonic()
            try:
                tables = read_tables(self._url, TABLES)
            except Exception as error:  # noqa: BLE001 - a database that is away, in whatever form
                self.missed.append(str(error))
                continue
            found = checker.judge(Seen(tables), CHECKS)
            known = {str(violation) for violation in self.violations}
            self.violations += [one for one in found if str(one) not in known]
            self.looks += 1
            pause_s = max(LOOK_EVERY_S, 10 * (time.monotonic() - begun))
