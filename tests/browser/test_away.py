"""What an open page does when its reader is signed out or the server goes away."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import Guard
from tests.browser.conftest import Visit
from tests.browser.looking import expect_current, expect_mark, heading, mark
from tests.browser.service import Filled, Service

STOP_GRACE_S = 20.0


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
    expect(page.get_by_label("API token")).to_be_visible()
    with service.client() as client:
        assert client.trial(filled.waiting).state == "queued"


@pytest.mark.parametrize("path", ["/experiments", "/pool", "/"])
def test_a_page_says_since_when_it_is_stale_and_comes_back(
    visit: Visit, guard: Guard, unstoppable: Service, path: str
) -> None:
    # A connection that is refused, broken off or answered by a proxy is the browser's to report.
    guard.allow("Failed to load resource|ERR_|EventSource")
    page: Page = visit(path)
    expect_current(page)
    documents = guard.documents
    text = page.locator("main").inner_text()
    unstoppable.api.stop(STOP_GRACE_S)
    expect_mark(page, "stale")
    expect(mark(page)).to_contain_text("since")
    assert heading(page).inner_text() in text, "what was there can still be read"

    unstoppable.api.start()
    unstoppable.api.wait_ready()
    expect(mark(page)).to_have_attribute("data-state", "live", timeout=40_000)
    name = f"back on {path}"
    change_something(unstoppable, name)
    if path == "/experiments":
        expect(page.get_by_role("link", name=name)).to_be_visible()
    assert guard.documents == documents, "without loading the page again"
