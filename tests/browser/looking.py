"""What the tests of the pages look for, in one place."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

CURRENT = re.compile("live|polling")


def mark(page: Page) -> Locator:
    """The mark that says whether the page is current."""
    return page.locator("[data-live-mark]")


def expect_current(page: Page) -> None:
    """Wait until the page says that it is live, or polls."""
    expect(mark(page)).to_have_attribute("data-state", CURRENT)


def expect_mark(page: Page, state: str) -> None:
    """Wait until the mark says `state`."""
    expect(mark(page)).to_have_attribute("data-state", state)


def heading(page: Page) -> Locator:
    """The page's one main heading."""
    return page.get_by_role("heading", level=1)


def focused(page: Page) -> Locator:
    """What has the focus."""
    return page.locator(":focus")


def tab_to(page: Page, wanted: Locator, most: int = 80) -> None:
    """Press Tab until `wanted` has the focus, as somebody without a mouse does."""
    target = wanted.element_handle()
    assert target is not None
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("(element) => element === document.activeElement", target):
            return
    raise AssertionError(f"{most} tabs do not lead to {wanted}")


def focus_is_visible(page: Page) -> bool:
    """Whether what has the focus is seen to have it, and is on the screen."""
    seen: bool = page.evaluate(
        """() => {
          const element = document.activeElement;
          const style = getComputedStyle(element);
          const box = element.getBoundingClientRect();
          return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2
            && box.bottom > 0 && box.top < innerHeight;
        }"""
    )
    return seen
