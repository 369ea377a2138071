"""The checker of chaos runs: clean histories pass on both databases, and it judges by itself."""

from __future__ import annotations

from pathlib import Path

from db.engine import Database
from labpool.catalog import Catalog
from tests.contracts import (
    test_chaos_of_groups,
    test_chaos_of_log,
    test_chaos_of_rows,
    test_chaos_of_runs,
    test_chaos_of_searches,
    test_chaos_of_turns,
    test_chaos_of_upkeep,
)
from tests.faults import checker
from tests.faults.checks import of_runs
from tests.support.chaos_history import lived_through

HARMS = (
    *test_chaos_of_log.HARMS,
    *test_chaos_of_rows.HARMS,
    *test_chaos_of_runs.HARMS,
    *test_chaos_of_turns.HARMS,
    *test_chaos_of_upkeep.HARMS,
    *test_chaos_of_groups.HARMS,
    *test_chaos_of_searches.HARMS,
)


def test_a_clean_history_passes(database: Database, catalog: Catalog, tmp_path: Path) -> None:
    seen = lived_through(database, catalog, tmp_path)
    states = sorted(trial["state"] for trial in seen["trials"])
    assert states == ["cancelled"] * 2 + ["failed"] + ["succeeded"] * 3
    assert checker.judge(seen) == []


def test_every_promise_has_a_harm() -> None:
    promises = {f"I{number}" for number in range(1, 18)}
    promises |= {"lost", "charge", "cap", "drain", "quarantine", "retries", "group", "search"}
    assert promises == {invariant for _, invariant in HARMS}


def test_the_checker_shares_no_code_with_the_writers() -> None:
    ours = ("api", "db", "deploy", "labpool", "worker")
    for path in (Path(checker.__file__), *Path(of_runs.__file__).parent.glob("*.py")):
        for line in path.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[:1] in (["import"], ["from"]):
                assert words[1].split(".")[0] not in ours, f"{path.name}: {line}"
