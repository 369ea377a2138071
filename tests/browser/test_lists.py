"""The lists of experiments and of trials: order, filter, columns, all in the address."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.chromium import Guard
from tests.browser.conftest import Visit
from tests.browser.looking import expect_current, focus_is_visible, tab_to
from tests.browser.service import WAITING, Filled, Service

with_and_without = pytest.mark.parametrize(
    "javascript", [True, False], ids=["with JavaScript", "without"]
)


def column(page: Page, name: str) -> list[str]:
    """What stands in one column of the table, from the top."""
    return page.locator(f'tbody td[data-column="{name}"]').all_inner_texts()


def fields(page: Page) -> Locator:
    """The fields of the filter."""
    return page.locator("#list-form .filters")


def query(page: Page) -> dict[str, list[str]]:
    """What the address says."""
    return parse_qs(urlsplit(page.url).query)


def sort_by(page: Page, title: str, order: str) -> None:
    """Click a column's head and wait for the table in that order."""
    page.locator("thead").get_by_role("link", name=title, exact=True).click()
    head = page.get_by_role("columnheader", name=title, exact=True)
    expect(head).to_have_attribute("aria-sort", order)


@with_and_without
def test_trials_sort_by_a_metric_with_those_without_it_last(
    visit: Visit, filled: Filled, javascript: bool
) -> None:
    page = visit("/trials?columns=state&columns=metrics.test_accuracy", javascript=javascript)
    for order, descending in (("ascending", False), ("descending", True)):
        sort_by(page, "Test accuracy", order)
        texts = column(page, "metrics.test_accuracy")
        numbers = [float(text) for text in texts if text != "–"]
        assert len(numbers) >= 5
        assert numbers == sorted(numbers, reverse=descending)
        assert texts[len(numbers) :] == ["–"] * (len(texts) - len(numbers)), "nulls last"
    assert query(page)["sort"] == ["-metrics.test_accuracy"]
    before = column(page, "metrics.test_accuracy")
    page.reload()
    assert column(page, "metrics.test_accuracy") == before, "the address holds the order"


@with_and_without
def test_experiments_are_filtered_by_a_form_whose_answer_has_an_address(
    visit: Visit, filled: Filled, javascript: bool
) -> None:
    page = visit("/experiments", javascript=javascript)
    everything = page.locator("tbody tr").count()
    fields(page).get_by_label("Kind").select_option("benchmark")
    fields(page).get_by_label("Owner").fill("grace")
    page.get_by_role("button", name="Apply").click()
    expect(fields(page).get_by_label("Kind")).to_have_value("benchmark")
    assert set(column(page, "kind")) == {"benchmark"}
    assert 2 <= page.locator("tbody tr").count() < everything
    assert query(page)["owner"] == ["grace"]
    fields(page).get_by_label("Owner").fill("nobody")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("No experiment fits this filter.")).to_be_visible()
    page.get_by_role("link", name="Show all").click()
    expect(page.locator(f"#experiment-{filled.sweep}")).to_be_visible()


@with_and_without
def test_columns_are_chosen_and_stay_with_the_link(
    visit: Visit, filled: Filled, javascript: bool
) -> None:
    page = visit(f"/trials?experiment={filled.sweep}", javascript=javascript)
    page.locator("#columns-choice summary").click()
    page.get_by_role("checkbox", name="Owner").uncheck()
    page.locator("#f-more").fill("metrics.test_loss,params.batch_size")
    page.get_by_role("button", name="Show these").click()
    expect(page.get_by_role("columnheader", name="Test loss")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Owner")).to_have_count(0)
    assert sorted(column(page, "params.batch_size")) == ["32", "32", "64", "64"]
    assert query(page)["experiment"] == [str(filled.sweep)], "the filter stays"
    sort_by(page, "Test loss", "ascending")
    losses = [float(text) for text in column(page, "metrics.test_loss")]
    assert losses == sorted(losses)
    assert len(losses) == len(filled.sweep_trials)


def test_what_is_being_typed_and_ticked_outlives_a_change(
    visit: Visit, guard: Guard, service: Service, filled: Filled
) -> None:
    page = visit("/trials")
    expect_current(page)
    documents = guard.documents
    tick = page.get_by_role("checkbox", name=f"Compare trial {filled.trained}", exact=True)
    tick.check()
    owner = fields(page).get_by_label("Owner")
    owner.fill("half a na")
    with service.client() as client:
        submission = client.submit({**WAITING, "name": "In between"})
        expect(page.locator(f"#trial-{submission.trial_ids[0]}")).to_be_visible()
        expect(tick).to_be_checked()
        expect(owner).to_have_value("half a na")
        expect(owner).to_be_focused()
        client.cancel(submission.id)
    assert guard.documents == documents


def test_lists_work_by_keyboard(visit: Visit, filled: Filled) -> None:
    page = visit("/trials?columns=metrics.test_accuracy")
    head = page.locator("thead").get_by_role("link", name="Test accuracy", exact=True)
    tab_to(page, head)
    assert focus_is_visible(page)
    page.keyboard.press("Enter")
    expect(page.get_by_role("columnheader", name="Test accuracy")).to_have_attribute(
        "aria-sort", "ascending"
    )
    for trial_id in filled.sweep_trials[:2]:
        tick = page.get_by_role("checkbox", name=f"Compare trial {trial_id}", exact=True)
        tick.focus()
        page.keyboard.press("Space")
        expect(tick).to_be_checked()
