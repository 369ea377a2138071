"""Chromium for the tests: where it is, how it is started, and a guard over what pages do in it.

No browser is ever downloaded: it is the distribution's (Debian: `apt install chromium`).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NOT_RUN = "not run: Chromium is not installed (Debian: sudo apt install chromium)"
ARGUMENTS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
    # Whatever still wanted to leave this machine finds no name to ask for.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


def find_chromium(path: str | None = None) -> str | None:
    """The browser on PATH."""
    return next(filter(None, (shutil.which(name, path=path) for name in NAMES)), None)


def required_chromium(environment: Mapping[str, str] = os.environ, path: str | None = None) -> str:
    """The browser. Without one the test is not run; in continuous integration it fails."""
    found = find_chromium(path)
    if found is not None:
        return found
    if environment.get("CI", "").lower() in ("1", "true", "yes"):
        pytest.fail(NOT_RUN, pytrace=False)
    pytest.skip(NOT_RUN)


@contextmanager
def chromium(path: str) -> Iterator[Browser]:
    """A started browser."""
    # Its sandbox needs a user of its own.
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS, *sandbox])
        try:
            yield browser
        finally:
            browser.close()


class Guard:
    """Collects what no page may do: ask another host, write an error, break the policy, throw."""

    def __init__(self, url: str) -> None:
        self._host = urlsplit(url).netloc
        self._allowed: list[re.Pattern[str]] = []
        self._problems: list[str] = []
        self.documents = 0
        """How often any page was loaded."""

    def watch(self, context: BrowserContext) -> None:
        """Watch every page of a context."""
        context.on(
            "request",
            lambda request: self._see_request(request.url, request.is_navigation_request()),
        )
        context.on("page", self._watch_page)
        context.on("console", self._see_message)

    def allow(self, pattern: str) -> None:
        """This test expects messages like this one, such as those of a server that is gone."""
        self._allowed.append(re.compile(pattern))

    @property
    def problems(self) -> list[str]:
        """What went wrong and was not expected."""
        return [
            problem
            for problem in self._problems
            if not any(pattern.search(problem) for pattern in self._allowed)
        ]

    def _watch_page(self, page: Page) -> None:
        page.on("pageerror", lambda error: self._problems.append(f"{page.url}: threw {error}"))

    def _see_request(self, url: str, is_document: bool) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("blob", "data") and parts.netloc != self._host:
            self._problems.append(f"asked another host: {url}")
        self.documents += is_document

    def _see_message(self, message: ConsoleMessage) -> None:
        # A breach of the content security policy is an error on the console, too.
        if message.type == "error":
            where = message.location.get("url", "")
            self._problems.append(f"console: {message.text} ({where})")
