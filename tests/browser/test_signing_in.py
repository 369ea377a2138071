"""Signing in and out."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import Guard
from tests.browser.conftest import Visit
from tests.browser.looking import focus_is_visible, heading, tab_to
from tests.browser.service import Service

with_and_without = pytest.mark.parametrize(
    "javascript", [True, False], ids=["with JavaScript", "without"]
)


@with_and_without
def test_it_works_by_a_link(visit: Visit, service: Service, javascript: bool) -> None:
    link = service.sign_in_link("grace")
    page = visit(link, user=None, javascript=javascript)
    page.get_by_role("button", name="Sign in").click()
    expect(heading(page)).to_have_text("Boards")
    expect(page.locator(".who")).to_contain_text("grace")


def test_a_link_works_once(visit: Visit, guard: Guard, service: Service) -> None:
    guard.allow("status of 403")
    link = service.sign_in_link("grace")
    for outcome in ("Boards", "Sign in"):
        page = visit(link, user=None)
        page.get_by_role("button", name="Sign in").click()
        expect(heading(page)).to_have_text(outcome)
    expect(page.get_by_role("alert")).to_contain_text("used already")


@with_and_without
def test_a_token_leads_to_the_page_that_was_asked_for(
    visit: Visit, guard: Guard, service: Service, javascript: bool
) -> None:
    guard.allow("status of 40[13]")
    page = visit("/experiments?kind=benchmark", user=None, javascript=javascript)
    page.get_by_label("API token").fill("lp_1_wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not valid")
    page.get_by_label("API token").fill(service.tokens["grace"])
    page.get_by_role("button", name="Sign in").click()
    expect(heading(page)).to_have_text("Experiments")
    assert page.url.endswith("/experiments?kind=benchmark")


def test_signing_out_ends_the_session(visit: Visit, guard: Guard) -> None:
    guard.allow("status of 401")
    page = visit("/pool")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API token")).to_be_visible()
    page.goto("/".join(page.url.split("/")[:3]) + "/pool")
    expect(page.get_by_label("API token")).to_be_visible()


def test_by_keyboard_alone(visit: Visit, service: Service) -> None:
    page = visit("/sign-in", user=None)
    tab_to(page, page.get_by_label("API token"))
    assert focus_is_visible(page)
    page.keyboard.type(service.tokens["ada"])
    page.keyboard.press("Enter")
    expect(heading(page)).to_have_text("Boards")
    expect(page.locator(".who")).to_contain_text("ada")
    tab_to(page, page.get_by_role("link", name="Skip to content"))
    page.keyboard.press("Enter")
    tab_to(page, page.locator("main a").first, most=3)
    assert focus_is_visible(page)
