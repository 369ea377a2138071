"""Sweeps over launch parameters as an autotuner: its board has the best launch of each point."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from db import claims
from db.engine import Database
from db.models import Attempt
from labpool.catalog import BoardEntry, Catalog
from labpool.errors import CatalogError
from labpool.planning import plan
from tests.support import pool
from tests.support.api import Api, claimed, succeeded
from tests.support.runners import CATALOG, CHECKOUT

pytest_plugins = ["tests.support.api_fixtures"]
SWEEP: dict[str, Any] = {
    "kind": "sweep",
    "base": {"kind": "benchmark", "kernel": "saxpy", "device": "gpu"},
    "strategy": {"method": "grid"},
    "space": {"launch.threads": [64, 128, 256], "sizes.n": [1000, 2000]},
}
# By threads and numbers: the middle launch is best of the small size, the last of the large.
REACHED = {
    (64, 1000): 30.0, (128, 1000): 50.0, (256, 1000): 40.0,
    (64, 2000): 60.0, (128, 2000): 70.0, (256, 2000): 80.0,
}  # fmt: skip


def slot_of(api: Api, device: str = "gpu") -> claims.SlotIdentity:
    with api.database.transaction() as session:
        return pool.slot(session, api.catalog, device=device)


def named(database: Database, trial: claims.ClaimedTrial, device_name: str) -> None:
    """As if it had run on a device of this name."""
    with database.transaction() as session:
        row = session.query(Attempt).filter_by(trial_id=trial.trial_id, fence=trial.fence).one()
        row.environment = {**(row.environment or {}), "device_name": device_name}


def tuned(api: Api, device_name: str, shift: float = 0.0, **changes: Any) -> None:
    """A sweep done on a GPU of this name."""
    _, trials = api.submitted({**SWEEP, **changes})
    taker = slot_of(api)
    for _ in trials:
        trial = claimed(api, taker)
        spec = trial.spec
        named(api.database, trial, device_name)
        reached = REACHED[spec["launch"]["threads"], spec["sizes"]["n"]] + shift
        succeeded(api, trial, percent_of_peak=reached, median_ms=1.0)


def rows_of(api: Api) -> list[dict[str, Any]]:
    found = api.owner.get("/api/v1/boards/launches").get_json()
    assert found["board"]["per"] == ["kernel", "sizes", "dtype", "device_name"]
    rows: list[dict[str, Any]] = found["rows"]
    return rows


def best(row: dict[str, Any]) -> tuple[Any, ...]:
    spec = row["spec"]
    return row["device_name"], spec["sizes"]["n"], spec["launch"]["threads"], row["value"]


def test_it_works(api: Api) -> None:
    tuned(api, "One")
    rows = rows_of(api)
    assert [best(row) for row in rows] == [("One", 2000, 256, 80.0), ("One", 1000, 128, 50.0)]
    assert [(row["rank"], row["tried"]) for row in rows] == [(1, 3), (2, 3)]
    page = api.browser().get("/boards/launches").text
    assert page.count("the best of 3 tried") == 2 and "<td>One</td>" in page
    assert "a row for each kernel, sizes, dtype and device name" in page


def test_each_gpu_and_type_has_a_best_of_its_own(quick_api: Api) -> None:
    tuned(quick_api, "One")
    tuned(quick_api, "Two", shift=5.0)
    tuned(quick_api, "One", shift=-1.0, base={**SWEEP["base"], "dtype": "float64"})
    assert [best(row) for row in rows_of(quick_api)] == [
        ("Two", 2000, 256, 85.0), ("One", 2000, 256, 80.0), ("One", 2000, 256, 79.0),
        ("Two", 1000, 128, 55.0), ("One", 1000, 128, 50.0), ("One", 1000, 128, 49.0),
    ]  # fmt: skip


def test_a_later_sweep_that_finds_better_takes_the_place(quick_api: Api) -> None:
    tuned(quick_api, "One")
    variants = {"variant": ["wide"], **SWEEP["space"]}
    tuned(quick_api, "One", shift=2.0, space=variants)
    rows = rows_of(quick_api)
    assert [row["spec"]["variant"] for row in rows] == ["wide", "wide"]
    assert [row["tried"] for row in rows] == [6, 6]


def test_the_launch_is_told_in_each_row_even_where_one_is_best_of_all(quick_api: Api) -> None:
    _, trials = quick_api.submitted(SWEEP)
    taker = slot_of(quick_api)
    for _ in trials:
        trial = claimed(quick_api, taker)
        reached = float(trial.spec["launch"]["threads"])
        succeeded(quick_api, trial, percent_of_peak=reached / 4, median_ms=1.0)
    page = quick_api.browser().get("/boards/launches").text
    rows = re.findall(r'<tr id="row-.*?</tr>', page, re.DOTALL)
    assert len(rows) == 2
    assert all(">threads=256<" in row and ">variant=one_each<" in row for row in rows)


def test_a_cpu_has_no_launch_to_choose(quick_api: Api) -> None:
    quick_api.submitted({"kind": "benchmark", "kernel": "saxpy", "device": "cpu"})
    succeeded(quick_api, claimed(quick_api, slot_of(quick_api, "cpu")), percent_of_peak=90.0)
    assert rows_of(quick_api) == []


def test_the_example_is_a_sweep_that_fills_it(quick_api: Api) -> None:
    example = CATALOG.boards["launches"].example
    assert f"labpool submit {example}" in quick_api.browser().get("/boards/launches").text
    trials = plan(yaml.safe_load((CHECKOUT / example).read_text()), CATALOG).trials
    assert {trial.device for trial in trials} == {"gpu"}
    assert len({trial.spec["launch"]["threads"] for trial in trials}) > 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ('per = ["speed"]', "per.0"),
        ('per = ["sizes", "sizes"]', "per: a field stands there twice"),
        ('per = ["dataset"]', "per: dataset is nothing that a benchmark spec has"),
        ('per = ["sizes"]\nrule = "all"', "rule: a board with per"),
        ('example = "/etc/passwd"', "example"),
    ],
)
def test_a_mistake_in_the_board_is_named(tmp_path: Path, changes: str, message: str) -> None:
    (tmp_path / "boards").mkdir()
    (tmp_path / "boards" / "one.toml").write_text(
        'title = "One"\nsummary = "A board."\nkind = "benchmark"\nmetric = "gb_s"\n'
        f'direction = "maximize"\n{changes}\n'
    )
    with pytest.raises(CatalogError, match=message):
        Catalog.load([tmp_path])


def test_boards_of_configurations_stay_as_they_were() -> None:
    others = [board for board in CATALOG.boards.values() if board.name != "launches"]
    assert others and all(isinstance(board, BoardEntry) and not board.per for board in others)
