"""`make screenshots`: every page, wide and narrow, light and dark, into docs/screenshots.

A service of its own runs the gallery's experiments first, which takes some minutes.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal
from urllib.parse import urljoin

import click
from playwright.sync_api import Browser, BrowserContext, Page, expect

from labpool.settings import CHECKOUT
from tests.browser import gallery
from tests.browser.chromium import chromium, find_chromium
from tests.browser.pages import PAGES, PageOf
from tests.browser.service import PEOPLE, Filled, Service, running, wait_for_values

FOLDER = CHECKOUT / "docs" / "screenshots"
WIDTHS = (1280, 360)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
HEIGHT = 900
# The one that the README shows: the top of it says enough.
FOR_README = "experiment"
README_HEIGHT = 1070


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=FOLDER,
    help="Where the pictures go.  [default: docs/screenshots]",
)
@click.option("--only", multiple=True, help="Only this page; may be given several times.")
def main(folder: Path, only: tuple[str, ...]) -> None:
    """Take a picture of every page at every width, light and dark."""
    path = find_chromium()
    if path is None:
        sys.exit("Screenshots need Chromium. Debian: sudo apt install chromium")
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="labpool-screenshots-") as scratch,
        running(Path(scratch), catalog_path="") as service,
        chromium(path) as browser,
    ):
        print("Running the experiments that the pictures show …", flush=True)
        filled = gallery.hang(service)
        sessions = {name: service.session(name) for name in PEOPLE}
        for name, of in pages_of(service).items():
            if not only or name in only:
                context = context_of(browser, service, sessions.get(of.user or ""))
                take(context.new_page(), name, urljoin(service.url, of.path(filled)), folder)
                context.close()
    print(f"{len(list(folder.glob('*.png')))} pictures are in {folder}")


def pages_of(service: Service) -> dict[str, PageOf]:
    """Every page, and a trial that runs while its picture is taken."""
    with service.client("ada") as client:
        [trial_id] = client.submit(gallery.RUNNING).trial_ids
        wait_for_values(client, trial_id)
        searched = ",".join(map(str, gallery.trials_of(client, gallery.RANDOM_SEARCH["name"])))

    def always(path: str) -> Callable[[Filled], str]:
        return lambda _: path

    return {
        **PAGES,
        "compare": PageOf(always(f"/compare?trials={searched}")),
        "trial_running": PageOf(always(f"/trials/{trial_id}"), user="ada"),
    }


def context_of(browser: Browser, service: Service, session: str | None) -> BrowserContext:
    """A browser of somebody's, or of nobody's."""
    context = browser.new_context(reduced_motion="reduce", locale="en-GB", timezone_id="UTC")
    if session is not None:
        cookie = service.cookie_name
        context.add_cookies([{"name": cookie, "value": session, "url": service.url}])
    return context


def take(page: Page, name: str, url: str, folder: Path) -> None:
    """The pictures of one page."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            page.goto(url)
            settle(page)
            page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)
            if name == FOR_README and width == WIDTHS[0]:
                page.screenshot(
                    path=folder / f"{name}-{scheme}.png",
                    clip={"x": 0, "y": 0, "width": width, "height": README_HEIGHT},
                    full_page=True,
                )
    print(f"  {name}", flush=True)


def settle(page: Page) -> None:
    """Wait until the scripts have taken over what they draw."""
    for charts in page.locator("[data-chart-set]").all():
        expect(charts).to_have_attribute("data-keep", "children")
    for mark in page.locator("[data-live-mark]").all():
        expect(mark).not_to_have_attribute("data-state", "off")


if __name__ == "__main__":
    main()
