"""The frame these tests stand on, tested itself: the browser, the guard, the axe run."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.accessibility import violations
from tests.browser.chromium import NOT_RUN, Guard, required_chromium
from tests.browser.conftest import Visit
from tests.browser.service import Filled
from tests.support.processes import wait_until


def test_it_works(visit: Visit, filled: Filled) -> None:
    page = visit(f"/trials/{filled.trained}")
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"Trial {filled.trained}")


def test_without_chromium_the_tests_are_not_run() -> None:
    with pytest.raises(pytest.skip.Exception, match=NOT_RUN.split(":")[0]):
        required_chromium({}, path="/nowhere")


def test_in_continuous_integration_a_missing_chromium_is_a_failure() -> None:
    with pytest.raises(pytest.fail.Exception, match="Chromium is not installed"):
        required_chromium({"CI": "true"}, path="/nowhere")


MISDEEDS = {
    "asked another host": "location.href = 'http://192.0.2.1/'",
    "a mistake": "console.error('a mistake')",
    "uncaught": "setTimeout(() => { throw new Error('uncaught'); })",
    "inline style": "document.body.insertAdjacentHTML('beforeend', '<p style=\"top: 0\"></p>')",
    "inline script": (
        "document.body.append(Object.assign(document.createElement('script'), { text: '1' }))"
    ),
}


@pytest.mark.parametrize(("words", "script"), MISDEEDS.items(), ids=MISDEEDS)
def test_the_guard_sees(visit: Visit, guard: Guard, words: str, script: str) -> None:
    page = visit("/")
    assert guard.problems == []
    page.context.route("http://192.0.2.1/**", lambda route: route.fulfill(body="another host"))
    page.evaluate(script)

    def told() -> bool:
        # Each question to the browser brings what it has told meanwhile.
        page.context.cookies()
        return any(words in problem for problem in guard.problems)

    wait_until(told, 10, words)
    # Seen, so that it need not fail this test.
    guard.allow("")


def test_axe_sees_what_is_wrong(visit: Visit) -> None:
    page = visit("/")
    page.evaluate("() => document.querySelector('main').append(new Image())")
    assert any("image-alt" in line for line in violations(page))


def test_the_service_is_as_private_as_its_pages(visit: Visit) -> None:
    page: Page = visit("/experiments", user=None)
    expect(page.get_by_label("API token")).to_be_visible()
