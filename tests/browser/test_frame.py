"""The frame these tests stand on, tested itself: the browser, the guard, the axe run."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.accessibility import violations
from tests.browser.chromium import NOT_RUN, Guard, required_chromium
from tests.browser.conftest import Visit
from tests.browser.service import Filled


def test_it_works(visit: Visit, filled: Filled) -> None:
    page = visit(f"/trials/{filled.trained}")
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"Trial {filled.trained}")


def test_without_chromium_the_tests_are_not_run() -> None:
    with pytest.raises(pytest.skip.Exception, match=NOT_RUN.split(":")[0]):
        required_chromium({}, path="/nowhere")


def test_in_continuous_integration_a_missing_chromium_is_a_failure() -> None:
    with pytest.raises(pytest.fail.Exception, match="Chromium is not installed"):
        required_chromium({"CI": "true"}, path="/nowhere")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("location.href = 'http://192.0.2.1/'", "asked another host"),
        ("console.error('a mistake')", "a mistake"),
        ("setTimeout(() => { throw new Error('uncaught'); })", "uncaught"),
        ("document.body.insertAdjacentHTML('beforeend', '<p style=\"color:red\">x</p>')", "style"),
        ("document.body.append(Object.assign(document.createElement('script'), {text: 1}))", "script"),
    ],
    ids=["another host", "console", "exception", "inline style", "inline script"],
)  # fmt: skip
def test_the_guard_sees(visit: Visit, guard: Guard, script: str, words: str) -> None:
    page = visit("/")
    assert guard.problems == []
    page.context.route("http://192.0.2.1/**", lambda route: route.fulfill(body="another host"))
    page.evaluate(script)
    # The browser tells about it in its own time; asking it something brings what came before.
    page.wait_for_function("() => new Promise((done) => setTimeout(() => done(true)))")
    assert any(words in problem for problem in guard.problems), guard.problems
    # Seen, so that it need not fail this test.
    guard.allow("")


def test_axe_sees_what_is_wrong(visit: Visit) -> None:
    page = visit("/")
    page.evaluate("() => document.querySelector('main').append(new Image())")
    assert any("image-alt" in line for line in violations(page))


def test_the_service_is_as_private_as_its_pages(visit: Visit) -> None:
    page: Page = visit("/experiments", user=None)
    expect(page.get_by_label("API token")).to_be_visible()
