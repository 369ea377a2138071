"""What holds for every page: axe, light and dark, narrow screens, JavaScript off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.accessibility import violations
from tests.browser.chromium import Guard
from tests.browser.conftest import NARROW, WIDE, Visit
from tests.browser.looking import focus_is_visible
from tests.browser.pages import PAGES, PageOf
from tests.browser.service import Filled, Service

COLOURS = """() => [document.body, document.querySelector("h1")].map((element) => {
  const style = getComputedStyle(element);
  return [style.backgroundColor, style.color];
})"""
# What sticks out to the right, for the message of a failure.
TOO_WIDE = """() => [...document.querySelectorAll("body *")]
  .filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5)
  .slice(0, 5).map((element) => element.outerHTML.slice(0, 120))"""
# What a keyboard should reach; of a group of radio buttons it reaches the chosen one.
REMEMBER_STOPS = """() => {
  const query = "a[href], button, input:not([type=hidden]), select, textarea, summary, "
    + "[tabindex='0']";
  window.stops = [...document.querySelectorAll(query)].filter((element) =>
    element.tabIndex >= 0 && !element.matches(":disabled")
    && element.checkVisibility({ visibilityProperty: true })
    && !(element.type === "radio" && !element.checked));
  document.activeElement.blur();
  return window.stops.length;
}"""
STOP = """() => {
  const index = window.stops.indexOf(document.activeElement);
  return { index: index < 0 ? null : index, what: document.activeElement.outerHTML.slice(0, 120) };
}"""
NOT_REACHED = """(reached) => window.stops
  .filter((_, index) => !reached.includes(index))
  .map((element) => element.outerHTML.slice(0, 120))"""


@dataclass
class Opened:
    """One page, opened once for all tests of this file."""

    of: PageOf
    path: str
    page: Page
    visit: Visit


@pytest.fixture(scope="module", params=list(PAGES.values()), ids=list(PAGES))
def opened(
    request: pytest.FixtureRequest, browser: Browser, service: Service, filled: Filled
) -> Iterator[Opened]:
    of: PageOf = request.param
    guard = Guard(service.url)
    if of.status != 200:
        guard.allow(f"status of {of.status}")
    visit = Visit(browser, service, guard)
    path = of.path(filled)
    page = visit(path, user=of.user)
    for charts in page.locator("[data-chart-set]").all():
        # Drawn by the script: nothing is replaced any more.
        expect(charts).to_have_attribute("data-keep", "children")
    yield Opened(of, path, page, visit)
    visit.close()
    assert guard.problems == []


@pytest.fixture(autouse=True)
def as_it_was(opened: Opened) -> None:
    """Every test begins wide and light."""
    opened.page.set_viewport_size({"width": WIDE, "height": 900})
    opened.page.emulate_media(color_scheme="light")


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_axe_finds_nothing_light_or_dark(opened: Opened, width: int) -> None:
    opened.page.set_viewport_size({"width": width, "height": 900})
    found = {}
    for scheme in ("light", "dark"):
        opened.page.emulate_media(color_scheme=scheme)
        found[scheme] = violations(opened.page)
    assert found == {"light": [], "dark": []}


def test_no_page_scrolls_sideways_at_360_px(opened: Opened) -> None:
    opened.page.set_viewport_size({"width": NARROW, "height": 900})
    width_px = opened.page.evaluate("() => document.scrollingElement.scrollWidth")
    assert width_px <= NARROW, opened.page.evaluate(TOO_WIDE)


def test_dark_mode_is_another_set_of_colours(opened: Opened) -> None:
    (light_ground, _), (_, light_ink) = opened.page.evaluate(COLOURS)
    opened.page.emulate_media(color_scheme="dark")
    (dark_ground, _), (_, dark_ink) = opened.page.evaluate(COLOURS)
    assert lightness(light_ground) > 200 > 60 > lightness(dark_ground)
    assert lightness(light_ink) < 60 < 200 < lightness(dark_ink)


def test_every_control_is_reached_by_keys_and_seen_to_be(opened: Opened) -> None:
    page = opened.page
    count = page.evaluate(REMEMBER_STOPS)
    unseen: list[str] = []
    reached: set[int] = set()
    # Once around, from the top; the browser's own frame may be one of the stops.
    for _ in range(count + 2):
        page.keyboard.press("Tab")
        here = page.evaluate(STOP)
        if here["index"] in reached:
            break
        if here["index"] is not None:
            reached.add(here["index"])
            if not focus_is_visible(page):
                unseen.append(here["what"])
    assert unseen == []
    assert page.evaluate(NOT_REACHED, sorted(reached)) == []


def test_every_page_can_be_read_without_javascript(opened: Opened) -> None:
    plain = opened.visit(opened.path, user=opened.of.user, width=NARROW, javascript=False)
    width_px = plain.evaluate("() => document.scrollingElement.scrollWidth")
    assert width_px <= NARROW, plain.evaluate(TOO_WIDE)
    for mark in plain.locator("[data-live-mark]").all():
        expect(mark).to_have_attribute("data-state", "off")
    heading = opened.page.get_by_role("heading", level=1).inner_text()
    expect(plain.get_by_role("heading", level=1)).to_have_text(heading)
    # What can be read with it can be read without: headings, tables and what is in them, charts.
    for selector in ("main h2", "main table", "main tbody tr", "main figure svg"):
        assert plain.locator(selector).count() == opened.page.locator(selector).count(), selector


def lightness(colour: str) -> float:
    """Of a computed colour, 0 to 255."""
    red, green, blue = (float(part) for part in colour.strip("rgba()").split(",")[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
