"""A sweep's page: brushes that list trials, the question before stopping, hundreds of trials."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from labpool.catalog import Catalog
from labpool.settings import CHECKOUT
from tests.browser.conftest import Visit
from tests.browser.looking import expect_current, tab_to
from tests.browser.service import Filled, Service
from tests.support.large_sweep import fill_sweep, large_spec

TRIALS = 300


def picked(page: Page) -> list[str]:
    return page.locator("#picked-rows a").all_inner_texts()


def drag_down(page: Page, axis: str, share: float) -> None:
    """Brush an axis from its top as far as a share of it."""
    area = page.locator(f"[data-brush='{axis}'] .brush-area")
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2
    page.mouse.move(middle, box["y"] + 6)
    page.mouse.down()
    page.mouse.move(middle, box["y"] + box["height"] * share, steps=4)
    page.mouse.up()


@pytest.fixture
def large(service: Service) -> int:
    """A sweep of hundreds of trials in the middle; its owner is grace."""
    spec = large_spec(TRIALS)
    # Another test's worker may still be there; it has no GPU, and leaves them alone.
    spec["base"]["device"] = "gpu"
    with service.client("grace") as client:
        submission = client.submit(spec)
    catalog = Catalog.load([CHECKOUT / "catalog"])
    fill_sweep(service.database, catalog, submission.id, submission.trial_ids)
    return submission.id


def test_brushed_trials_are_listed_with_links(visit: Visit, filled: Filled) -> None:
    page = visit(f"/experiments/{filled.sweep}", user="ada")
    expect(page.locator("#coordinates .thread")).to_have_count(len(filled.sweep_trials))
    assert len(picked(page)) == len(filled.sweep_trials)
    handle = page.get_by_role("slider", name="batch size, lowest shown")
    tab_to(page, handle, most=120)
    for _ in range(5):
        page.keyboard.press("PageUp")
    expect(page.locator("#picked-title")).to_have_text("Picked: 2 trials")
    cells = page.locator("#picked-rows tr td:nth-child(3)")
    assert cells.all_inner_texts() == ["64", "64"]
    page.get_by_role("button", name="Show all").click()
    expect(page.locator("#picked-title")).to_have_text("The best 4")
    assert len(picked(page)) == 4
    drag_down(page, "learning rate", 0.4)
    expect(page.locator("#picked-title")).to_have_text("Picked: 2 trials")
    page.locator("#picked-rows a").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("rial")
    assert "/trials/" in page.url


def test_hundreds_are_drawn_by_the_browser_and_stay(visit: Visit, large: int) -> None:
    page = visit(f"/experiments/{large}")
    shown = TRIALS - TRIALS // 10
    expect(page.locator("#coordinates .thread")).to_have_count(shown)
    expect(page.locator("#coordinates-note")).to_have_text(f"{shown} trials with a value")
    drag_down(page, "val accuracy", 0.5)
    expect(page.locator("#picked-title")).to_contain_text("Picked: ")
    before = picked(page)
    assert 0 < len(before) <= 50
    with page.expect_response(lambda answer: "fragment=1" in answer.url, timeout=45_000):
        pass  # the page asks by itself, as why a trial waits changes with time alone
    expect_current(page)
    assert picked(page) == before
    expect(page.locator("#coordinates .thread")).to_have_count(shown)


def test_without_javascript_there_is_the_table_and_the_best(visit: Visit, large: int) -> None:
    page = visit(f"/experiments/{large}", javascript=False)
    expect(page.locator("#coordinates .thread")).to_have_count(100)
    expect(page.locator("#coordinates-note")).to_have_text("the best 100 of 270 trials")
    assert len(picked(page)) == 10
    expect(page.locator("#rung-0 [data-column=promoted]")).not_to_have_text("–")


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_to_stop_is_asked_once_more(visit: Visit, large: int, javascript: bool) -> None:
    page = visit(f"/experiments/{large}", javascript=javascript)
    yes = page.get_by_role("button", name="Yes: stop all and keep")
    expect(yes).to_be_hidden()
    page.locator("#ask-stop > summary").click()
    yes.click()
    expect(page.locator("#halted")).to_contain_text("This sweep was stopped")


def test_a_narrow_page_holds_it(visit: Visit, large: int) -> None:
    page = visit(f"/experiments/{large}", width=360)
    expect(page.locator("#coordinates .thread")).to_have_count(TRIALS - TRIALS // 10)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
