"""Random histories on the real `db/` code and on its model; they must agree after every step."""

from __future__ import annotations

import time

from db.engine import Database
from labpool.catalog import Catalog
from labpool.settings import CHECKOUT
from tests.support.databases import KINDS, fresh_database

BOUNDS = {
    "machine_differences": "== 0",
    "machine_steps_sqlite": "> 0",
    "machine_steps_postgres": "> 0",
}
_STEPS = 50


def figures(quick: bool) -> dict[str, float | int | bool | None]:
    """How many steps were compared on each kind of database, and how many histories differed."""
    found: dict[str, float | int | bool | None] = {}
    differences = 0
    for kind in KINDS:
        begun = time.monotonic()
        with fresh_database(kind) as database:
            try:
                steps = drive(database, examples=10 if quick else 200)
            except AssertionError as error:
                print(f"{kind}: {error}", *getattr(error, "__notes__", ()), sep="\n")
                differences += 1
                steps = 0
        print(f"{kind}: {steps} steps in {time.monotonic() - begun:.0f} s")
        found[f"machine_steps_{kind}"] = steps
    return {**found, "machine_differences": differences}


def drive(
    database: Database, examples: int, *, repeatable: bool = False, shrink: bool = True
) -> int:
    """Run ``examples`` histories; the number of steps compared. Raises what hypothesis found.

    ``repeatable``: the same histories each time. ``shrink``: look for the shortest that differs,
    which takes up to five minutes.
    """
    from hypothesis import HealthCheck, Phase, settings
    from hypothesis.stateful import run_state_machine_as_test

    from tests.faults.last_look import LastLook
    from tests.faults.submitting import plans

    class Machine(LastLook):
        pass

    Machine.database, Machine.plans = database, plans()
    Machine.catalog = Catalog.load([CHECKOUT / "catalog"])
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples, stateful_step_count=_STEPS, deadline=None, database=None,
            derandomize=repeatable, suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
            report_multiple_bugs=shrink,
        ),
    )  # fmt: skip
    return Machine.compared
