"""Comparing: ticks in lists, overlaid curves, what differs, parallel coordinates."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.looking import focus_is_visible, heading, tab_to
from tests.browser.service import Filled

with_and_without = pytest.mark.parametrize(
    "javascript", [True, False], ids=["with JavaScript", "without"]
)
WHERE: dict[str, Callable[[Filled], str]] = {
    "trials": lambda _: "/trials",
    "experiment": lambda filled: f"/experiments/{filled.sweep}",
    "board": lambda _: "/boards/digits",
}


def rows_of(page: Page) -> set[int]:
    """The trials that are compared."""
    table = page.locator("#compare-table tbody tr")
    return {int(row.get_attribute("data-trial") or 0) for row in table.all()}


def faded(page: Page, of: str) -> set[int]:
    """The trials that a brush leaves out."""
    found = page.locator(f"{of}.faded").all()
    return {int(one.get_attribute("data-trial") or 0) for one in found}


@with_and_without
@pytest.mark.parametrize("where", WHERE)
def test_ticked_trials_are_compared(
    visit: Visit, filled: Filled, where: str, javascript: bool
) -> None:
    page = visit(WHERE[where](filled), javascript=javascript)
    wanted = set(filled.sweep_trials[1:3])
    for trial_id in wanted:
        page.get_by_role("checkbox", name=f"Compare trial {trial_id}", exact=True).check()
    page.get_by_role("button", name="Compare ticked").click()
    expect(heading(page)).to_have_text("Compare 2 trials")
    assert rows_of(page) == wanted
    asked = parse_qs(urlsplit(page.url).query)["trials"]
    assert {int(number) for part in asked for number in part.split(",")} == wanted
    page.reload()
    assert rows_of(page) == wanted, "the address is a link to share"


def test_only_what_differs_stands_in_the_table(visit: Visit, filled: Filled) -> None:
    trials = ",".join(map(str, filled.sweep_trials))
    page = visit(f"/compare?trials={trials}")
    cells = page.locator("#compare-table tbody tr").first.locator("td[data-column^='params.']")
    names = {cell.get_attribute("data-column") for cell in cells.all()}
    assert names == {"params.learning_rate", "params.batch_size"}
    best = page.locator("td[data-column='metrics.test_accuracy']")
    marked = [
        float(cell.inner_text().split()[0]) for cell in best.and_(page.locator("[data-best]")).all()
    ]
    values = [float(text.split()[0]) for text in best.all_inner_texts()]
    assert set(marked) == {max(values)}
    page.locator("#common summary").click()
    expect(page.locator("#common")).to_contain_text("dataset=digits")


def test_curves_lie_over_each_other_in_the_colours_of_their_trials(
    visit: Visit, filled: Filled
) -> None:
    trials = (filled.trained, *filled.sweep_trials)
    page = visit(f"/compare?trials={','.join(map(str, trials))}")
    expect(page.locator("[data-chart-set]")).to_have_attribute("data-keep", "children")
    names = page.locator("#curves .legend li a")
    linked = {one.get_attribute("href") for one in names.all()}
    assert linked == {f"/trials/{trial_id}" for trial_id in trials}
    looks = page.locator("#curves .legend li").evaluate_all(
        """(all) => all.map((one) => getComputedStyle(one.querySelector("i")).color
          + getComputedStyle(one.querySelector("i")).borderTopStyle)"""
    )
    assert len(set(looks)) == len(trials), "each can be told from the others"


def test_a_brush_on_an_axis_picks_trials(visit: Visit, filled: Filled) -> None:
    trials = set(filled.sweep_trials)
    page = visit(f"/compare?trials={','.join(map(str, sorted(trials)))}")
    expect(page.locator(".thread")).to_have_count(len(trials))
    assert faded(page, ".thread") == set()
    handle = page.get_by_role("slider", name="batch size, lowest shown")
    tab_to(page, handle, most=120)
    assert focus_is_visible(page)
    for _ in range(5):
        page.keyboard.press("PageUp")
    small = {
        int(row.get_attribute("data-trial") or 0)
        for row in page.locator("#compare-table tbody tr").all()
        if row.locator("td[data-column='params.batch_size']").inner_text() == "32"
    }
    assert len(small) == 2
    assert faded(page, ".thread") == faded(page, "#compare-table tr") == small
    expect(page.locator("#parallel-status")).to_contain_text("2 of 4")
    page.get_by_role("button", name="Show all").click()
    assert faded(page, ".thread") == set()

    area = page.locator("[data-brush='learning rate'] .brush-area")
    box = area.bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2
    page.mouse.move(middle, box["y"] + box["height"] - 4)
    page.mouse.down()
    page.mouse.move(middle, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    assert len(faded(page, ".thread")) == 2, "dragging along an axis does it, too"


@with_and_without
def test_settings_against_a_result_of_ones_choice(
    visit: Visit, filled: Filled, javascript: bool
) -> None:
    trials = ",".join(map(str, filled.sweep_trials))
    page = visit(f"/compare?trials={trials}", javascript=javascript)
    expect(page.locator(".dot")).to_have_count(len(filled.sweep_trials))
    page.locator("select[name=against]").select_option("batch_size")
    page.locator("#relations-form button").click()
    expect(page.locator("select[name=against]")).to_have_value("batch_size")
    expect(page.locator(".scatter-box")).to_contain_text("batch size")


def test_numbers_that_lead_nowhere_are_said(visit: Visit, filled: Filled) -> None:
    page = visit(f"/compare?trials={filled.trained},999999,nonsense")
    expect(page.locator("#compare-notes")).to_contain_text("999999")
    assert rows_of(page) == {filled.trained}
    page = visit("/compare")
    expect(page.get_by_text("Nothing to compare.")).to_be_visible()
