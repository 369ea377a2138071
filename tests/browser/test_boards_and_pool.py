"""The boards and the pool."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import Guard
from tests.browser.conftest import Visit
from tests.browser.looking import expect_current, heading
from tests.browser.service import Filled, Service

with_and_without = pytest.mark.parametrize(
    "javascript", [True, False], ids=["with JavaScript", "without"]
)


@with_and_without
def test_a_board_ranks_and_sorts(visit: Visit, filled: Filled, javascript: bool) -> None:
    page = visit("/", javascript=javascript)
    page.locator("#board-digits").get_by_role("link", name="Digits").click()
    expect(heading(page)).to_have_text("Digits")
    rows = page.locator("table[data-list=board] tbody tr[data-rank]")
    ranks = [int(row.get_attribute("data-rank") or 0) for row in rows.all()]
    assert ranks == sorted(ranks)
    assert len(ranks) >= 5
    values = [float(text) for text in rows.locator("td strong").all_inner_texts()]
    assert values == sorted(values, reverse=True)
    page.locator("thead").get_by_role("link", name="Cost").click()
    head = page.get_by_role("columnheader", name="Cost")
    expect(head).to_have_attribute("aria-sort", "ascending")
    seconds = [float(text) for text in rows.locator("td:nth-last-child(3)").all_inner_texts()]
    assert seconds == sorted(seconds)


def test_a_board_shows_a_new_result_by_itself(visit: Visit, guard: Guard, service: Service) -> None:
    page = visit("/boards/spirals")
    expect_current(page)
    documents = guard.documents
    service.worker()
    with service.client() as client:
        spec = {"kind": "train", "model": "mlp", "dataset": "spirals", "epochs": 1}
        [trial_id] = client.submit(spec).trial_ids
    expect(page.locator(f"#row-{trial_id}")).to_be_visible(timeout=60_000)
    assert guard.documents == documents


def test_the_pool_says_why_a_trial_waits(visit: Visit, filled: Filled) -> None:
    page = visit("/pool")
    row = page.locator(f"#queued-{filled.waiting}")
    expect(row).to_contain_text("needs a GPU slot")
    expect(row).to_contain_text("grace")
    row.get_by_role("link").click()
    expect(page.locator("#waiting")).to_contain_text("needs a GPU slot")
