"""A filled service and a browser for the tests of the pages.

The experiments run once a test run, whatever the number of test processes: the first to come makes
them, the others start from a copy.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser import service as services
from tests.browser.chromium import Guard, chromium, required_chromium
from tests.browser.service import Filled, Service

TIMEOUT_MS = 15_000
WIDE, NARROW = 1280, 360
expect.set_options(timeout=TIMEOUT_MS)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The browser, or the test is not run (in CI: fails)."""
    return required_chromium()


@pytest.fixture(scope="session")
def kept(chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a service with really run experiments, made once a test run."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "browser-kept"
    with (shared / "browser-kept.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with services.running(tmp_path_factory.mktemp("fill")) as service:
                filled = services.fill(service)
            services.keep(service, filled, folder)
    return folder


@pytest.fixture(scope="session")
def filled(kept: Path) -> Filled:
    """What the service holds."""
    return services.what_was_kept(kept)


@pytest.fixture(scope="session")
def service(kept: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The filled service; what tests add to it stays for the others of this process."""
    with services.running(tmp_path_factory.mktemp("service"), given=kept) as service:
        yield service


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    """Chromium. Not for the session: while it runs this thread has an event loop."""
    with chromium(chromium_path) as browser:
        yield browser


@pytest.fixture
def guard(service: Service) -> Iterator[Guard]:
    """Fails the test when a page asked another host, wrote an error or broke the policy."""
    guard = Guard(service.url)
    yield guard
    assert guard.problems == []


class Visit:
    """Opens pages of the service, each in a browser of somebody's own."""

    def __init__(self, browser: Browser, service: Service, guard: Guard) -> None:
        self._browser = browser
        self._service = service
        self._guard = guard
        self._contexts: list[BrowserContext] = []

    def __call__(
        self,
        path: str,
        *,
        user: str | None = "grace",
        width: int = WIDE,
        dark: bool = False,
        javascript: bool = True,
        session: str | None = None,
    ) -> Page:
        """Open a page as somebody, wide or narrow, light or dark, with JavaScript or without."""
        context = self._browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            java_script_enabled=javascript,
            locale="en-GB",
            timezone_id="UTC",
        )
        self._contexts.append(context)
        context.set_default_timeout(TIMEOUT_MS)
        self._guard.watch(context)
        url = self._service.url
        if user is not None:
            text = session or self._service.session(user)
            context.add_cookies([{"name": self._service.cookie_name, "value": text, "url": url}])
        page = context.new_page()
        page.goto(urljoin(url, path))
        return page

    def close(self) -> None:
        """Close all pages."""
        for context in self._contexts:
            context.close()


@pytest.fixture
def visit(browser: Browser, service: Service, guard: Guard) -> Iterator[Visit]:
    """Opens pages as anybody."""
    visit = Visit(browser, service, guard)
    yield visit
    visit.close()
