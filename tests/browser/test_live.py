"""Pages that change while they are looked at, with a worker that really runs the trials."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from labpool.client import Client
from tests.browser.accessibility import violations
from tests.browser.chromium import Guard
from tests.browser.conftest import NARROW, Visit
from tests.browser.looking import expect_current, expect_mark, tab_to
from tests.browser.service import LONG, SOFTMAX, WAITING, Service, wait_for_values

STARTS_WITHIN_MS = 60_000
CHANGED = """([selector, before]) => {
  const element = document.querySelector(selector);
  return element && element.outerHTML !== before;
}"""


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with service.client("grace") as client:
        yield client


@pytest.fixture
def running(service: Service, client: Client) -> Iterator[int]:
    """A trial that runs until the test ends it."""
    service.worker()
    submission = client.submit(LONG)
    [trial_id] = submission.trial_ids
    wait_for_values(client, trial_id)
    yield trial_id
    client.cancel(submission.id)


def expect_change(page: Page, selector: str) -> None:
    """Wait until an element differs from what it is now."""
    before = page.locator(selector).first.evaluate("(element) => element.outerHTML")
    page.wait_for_function(CHANGED, arg=[selector, before])


def test_a_submission_appears_on_open_pages(visit: Visit, guard: Guard, client: Client) -> None:
    experiments, pool = visit("/experiments"), visit("/pool")
    expect_current(experiments)
    expect_current(pool)
    documents = guard.documents
    submission = client.submit({**WAITING, "name": "Appears by itself"})
    [trial_id] = submission.trial_ids
    expect(experiments.get_by_role("link", name="Appears by itself")).to_be_visible()
    expect(pool.get_by_role("link", name=f"Trial {trial_id}", exact=True)).to_be_visible()
    client.cancel(submission.id)
    expect(experiments.locator(f"#experiment-{submission.id}")).to_contain_text("cancelled")
    expect(pool.get_by_role("link", name=f"Trial {trial_id}", exact=True)).to_have_count(0)
    assert guard.documents == documents


def test_a_running_trial_draws_its_curves_while_one_looks(
    visit: Visit, guard: Guard, running: int
) -> None:
    page = visit(f"/trials/{running}")
    expect_current(page)
    documents = guard.documents
    expect(page.locator("main .state-running").first).to_be_visible()
    expect_change(page, "#curves svg path")
    expect_change(page, "#progress")
    # A fragment brings the controls as they are without JavaScript; ours have to outlive it.
    expect(page.get_by_role("button", name="Draw")).to_be_hidden()
    expect(page.get_by_role("button", name="CSV", exact=True)).to_be_visible()
    assert violations(page) == []
    page.set_viewport_size({"width": NARROW, "height": 900})
    assert page.evaluate("() => document.scrollingElement.scrollWidth") <= NARROW
    assert guard.documents == documents


def test_cancelling_is_seen_by_whoever_looks(visit: Visit, guard: Guard, running: int) -> None:
    onlooker = visit(f"/trials/{running}", user="ada")
    owner = visit(f"/trials/{running}")
    expect_current(onlooker)
    button = owner.get_by_role("button", name="Cancel")
    tab_to(owner, button)
    owner.keyboard.press("Enter")
    expect(onlooker.locator("main .state-cancelled").first).to_be_visible()
    expect_mark(onlooker, "finished")
    expect(owner.locator("main .state-cancelled").first).to_be_visible()


def test_what_a_reader_does_outlives_every_change(visit: Visit, running: int) -> None:
    page = visit(f"/trials/{running}")
    expect_current(page)
    page.locator("#log-text").focus()
    page.evaluate("() => scrollTo(0, 200)")
    page.locator("#events").evaluate("(element) => { element.mine = true; }")
    expect_change(page, "#progress")
    expect(page.locator("#log-text")).to_be_focused()
    assert page.evaluate("() => scrollY") == 200
    assert page.locator("#events").evaluate("(element) => element.mine"), "changed, not replaced"


def test_a_submission_is_followed_to_its_end(
    visit: Visit, guard: Guard, service: Service, client: Client
) -> None:
    service.worker()
    submission = client.submit({**SOFTMAX, "name": "Followed to the end", "epochs": 2})
    page = visit(f"/experiments/{submission.id}")
    documents = guard.documents
    row = page.locator(f"#trial-{submission.trial_ids[0]}")
    expect(row.locator(".state-succeeded")).to_be_visible(timeout=STARTS_WITHIN_MS)
    expect_mark(page, "finished")
    assert guard.documents == documents


def test_where_no_stream_is_to_be_had_the_page_polls(
    visit: Visit, guard: Guard, service: Service, client: Client
) -> None:
    guard.allow("status of 503")
    page = visit("/account")
    page.context.route("**/api/v1/stream?*", lambda route: route.fulfill(status=503))
    page.goto(f"{service.url}/experiments")
    expect_mark(page, "polling")
    submission = client.submit({**WAITING, "name": "Seen by asking"})
    expect(page.get_by_role("link", name="Seen by asking")).to_be_visible()
    client.cancel(submission.id)


def test_cancelling_works_without_javascript(visit: Visit, client: Client) -> None:
    submission = client.submit({**WAITING, "name": "Cancelled by a plain form"})
    page = visit(f"/trials/{submission.trial_ids[0]}", javascript=False)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("h1 .state-cancelled")).to_be_visible()
    assert client.wait(submission.id, 10).states == {"cancelled": 1}
