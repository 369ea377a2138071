"""The checker of chaos runs, of groups: each harm to what one lease held is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from db import claims, owner
from db.engine import Database
from db.groups import Sizes
from labpool.catalog import Catalog
from tests.faults import checker
from tests.faults.checks import of_groups
from tests.faults.checks.seen import Row, Seen, read
from tests.support.chaos_history import Harm, Harms, first, harmed, str_of
from tests.support.databases import fresh_database
from tests.support.pool import TRAIN, person, slot, step_clock, submitted

TTL_S = 90.0
CRASHED = "The group that it was trained in crashed; it runs alone now. It was killed."
CHECKS = (
    of_groups.members_are_alike, of_groups.whoever_came_apart_is_alone,
    of_groups.seconds_are_split, of_groups.runners_got_whole_groups,
)  # fmt: skip


def lived_through(database: Database, catalog: Catalog, folder: Path) -> Seen:
    """Three of five are trained together, one ends, two crash and run alone; then the others."""
    sweep = {
        "kind": "sweep", "base": TRAIN, "strategy": {"method": "grid"},
        "space": {"seed": [1, 2, 3, 4, 5]}, "fuse": 3,
    }  # fmt: skip
    with database.transaction() as session:
        here = slot(session, catalog)
        ids = submitted(session, catalog, person(session), sweep)
        submitted(session, catalog, person(session), TRAIN)
    sizes = []
    while True:
        with database.transaction() as session:
            found = claims.claim(session, here, TTL_S, Sizes())
        if found is None:
            break
        sizes.append(len(found.trials))
        for number, work in enumerate(found.trials):
            step_clock(database, 10.0)
            with database.transaction() as session:
                if len(sizes) == 1 and number:
                    owner.release(session, work.trial_id, work.fence, CRASHED, alone=True)
                else:
                    owner.succeed(session, work.trial_id, work.fence, {}, {})
    assert sizes == [3, 1, 1, 2, 1]
    seen = read(database.url.render_as_string(hide_password=False), folder, None)
    seen.ran.append({
        "what": "group", "trial": ids[0], "fence": 1, "members": ids[:3], "epochs": [0],
    })  # fmt: skip
    return seen


@pytest.fixture(scope="module")
def clean(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    with fresh_database("sqlite") as database:
        return lived_through(database, catalog, tmp_path_factory.mktemp("groups"))


def _group(seen: Seen) -> list[Row]:
    return [one for one in seen["attempts"] if one["lease_id"] == seen["leases"][0]["id"]]


def _member(seen: Seen) -> Row:
    return seen.trials[_group(seen)[1]["trial_id"]]


def strangers(seen: Seen) -> None:
    stranger = seen["attempts"][-1]
    stranger.update(lease_id=seen["leases"][0]["id"], started_at=seen["leases"][0]["created_at"])


def other_kinds(seen: Seen) -> None:
    _member(seen)["fuse_key"] = "0" * 64


def kinds_that_never_go_together(seen: Seen) -> None:
    for one in _group(seen):
        seen.trials[one["trial_id"]]["fuse_key"] = None


def other_epochs(seen: Seen) -> None:
    _group(seen)[1]["resumed_epoch"] = 3


def a_late_comer(seen: Seen) -> None:
    _group(seen)[1]["started_at"] += 1


def a_trial_twice(seen: Seen) -> None:
    seen["attempts"].append({**_group(seen)[1], "fence": 9, "slot_seconds": 0.0})


def more_than_wanted(seen: Seen) -> None:
    first(seen["experiments"], id=seen["leases"][0]["experiment_id"])["spec"]["fuse"] = 2


def together_again(seen: Seen) -> None:
    crashed = _group(seen)[1]
    again = next(
        one for one in seen["attempts"]
        if one["trial_id"] == crashed["trial_id"] and one["fence"] > crashed["fence"]
    )  # fmt: skip
    later = first(seen["attempts"], outcome="succeeded", trial_id=crashed["trial_id"] + 2)
    again.update(lease_id=later["lease_id"], started_at=later["started_at"])


def not_marked(seen: Seen) -> None:
    _member(seen)["alone"] = False


def each_is_charged_all(seen: Seen) -> None:
    for one in _group(seen):
        one["slot_seconds"] = one["ended_at"] - one["started_at"]


def a_runner_with_strangers(seen: Seen) -> None:
    seen.ran[-1]["members"] = [*seen.ran[-1]["members"], 999]


def a_runner_out_of_step(seen: Seen) -> None:
    seen.ran[-1]["epochs"] = [0, 2]


HARMS: Harms = tuple(
    (harm, "group")
    for harm in (
        strangers, other_kinds, kinds_that_never_go_together, other_epochs, a_late_comer,
        a_trial_twice, more_than_wanted, together_again, not_marked, each_is_charged_all,
        a_runner_with_strangers, a_runner_out_of_step,
    )
)  # fmt: skip


def test_it_works(database: Database, catalog: Catalog, tmp_path: Path) -> None:
    seen = lived_through(database, catalog, tmp_path)
    assert checker.judge(seen, CHECKS) == []
    assert of_groups.took_place(seen) == {"groups": 2, "groups_parted": 1}


@pytest.mark.parametrize(("harm", "invariant"), HARMS, ids=str_of)
def test_a_harm_is_named(clean: Seen, harm: Harm, invariant: str) -> None:
    assert checker.judge(clean, CHECKS) == []
    found = checker.judge(harmed(clean, harm), CHECKS)
    assert {violation.invariant for violation in found} == {invariant}


def test_all_of_them_are_asked_of_a_run() -> None:
    assert set(CHECKS) <= set(checker.AT_THE_END)
