"""A board over seeds on its page, in the API and as CSV."""

from __future__ import annotations

import csv
import io
import re

import pytest

from tests.support.api import TRAIN, Api, claimed, succeeded
from tests.support.bulk import statements
from tests.support.pool import slot

pytest_plugins = ["tests.support.api_fixtures"]


@pytest.fixture
def seeded(api: Api) -> Api:
    """Trials 1 to 3 are one row above trial 4, trials 5 and 6 one far below."""
    with api.database.transaction() as session:
        taker = slot(session, api.catalog)
    plans = [
        ({**TRAIN, "repeat": 3}, [0.98, 0.981, 0.982]),
        ({**TRAIN, "name": "=1+1", "learning_rate": 0.5}, [0.979]),
        ({**TRAIN, "repeat": 2, "epochs": 9}, [0.5, 0.501]),
    ]
    for spec, values in plans:
        api.submitted(spec)
        for value in values:
            succeeded(api, claimed(api, taker), value)
    return api


def lines_of(page: str) -> list[str]:
    """The board's lines in order: a row by its trial, a baseline by its name."""
    body = page.partition('data-list="board"')[2].partition("<tbody>")[2].partition("</tbody>")[0]
    found = re.findall(r'<tr id="row-(\d+)"|<tr class="baseline">.*?<th scope="row">(.+?) <', body)
    return [trial or name for trial, name in found]


def test_it_works(seeded: Api) -> None:
    rows = seeded.owner.get("/api/v1/boards/digits").get_json()["rows"]

    assert [row["rank"] for row in rows] == [1, 2, 3]
    bands = [(row["band"]["first"], row["band"]["last"]) for row in rows]
    assert bands == [(1, 2), (1, 2), (3, 3)]
    assert [row["band"]["borrowed"] for row in rows] == [False, True, False]
    assert [row["seeds"] for row in rows] == [[0, 1, 2], [0], [0, 1]]
    assert rows[0]["trial_ids"] == [1, 2, 3]
    assert rows[0]["half_width"] == pytest.approx(4.302653 * 0.001 / 3**0.5, rel=1e-5)
    assert (rows[1]["half_width"], rows[1]["deviation"]) == (None, None)
    assert rows[0]["seconds"] >= 0


def test_the_page_shows_bands_intervals_and_baselines(seeded: Api) -> None:
    page = seeded.browser().get("/boards/digits").text
    first = page.partition('<tr id="row-3"')[2].partition("</tr>")[0]
    assert ">1–2</span>" in first
    assert "0.9810 ± 0.0025" in first
    assert "3 seeds" in first
    assert "seed=" not in first
    second = page.partition('<tr id="row-4"')[2].partition("</tr>")[0]
    assert "1 seed<" in second
    assert 'title="spread unknown"' in second
    assert lines_of(page) == ["3", "4", "Nearest neighbour", "Logistic regression", "6"]
    assert page.count('class="dot ') == 3
    assert 'href="/api/v1/boards/digits/csv"' in page


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("-rank", ["6", "Logistic regression", "Nearest neighbour", "4", "3"]),
        ("value", ["6", "Logistic regression", "Nearest neighbour", "4", "3"]),
        ("-value", ["3", "4", "Nearest neighbour", "Logistic regression", "6"]),
        ("when", ["3", "4", "6", "Nearest neighbour", "Logistic regression"]),
    ],
)
def test_baselines_stand_where_their_value_does(seeded: Api, query: str, wanted: list[str]) -> None:
    assert lines_of(seeded.browser().get(f"/boards/digits?sort={query}").text) == wanted


def test_an_empty_board_shows_its_baselines_and_how_to_fill_it(quick_api: Api) -> None:
    page = quick_api.browser().get("/boards/mnist").text
    assert lines_of(page) == [
        "LeNet-5, distorted training set", "LeNet-5", "Linear classifier",
    ]  # fmt: skip
    assert "dataset: mnist/" in page
    [board] = [
        board for board in quick_api.owner.get("/api/v1/boards").get_json()["boards"]
        if board["name"] == "mnist"
    ]  # fmt: skip
    assert [item["value"] for item in board["baselines"]] == [0.992, 0.9905, 0.88]
    assert all(item["source"] for item in board["baselines"])


def test_single_runs_have_ranks_and_the_page_says_what_they_are(quick_api: Api) -> None:
    for rate, value in ((0.1, 0.8), (0.2, 0.9)):
        quick_api.submitted({**TRAIN, "learning_rate": rate})
        succeeded(quick_api, claimed(quick_api), value)
    rows = quick_api.owner.get("/api/v1/boards/digits").get_json()["rows"]
    assert [(row["rank"], row["band"]) for row in rows] == [(1, None), (2, None)]
    page = quick_api.browser().get("/boards/digits").text
    assert "No row has more than one seed" in page


def test_csv_has_every_row_and_no_formula(seeded: Api) -> None:
    answer = seeded.owner.get("/api/v1/boards/digits/csv")
    assert answer.mimetype == "text/csv"
    assert "digits.csv" in answer.headers["Content-Disposition"]
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(line["rank"], line["first"], line["last"], line["seeds"]) for line in lines[:3]] == [
        ("1", "1", "2", "3"), ("2", "1", "2", "1"), ("3", "3", "3", "2"),
    ]  # fmt: skip
    assert lines[1]["experiment"] == "'=1+1"
    assert (lines[1]["half_width"], lines[0]["varied"]) == ("", "{}")
    assert [line["baseline"] for line in lines[3:]] == ["Nearest neighbour", "Logistic regression"]
    assert lines[3]["rank"] == ""
    limited = seeded.owner.get("/api/v1/boards/digits/csv?limit=1").text
    assert len(list(csv.DictReader(io.StringIO(limited)))) == 3


def test_a_board_is_two_statements_whatever_it_ranks(seeded: Api) -> None:
    with statements(seeded.database) as few:
        seeded.owner.get("/api/v1/boards/spirals")
    with statements(seeded.database) as many:
        seeded.owner.get("/api/v1/boards/digits")
    assert len(many) == len(few)
