"""The pages: what stands on them, without JavaScript, and as fragments."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.support import pool
from tests.support.api import (
    BENCHMARK,
    GRID,
    TRAIN,
    Api,
    checkpoint,
    claimed,
    epochs,
    failed,
    released,
    succeeded,
)

pytest_plugins = ["tests.support.api_fixtures"]

VOID = {"meta", "link", "input", "br", "rect", "line", "path", "circle", "option"}


class Outline(HTMLParser):
    """Checks nesting, and gathers ids, headings, addresses and what a strict policy forbids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.levels: list[int] = []
        self.links: list[str] = []
        self.bad: list[str] = []
        self.feed(text)
        assert self.open == [], self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if "style" in given or any(name.startswith("on") for name in given):
            self.bad.append(f"<{tag} {given}>")
        if tag == "style" or (tag == "script" and not given.get("src")):
            self.bad.append(f"inline <{tag}>")
        if identifier := given.get("id"):
            self.ids.append(identifier)
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))
        self.links += [value for name in ("href", "src") if (value := given.get(name))]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag


@pytest.fixture
def busy_api(quick_api: Api, tmp_path: Path) -> Api:
    """A pool with something in every state."""
    api = quick_api
    with api.database.transaction() as session:
        slot = pool.slot(session, api.catalog)
    api.submitted({**TRAIN, "name": "first", "notes": "a note", "tags": ["baseline"]})
    done = claimed(api, slot)
    epochs(api, done, range(1, 4), total=3)
    checkpoint(api, done, 3, b"weights", tmp_path, best=True)
    succeeded(api, done, 0.97)
    api.submitted(GRID)
    failed(api, claimed(api, slot), "It took all memory.", "last words")
    succeeded(api, claimed(api, slot), 0.96)
    running = claimed(api, slot)
    epochs(api, running, range(1, 3), total=4)
    api.submitted({**BENCHMARK, "device": "gpu"})
    return api


PAGES = [
    "/",
    "/boards/digits",
    "/boards/digits?sort=-value",
    "/boards/spirals",
    "/experiments",
    "/experiments?owner=owner&kind=train",
    "/experiments?owner=nobody",
    "/experiments/1",
    "/experiments/2",
    "/trials/1",
    "/trials/2",
    "/trials/4",
    "/trials/6",
    "/pool",
    "/nothing",
]


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_well_formed_and_keep_the_policy(busy_api: Api, path: str) -> None:
    page = busy_api.browser().get(path).text
    outline = Outline(page)

    assert outline.bad == []
    assert len(outline.ids) == len(set(outline.ids)), "an id stands twice"
    assert outline.levels[0] == 1
    assert outline.levels.count(1) == 1
    deeper = zip(outline.levels, outline.levels[1:], strict=False)
    assert all(after - before <= 1 for before, after in deeper), outline.levels
    assert all(link.startswith(("/", "#")) for link in outline.links), outline.links
    for landmark in ('<main class="page" id="main"', '<nav aria-label="Main"', 'class="skip"'):
        assert landmark in page
    assert '<html lang="en">' in page
    assert "None" not in re.sub(r"<[^>]+>", "", page)


def test_it_works(busy_api: Api) -> None:
    browser = busy_api.browser()
    trial = browser.get("/trials/1").text

    assert "<svg" in trial
    assert "Val accuracy" in trial or "val accuracy" in trial
    assert "0.9700" in trial
    assert "/api/v1/trials/1/checkpoints/1" in trial
    assert "Run again" in trial
    board = browser.get("/boards/digits").text
    assert board.index("0.9700") < board.index("0.9600")
    assert "/trials/1" in board


def test_every_link_leads_somewhere(busy_api: Api) -> None:
    browser = busy_api.browser()
    seen: set[str] = set()
    waiting = ["/"]
    while waiting:
        path = waiting.pop()
        if path in seen or path.startswith("#"):
            continue
        seen.add(path)
        answer = browser.get(path)
        assert answer.status_code == 200, path
        if answer.mimetype == "text/html":
            waiting += [
                link.partition("#")[0] for link in Outline(answer.text).links if link[0] == "/"
            ]
        answer.close()
    assert {"/trials/1", "/experiments/2", "/pool", "/boards/digits"} <= seen


@pytest.mark.parametrize("path", [page for page in PAGES if page != "/nothing"])
def test_a_fragment_is_the_live_part_alone(busy_api: Api, path: str) -> None:
    browser = busy_api.browser()
    joined = f"{path}{'&' if '?' in path else '?'}fragment=1"
    answer = browser.get(joined)

    assert '<div id="live"' in answer.text
    assert "<header" not in answer.text.partition('<div id="live"')[0]
    assert "<body" not in answer.text
    again = browser.get(joined, If_None_Match=answer.headers["ETag"])
    if path != "/pool":  # its relative times go on
        assert again.status_code in (200, 304)


def test_a_page_says_whether_it_is_finished(busy_api: Api) -> None:
    browser = busy_api.browser()

    assert 'data-finished="true"' in browser.get("/trials/1").text
    assert 'data-finished="false"' in browser.get("/trials/4").text
    assert 'data-finished="true"' in browser.get("/experiments/1").text
    assert 'data-finished="false"' in browser.get("/experiments/2").text


