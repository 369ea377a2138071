"""The trial's page: what it drew, its confusion matrix and its worst mistakes."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from api.pages.examined import examined_panel
from db import owner
from db.claims import ClaimedTrial
from tests.integration.test_pages_trials import PNG, add_file
from tests.support.api import Api, claimed

pytest_plugins = ["tests.support.api_fixtures"]

MISTAKES = [
    {"place": 7, "true": 1, "given": 0, "probability": 0.9312},
    {"place": 2, "true": 1, "given": 2, "probability": 0.5},
]
SHEET = {"columns": 1, "shown": 2, "size": [65, 32], "tile": [32, 32], "step": [33, 33]}
EXAMINED: dict[str, Any] = {
    "wrong": 3,
    "tested": 30,
    "confusion": [[10, 0, 0], [2, 7, 1], [0, 0, 10]],
    "mistakes": MISTAKES,
    "sheet": SHEET,
}


def finished(api: Api, work: ClaimedTrial, examined: Any) -> str:
    """The page of a trial with this in its summary."""
    metrics, summary = {"test_accuracy": 0.9}, {"examined": examined}
    with api.database.transaction() as session:
        owner.succeed(session, work.trial_id, work.fence, metrics, summary)
    return page(api, work)


def page(api: Api, work: ClaimedTrial) -> str:
    answer = api.browser().get(f"/trials/{work.trial_id}")
    assert answer.status_code == 200
    return answer.text


@pytest.fixture
def work(quick_api: Api) -> ClaimedTrial:
    quick_api.submitted()
    return claimed(quick_api)


def test_it_works(quick_api: Api, work: ClaimedTrial, tmp_path: Path) -> None:
    add_file(quick_api, work, tmp_path, "mistakes.png", "image/png", PNG)
    add_file(quick_api, work, tmp_path, "confusion.json", "application/json", b"{}")
    text = finished(quick_api, work, EXAMINED)

    assert "27 of 30 test examples named right (90.0 %)" in text
    assert "Most often taken for another: 1 for 0 (2 times), 1 for 2 (once)." in text
    [table] = re.findall(r'<table class="confusion">.*?</table>', text, re.DOTALL)
    cells = re.findall(r'<td class="(heat-[^"]+)" title="([^"]+)">(\d+)</td>', table)
    assert [int(count) for _, _, count in cells] == [10, 0, 0, 2, 7, 1, 0, 0, 10]
    assert [shade for shade, _, _ in cells] == [
        "heat-right-5", "heat-0", "heat-0", "heat-wrong-1", "heat-right-4", "heat-wrong-1",
        "heat-0", "heat-0", "heat-right-5",
    ]  # fmt: skip
    assert cells[3][1] == "2 of 10 of class 1 taken for 0"
    assert len(re.findall(r'<th scope="col"><span class="hidden-text">given', table)) == 3

    boxes = re.findall(r'<svg viewBox="([^"]+)" role="img" aria-label="([^"]+)">', text)
    assert [(box, unescape(words)) for box, words in boxes] == [
        ("0 0 32 32", "Test example 7: a 1 taken for 0 with 93.1 %"),
        ("0 33 32 32", "Test example 2: a 1 taken for 2 with 50.0 %"),
    ]
    [href] = set(re.findall(r'<image href="([^"]+)" width="32" height="65"', text))
    assert quick_api.browser().get(href).data == PNG
    assert 'alt="mistakes.png"' not in text, "shown in its place, not among the other pictures"
    assert ">confusion.json</a>" in text and ">mistakes.png</a>" in text, "both can be saved"


def test_mistakes_without_their_picture_are_a_table(quick_api: Api, work: ClaimedTrial) -> None:
    mistakes = [{**MISTAKES[0], "x": [0.25, -1.0]}, MISTAKES[1]]
    text = finished(quick_api, work, {**EXAMINED, "mistakes": mistakes})
    assert "<code>0.25, -1.0</code>" in text and "93.1 %" in text
    assert "<image" not in text


def test_what_a_model_drew_is_a_strip_by_epoch(
    quick_api: Api, work: ClaimedTrial, tmp_path: Path
) -> None:
    for epoch in (10, 1, 5):
        add_file(quick_api, work, tmp_path, f"samples-{epoch:06d}.png", "image/png", PNG)
    add_file(quick_api, work, tmp_path, "filters.png", "image/png", PNG)
    text = page(quick_api, work)
    shown = re.findall(r'<img src="([^"]+)" alt="Samples after epoch (\d+)"', text)
    assert [int(epoch) for _, epoch in shown] == [1, 5, 10]
    assert quick_api.browser().get(shown[0][0]).data == PNG
    assert text.count('alt="filters.png"') == 1 and 'alt="samples-' not in text


@pytest.mark.parametrize(
    "examined",
    [
        None,
        "text",
        {},
        {**EXAMINED, "tested": 0},
        {**EXAMINED, "wrong": -1},
        {**EXAMINED, "confusion": [[1, 0], [1]]},
        {**EXAMINED, "confusion": [[1] * 65] * 65},
        {**EXAMINED, "confusion": [["<b>", 0], [0, 1]]},
        {**EXAMINED, "mistakes": [{**MISTAKES[0], "probability": 7}]},
        {**EXAMINED, "sheet": {**SHEET, "columns": 0}},
    ],
)
def test_a_runner_that_talks_nonsense_gets_no_panel(examined: Any) -> None:
    assert examined_panel({"examined": examined}, []) is None


def test_a_matrix_too_large_is_in_its_file_only(quick_api: Api, work: ClaimedTrial) -> None:
    text = finished(quick_api, work, {"wrong": 1, "tested": 9, "mistakes": MISTAKES})
    assert "confusion.json has it" in text and '<table class="confusion">' not in text


def test_a_result_of_before_has_no_panel(quick_api: Api, work: ClaimedTrial) -> None:
    with quick_api.database.transaction() as session:
        owner.succeed(session, work.trial_id, work.fence, {"test_accuracy": 0.9}, {})
    assert 'id="examined"' not in page(quick_api, work)
