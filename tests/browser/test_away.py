"""What an open page does when its reader is signed out or the server goes away."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import Guard
from tests.browser.conftest import Visit
from tests.browser.looking import expect_current, expect_mark, heading, mark
from tests.browser.service import Filled, Service

# Open streams would be waited for.
STOP_GRACE_S = 1.0
# Asking again is spaced out to at most 15 s.
BACK_WITHIN_MS = 40_000


@pytest.fixture
def session_text(service: Service) -> str:
    return service.session("grace")


@pytest.fixture
def unstoppable(service: Service) -> Iterator[Service]:
    """The service, whose API runs again after the test in any case."""
    yield service
    if not service.api.running:
        service.api.start()
        service.api.wait_ready()


def change_something(service: Service, name: str) -> None:
    """Give open lists a reason to ask again."""
    with service.client("ada") as client:
        spec = {"kind": "benchmark", "kernel": "dense_relu", "device": "gpu", "name": name}
        client.submit(spec)


def test_a_page_stays_readable_when_its_reader_is_signed_out(
    visit: Visit, guard: Guard, service: Service, session_text: str
) -> None:
    guard.allow("status of 401")
    page = visit("/experiments", session=session_text)
    expect_current(page)
    rows = page.locator("tbody tr").count()
    documents = guard.documents
    service.end_session(session_text)
    change_something(service, "after signing out")

    expect_mark(page, "signed-out")
    assert guard.documents == documents, "the page stays"
    assert page.locator("tbody tr").count() == rows
    link = mark(page).get_by_role("link")
    expect(link).to_have_attribute("href", f"/sign-in?next={quote('/experiments', safe='')}")
    link.click()
    page.get_by_label("API token").fill(service.tokens["grace"])
    page.get_by_role("button", name="Sign in").click()
    expect(heading(page)).to_have_text("Experiments")
    expect(page.get_by_role("link", name="after signing out")).to_be_visible()
    expect_current(page)


def test_a_form_sent_after_signing_out_leads_to_signing_in(
    visit: Visit, guard: Guard, service: Service, filled: Filled, session_text: str
) -> None:
    guard.allow("status of 40[13]")
    page = visit(f"/trials/{filled.waiting}", session=session_text)
    service.end_session(session_text)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("main").get_by_role("link", name="Sign in").click()
    page.get_by_label("API token").fill(service.tokens["grace"])
    page.get_by_role("button", name="Sign in").click()
    expect(heading(page)).to_contain_text(f"Trial {filled.waiting}")
    with service.client() as client:
        assert client.trial(filled.waiting).state == "queued"


def test_pages_say_since_when_they_are_stale_and_come_back(
    visit: Visit, guard: Guard, unstoppable: Service
) -> None:
    # A connection that is refused, broken off or answered by a proxy is the browser's to report.
    guard.allow("Failed to load resource|ERR_|EventSource")
    pages = [visit(path) for path in ("/experiments", "/pool", "/")]
    for page in pages:
        expect_current(page)
    documents = guard.documents
    unstoppable.api.stop(STOP_GRACE_S)
    for page in pages:
        expect_mark(page, "stale")
        expect(mark(page)).to_contain_text("since")
        expect(heading(page)).to_be_visible()

    unstoppable.api.start()
    unstoppable.api.wait_ready()
    for page in pages:
        expect(mark(page)).to_have_attribute("data-state", "live", timeout=BACK_WITHIN_MS)
    change_something(unstoppable, "back again")
    expect(pages[0].get_by_role("link", name="back again")).to_be_visible()
    assert guard.documents == documents, "without loading a page again"