def test_who_may_not_change_sees_no_buttons(busy_api: Api) -> None:
    for path in ("/trials/1", "/trials/4", "/experiments/2"):
        theirs = busy_api.browser("teammate").get(path).text
        # Anybody may ask a model that they see, and run it again as their own.
        assert set(re.findall(f'action="{path}/([a-z]+)"', theirs)) <= {"predictions", "rerun"}
        assert f'action="{path}/' in busy_api.browser("owner").get(path).text
        assert f'action="{path}/' in busy_api.browser("admin").get(path).text


def test_buttons_do_what_they_say(busy_api: Api) -> None:
    browser = busy_api.browser()
    rings = busy_api.bell.rings
    cancel = browser.send("/trials/4/cancel", {"csrf_token": browser.form_token("/trials/4")})
    assert cancel.headers["Location"] == "/trials/4"
    assert "Cancelling" in browser.get("/trials/4").text
    retry = browser.send("/trials/2/retry", {"csrf_token": browser.form_token("/trials/2")})
    assert retry.status_code == 303
    again = browser.get(retry.headers["Location"]).text
    assert "again after" in again
    assert '<a href="/trials/2">' in again
    token = browser.form_token("/experiments/2")
    browser.send("/experiments/2/cancel", {"csrf_token": token})
    assert "cancelled" in browser.get("/experiments/2").text
    assert busy_api.bell.rings == rings + 3


def test_a_waiting_trial_says_why(busy_api: Api) -> None:
    browser = busy_api.browser()

    for path in ("/trials/6", "/experiments/3", "/pool"):
        assert "It needs a GPU slot; the pool has none at present." in browser.get(path).text


def test_a_failed_trial_shows_reason_and_log(busy_api: Api) -> None:
    page = busy_api.browser().get("/trials/2").text

    assert "Crashed." in page
    assert "It took all memory." in page
    assert "last words" in page


def test_a_resumed_trial_says_so(quick_api: Api, tmp_path: Path) -> None:
    _, [trial_id] = quick_api.submitted()
    first = claimed(quick_api)
    epochs(quick_api, first, range(1, 3))
    checkpoint(quick_api, first, 2, b"two", tmp_path)
    released(quick_api, first)
    claimed(quick_api)

    assert "resumed after epoch 2" in quick_api.browser().get(f"/trials/{trial_id}").text


def test_columns_sort_both_ways_and_keep_it_in_the_address(busy_api: Api) -> None:
    busy_api.teammate.submit({**TRAIN, "model": "lenet5"})
    browser = busy_api.browser()

    def order(query: str) -> list[str]:
        page = browser.get(f"/boards/digits{query}").text
        return re.findall(r'id="row-(\d+)"', page)

    best = order("")
    assert order("?sort=value") == best[::-1]
    assert order("?sort=-value") == best
    assert order("?sort=nonsense") == best
    page = browser.get("/boards/digits?sort=value").text
    assert 'aria-sort="ascending"' in page
    assert 'href="/boards/digits?sort=-value"' in page


def test_empty_pages_show_the_next_command(quick_api: Api) -> None:
    browser = quick_api.browser()

    assert "labpool submit" in browser.get("/").text
    assert "labpool submit" in browser.get("/experiments").text
    assert "labpool submit" in browser.get("/boards/digits").text
    assert "labpool worker" in browser.get("/pool").text


def test_the_commands_shown_name_files_that_are_there(quick_api: Api) -> None:
    from labpool.settings import CHECKOUT

    browser = quick_api.browser()
    for path in ("/", "/experiments", *(f"/boards/{name}" for name in quick_api.catalog.boards)):
        commands = re.findall(r'class="command[^"]*">(.*?)<', browser.get(path).text)
        assert commands, path
        for file in re.findall(r"\S+\.yaml", " ".join(commands)):
            assert (CHECKOUT / file).is_file(), file


def test_long_lists_page(quick_api: Api) -> None:
    for _ in range(52):
        quick_api.submitted()
    browser = quick_api.browser()
    first = browser.get("/experiments").text
    assert 'id="experiment-52"' in first
    assert 'id="experiment-2"' not in first
    older = re.search(r'href="(/experiments\?cursor=[^"]+)" rel="next"', first)
    assert older is not None
    second = browser.get(older[1]).text
    assert 'id="experiment-2"' in second
    assert ">First page</a>" in second
    queue = browser.get("/pool").text
    assert re.search(r'href="/pool\?cursor=[^"]+" rel="next"', queue)


def test_private_pages_are_not_found_by_others(private_api: Api) -> None:
    experiment_id, [trial_id] = private_api.submitted({**TRAIN, "name": "mine alone"})
    theirs = private_api.browser("teammate")

    assert theirs.get(f"/experiments/{experiment_id}").status_code == 404
    assert theirs.get(f"/trials/{trial_id}").status_code == 404
    for path in ("/", "/experiments", "/pool", "/boards/digits"):
        assert "mine alone" not in theirs.get(path).text
    assert private_api.browser("admin").get(f"/trials/{trial_id}").status_code == 200
