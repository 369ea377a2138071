"""The checker of chaos runs, of sweeps that decide as they go: each harm is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.engine import Database
from labpool.catalog import Catalog
from tests.faults import checker
from tests.faults.checks import of_searches
from tests.faults.checks.seen import Row, Seen, read
from tests.faults.searches import left_undone
from tests.support.chaos_history import Harm, Harms, first, harmed, str_of
from tests.support.databases import fresh_database
from tests.support.searched import ASHA, Life

CHECKS = (
    of_searches.points_are_made_once, of_searches.every_point_is_made,
    of_searches.rungs_are_climbed_one_by_one, of_searches.nobody_trains_past_its_rung,
    of_searches.the_best_go_on,
)  # fmt: skip


def lived_through(database: Database, catalog: Catalog, folder: Path) -> Seen:
    Life(database, catalog, ASHA).go()
    with database.snapshot() as session:
        assert list(left_undone(session)) == []
    return read(database.url.render_as_string(hide_password=False), folder, None)


@pytest.fixture(scope="module")
def clean(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    with fresh_database("sqlite") as database:
        return lived_through(database, catalog, tmp_path_factory.mktemp("searches"))


def _best(seen: Seen) -> Row:
    return first(seen["trials"], state="succeeded")


def a_point_twice(seen: Seen) -> None:
    seen["trials"].append({**_best(seen), "id": 900})


def a_point_left_out(seen: Seen) -> None:
    seen["trials"].remove(first(seen["trials"], point=3))


def more_points_than_wanted(seen: Seen) -> None:
    seen["trials"].append({**first(seen["trials"], point=3), "id": 900, "point": 4})


def promoted_twice(seen: Seen) -> None:
    promotion = first(seen["events"], kind="promoted")
    seen["events"].append({**promotion, "id": 900})


def promoted_by_nobody(seen: Seen) -> None:
    seen["events"].remove(first(seen["events"], kind="promoted"))


def promoted_before_it_came(seen: Seen) -> None:
    best = _best(seen)["id"]
    for row in [row for row in seen["sweep_reports"] if row["trial_id"] == best]:
        seen["sweep_reports"].remove(row)


def trained_past_its_rung(seen: Seen) -> None:
    last = first(seen["trials"], state="pruned", rung=0)
    seen["sweep_reports"].append({"trial_id": last["id"], "epoch": 2, "value": 0.0})


def the_best_was_left_behind(seen: Seen) -> None:
    left = first(seen["trials"], state="pruned", rung=0)
    first(seen["sweep_reports"], trial_id=left["id"], epoch=1)["value"] = 2.0


HARMS: Harms = tuple(
    (harm, "search")
    for harm in (
        a_point_twice, a_point_left_out, more_points_than_wanted, promoted_twice,
        promoted_by_nobody, promoted_before_it_came, trained_past_its_rung,
        the_best_was_left_behind,
    )
)  # fmt: skip


def test_it_works(database: Database, catalog: Catalog, tmp_path: Path) -> None:
    seen = lived_through(database, catalog, tmp_path)
    assert checker.judge(seen, CHECKS) == []
    assert of_searches.took_place(seen) == {"searched_sweeps": 1, "promotions": 3, "prunings": 3}


@pytest.mark.parametrize(("harm", "invariant"), HARMS, ids=str_of)
def test_a_harm_is_named(clean: Seen, harm: Harm, invariant: str) -> None:
    assert checker.judge(clean, CHECKS) == []
    found = checker.judge(harmed(clean, harm), CHECKS)
    assert {violation.invariant for violation in found} == {invariant}


def test_all_of_them_are_asked_of_a_run() -> None:
    assert set(CHECKS) <= set(checker.AT_THE_END)
