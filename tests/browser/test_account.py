"""One's own tokens, and the administrator's people."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from labpool.client import Client
from labpool.client.errors import ApiError
from tests.browser.accessibility import violations
from tests.browser.chromium import Guard
from tests.browser.conftest import Visit
from tests.browser.looking import heading
from tests.browser.service import Service

with_and_without = pytest.mark.parametrize(
    "javascript", [True, False], ids=["with JavaScript", "without"]
)


@with_and_without
def test_a_token_is_made_shown_once_and_revoked(
    visit: Visit, service: Service, javascript: bool
) -> None:
    label = f"notebook {javascript}"
    page = visit("/account", javascript=javascript)
    page.get_by_label("What it is for").fill(label)
    page.get_by_role("button", name="Make token").click()
    secret = page.locator("#secret").input_value()
    with Client(service.url, secret) as client:
        assert client.pool()
        page.goto(f"{service.url}/account")
        assert secret not in page.content()
        page.get_by_role("button", name=f"Revoke {label}").click()
        expect(page.locator("tr", has_text=label)).to_contain_text("revoked")
        with pytest.raises(ApiError):
            client.pool()


def test_the_new_secret_is_copied(visit: Visit) -> None:
    page = visit("/account")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_label("What it is for").fill("to copy")
    page.get_by_role("button", name="Make token").click()
    secret = page.locator("#secret").input_value()
    assert violations(page) == []
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("() => navigator.clipboard.readText()") == secret


@with_and_without
def test_an_administrator_adds_somebody_who_then_signs_in(
    visit: Visit, guard: Guard, service: Service, javascript: bool
) -> None:
    # Their open page may hear that they are out before they ask for the next one.
    guard.allow("status of 401")
    name = f"new-{str(javascript).lower()}"
    page = visit("/users", user="ada", javascript=javascript)
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Add and show the first link").click()
    link = page.locator("#secret").input_value()
    theirs = visit(link, user=None, javascript=javascript)
    theirs.get_by_role("button", name="Sign in").click()
    expect(theirs.locator(".who")).to_contain_text(name)
    page.get_by_role("button", name=f"Disable {name}").click()
    expect(page.locator(f"#user-{name}")).to_contain_text("disabled")
    theirs.goto(f"{service.url}/experiments")
    expect(theirs.get_by_label("API token")).to_be_visible()


def test_members_neither_see_nor_reach_the_people(visit: Visit, guard: Guard) -> None:
    guard.allow("status of 403")
    page = visit("/users")
    expect(heading(page)).to_have_text("Forbidden")
    expect(page.get_by_role("link", name="Users")).to_have_count(0)
