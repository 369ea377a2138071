"""The lists of experiments and of trials: filter, order, columns and pages, all by plain HTTP."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from db.models import Experiment
from tests.support.api import BENCHMARK, GRID, TRAIN, Api, claimed, epochs, failed, succeeded
from tests.support.bulk import many_trials, statements
from tests.support.forms import cell, form_of, heads, link_of, row_ids
from tests.support.pool import slot

pytest_plugins = ["tests.support.api_fixtures"]

HOSTILE = "</a><script>alert('x')</script>\"&amp;"


@pytest.fixture
def filled(api: Api) -> Api:
    """Three experiments: a run, a sweep with a failed and a running trial, a benchmark."""
    with api.database.transaction() as session:
        taker = slot(session, api.catalog)
    api.submitted({**TRAIN, "name": "first look", "tags": ["baseline"]})
    succeeded(api, claimed(api, taker), 0.91)
    api.submitted({**GRID, "tags": ["grid", "baseline"]})
    succeeded(api, claimed(api, taker), 0.97)
    failed(api, claimed(api, taker), "It took all memory.")
    epochs(api, claimed(api, taker), range(1, 3), total=4)
    api.teammate.submit({**BENCHMARK, "name": "layer"})
    return api


def test_experiments_show_state_progress_best_and_who(filled: Api) -> None:
    page = filled.browser().get("/experiments").text

    assert row_ids(page, "experiment") == [3, 2, 1]
    assert heads(page) == [
        "Name", "Kind", "Model or kernel", "Data set", "Owner", "Trials", "Done", "Best",
        "Submitted",
    ]  # fmt: skip
    assert cell(page, "experiment-2", "model") == "lenet5"
    assert cell(page, "experiment-2", "trials") == "1 running 1 queued 1 succeeded 1 failed"
    assert cell(page, "experiment-2", "done") == "2/4"
    assert cell(page, "experiment-2", "best") == "0.9700 test accuracy"
    assert cell(page, "experiment-3", "best") == "–"
    assert cell(page, "experiment-3", "dataset") == "–"
    assert cell(page, "experiment-3", "owner") == "teammate"
    assert link_of(page, "first look") == "/experiments/1"


def test_trials_show_what_they_reached(filled: Api) -> None:
    page = filled.browser().get("/trials").text

    assert row_ids(page, "trial") == [6, 5, 4, 3, 2, 1]
    assert cell(page, "trial-2", "metrics.test_accuracy") == "0.9700"
    assert cell(page, "trial-3", "state") == "failed"
    assert cell(page, "trial-4", "progress").startswith("2/4")
    assert cell(page, "trial-1", "experiment") == "first look"
    with_live = filled.browser().get("/trials?columns=metrics.val_accuracy").text
    assert cell(with_live, "trial-4", "metrics.val_accuracy") not in ("", "–")


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("owner=owner", [2, 1]),
        ("owner=nobody", []),
        ("kind=sweep", [2]),
        ("state=failed", [2]),
        ("model=mlp", [1]),
        ("dataset=digits", [2, 1]),
        ("tag=baseline", [2, 1]),
        ("tag=grid", [2]),
        ("tag=gri", []),
        ("text=LOOK", [1]),
        ("text=o%25k", []),
        ("tag=baseline&kind=train", [1]),
        ("kind=nonsense", [3, 2, 1]),
        ("sort=name", [1, 3, 2]),
        ("sort=-name", [2, 3, 1]),
        ("sort=-best", [2, 1, 3]),
        ("sort=best", [1, 2, 3]),
        ("sort=dataset", [1, 2, 3]),
        ("sort=-trials", [2, 3, 1]),
        ("sort=-metrics.test_accuracy&columns=metrics.test_accuracy", [2, 1, 3]),
        ("sort=metrics.test_loss", [1, 2, 3]),
        ("sort=metrics.%22x", [3, 2, 1]),
    ],
)
def test_the_address_says_which_experiments_and_in_which_order(
    filled: Api, query: str, rows: list[int]
) -> None:
    assert row_ids(filled.browser().get(f"/experiments?{query}").text, "experiment") == rows


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("owner=teammate", [6]),
        ("kind=benchmark", [6]),
        ("state=succeeded", [2, 1]),
        ("experiment=2", [5, 4, 3, 2]),
        ("experiment=x", []),
        ("tag=baseline&state=failed", [3]),
        ("sort=-metrics.test_accuracy", [2, 1, 6, 5, 4, 3]),
        ("sort=metrics.test_accuracy", [1, 2, 6, 5, 4, 3]),
        ("sort=submitted", [1, 2, 3, 4, 5, 6]),
        ("sort=dataset", [1, 2, 3, 4, 5, 6]),
        ("sort=-progress&state=running", [4]),
    ],
)
def test_the_address_says_which_trials_and_in_which_order(
    filled: Api, query: str, rows: list[int]
) -> None:
    assert row_ids(filled.browser().get(f"/trials?{query}").text, "trial") == rows


@pytest.mark.parametrize("name", ["params.learning_rate", "params.batch_size"])
def test_trials_sort_by_a_parameter(filled: Api, name: str) -> None:
    for minus in ("", "-"):
        page = filled.browser().get(f"/trials?sort={minus}{name}&columns={name}").text
        cells = [cell(page, f"trial-{row}", name) for row in row_ids(page, "trial")]
        assert len(set(cells[:-1])) > 1
        assert cells[-1] == "–", "the benchmark has none, and comes last either way"
        numbers = [float(text) for text in cells[:-1]]
        assert numbers == sorted(numbers, reverse=bool(minus))


def test_the_filter_form_works_without_javascript(filled: Api) -> None:
    browser = filled.browser()
    form = form_of(browser.get("/experiments?sort=-best&columns=owner").text, "list-form")
    page = browser.get(form.address(tag="baseline", kind="train")).text

    assert row_ids(page, "experiment") == [1]
    assert heads(page) == ["Name", "Owner"], "columns go along"
    assert 'name="sort" value="-best"' in page, "the order goes along"
    again = form_of(page, "list-form")
    assert dict(again.fields)["tag"] == "baseline"
    assert dict(again.fields)["kind"] == "train"
    assert row_ids(browser.get(link_of(page, "Clear")).text, "experiment") == [2, 1, 3]


def test_the_column_form_works_without_javascript(filled: Api) -> None:
    browser = filled.browser()
    form = form_of(browser.get("/trials?owner=owner").text, "list-form")
    chosen = form.address(
        ticks=("state", "metrics.test_loss", "params.batch_size"), more="params.epochs, rubbish"
    )
    page = browser.get(chosen).text

    assert heads(page) == ["Trial", "State", "Test loss", "Batch size", "Epochs"]
    assert cell(page, "trial-1", "params.epochs") == "3"
    assert cell(page, "trial-2", "params.batch_size") in ("16", "32")
    assert row_ids(page, "trial") == [5, 4, 3, 2, 1], "the filter goes along"
    sorted_page = browser.get(link_of(page, "Batch size")).text
    assert heads(sorted_page) == heads(page)
    assert 'aria-sort="ascending"' in sorted_page
    assert heads(browser.get(link_of(page, "Usual columns")).text)[1] == "Experiment"


def test_an_address_says_no_more_than_it_must(filled: Api) -> None:
    browser = filled.browser()
    page = browser.get("/experiments?owner=&kind=&state=&tag=&text=&more=&columns=").text

    assert link_of(page, "Name") == "/experiments?sort=name"
    assert 'href="/experiments?sort=name"' in page
    sorted_page = browser.get("/experiments?sort=name").text
    assert link_of(sorted_page, "Name") == "/experiments?sort=-name"
    assert link_of(sorted_page, "Submitted") == "/experiments?sort=submitted"
    assert "fragment" not in browser.get("/experiments?sort=name&fragment=1").text


def test_ticked_trials_are_compared_without_javascript(filled: Api) -> None:
    browser = filled.browser()
    form = form_of(browser.get("/trials").text, "compare")

    assert form.address(ticks=("1", "3")) == "/compare?trials=3&trials=1"
    assert row_ids(browser.get(form.address(ticks=("1", "3"))).text, "trial") == [3, 1]


@pytest.mark.parametrize("path", ["/experiments", "/trials"])
def test_what_people_type_is_text_and_nothing_else(quick_api: Api, path: str) -> None:
    quick_api.submitted({**TRAIN, "name": HOSTILE})
    browser = quick_api.browser()
    typed = {
        "text": HOSTILE, "owner": HOSTILE, "tag": HOSTILE, "model": HOSTILE, "state": HOSTILE,
        "sort": f"metrics.{HOSTILE}", "columns": f"params.{HOSTILE}", "more": HOSTILE,
    }  # fmt: skip

    for address in (path, f"{path}?{urlencode({'text': '</a>'})}", f"{path}?{urlencode(typed)}"):
        answer = browser.get(address)
        assert answer.status_code == 200
        assert "<script>" not in answer.text
    assert "&lt;/a&gt;&lt;script&gt;" in browser.get(path).text
    assert "&lt;script&gt;" in browser.get(f"{path}?{urlencode(typed)}").text


@pytest.mark.parametrize(
    "query",
    [
        "cursor=rubbish",
        "sort=owner&cursor=WyJraW5kIiwwLCJzYSIsMV0",  # of another column
        "cursor=WzFd",
        "sort=model&cursor=WyJtb2RlbCIsMCwiZjEuNSIsMV0",  # a number where words are
        "sort=model&cursor=WyJtb2RlbCIsOSwiLSIsMV0",  # no such phase
        "sort=model&cursor=WyJtb2RlbCIsMCwiZm5hbiIsMV0",  # not a number
    ],
)
def test_a_cursor_that_no_list_gave_is_refused(api: Api, query: str) -> None:
    for path in ("/experiments", "/trials"):
        answer = api.browser().get(f"{path}?{query}")
        assert answer.status_code == 422, path
        assert "not a cursor" in answer.text


@pytest.mark.parametrize(
    ("path", "kind", "count"),
    [
        ("/trials", "trial", 120),
        ("/trials?sort=-metrics.test_accuracy", "trial", 120),
        ("/trials?columns=state&sort=experiment", "trial", 120),
        ("/trials?sort=params.parameters.odd", "trial", 120),
        ("/trials?state=failed&sort=finished", "trial", 24),
        ("/experiments?sort=-best", "experiment", 60),
        ("/experiments?sort=name", "experiment", 60),
    ],
)
def test_pages_follow_each_other_without_gap_or_repeat(
    api: Api, path: str, kind: str, count: int
) -> None:
    _clear_cast(api)
    many_trials(api.database, 60, 2)
    browser = api.browser("ann")
    seen: list[int] = []
    address = path
    for _ in range(10):
        page = browser.get(address).text
        assert len(row_ids(page, kind)) <= 50
        seen += row_ids(page, kind)
        if 'rel="next"' not in page:
            break
        address = link_of(page, "Next page")
    assert len(seen) == count
    assert len(set(seen)) == count
    if count > 50:
        assert link_of(page, "First page") == path


def test_a_longer_list_takes_no_more_statements(api: Api) -> None:
    _clear_cast(api)
    many_trials(api.database, 4, 2)
    few = _statement_counts(api)
    with api.database.transaction() as session:
        _drop(session)
    many_trials(api.database, 200, 5)
    many = _statement_counts(api)

    assert {path: count for path, count in many.items() if count > few[path]} == {}
    assert max(many.values()) <= 10


PATHS = (
    "/trials",
    "/trials?sort=-metrics.test_accuracy",
    "/trials?sort=owner&state=failed",
    "/experiments",
    "/experiments?sort=-best",
    "/experiments?sort=trials&tag=keep",
    "/compare?trials=1,2,3",
)


def _statement_counts(api: Api) -> dict[str, int]:
    browser = api.browser("ann")
    counts = {}
    for path in PATHS:
        browser.get(path)
        with statements(api.database) as seen:
            assert browser.get(path).status_code == 200
        counts[path] = len(seen)
    return counts


def _clear_cast(api: Api) -> None:
    """`many_trials` brings its own people."""
    from sqlalchemy import delete

    from db.models import Token, User

    with api.database.transaction() as session:
        session.execute(delete(Token))
        session.execute(delete(User))


def _drop(session: object) -> None:
    from sqlalchemy import delete

    from db.models import Result, Token, Trial, User

    for table in (Result, Trial, Experiment, Token, User):
        session.execute(delete(table))  # type: ignore[attr-defined]


def test_private_lists_show_only_ones_own(private_api: Api) -> None:
    private_api.submitted({**TRAIN, "name": "mine alone", "tags": ["secret"]})
    private_api.teammate.submit({**TRAIN, "name": "theirs"})
    theirs = private_api.browser("teammate")

    for path in ("/experiments", "/trials"):
        for query in (
            "",
            "?owner=owner",
            "?text=mine",
            "?tag=secret",
            "?sort=owner",
            "?sort=-best",
        ):
            page = theirs.get(path + query).text
            assert "mine alone" not in page, (path, query)
        assert "theirs" in theirs.get(path).text
        assert "mine alone" in private_api.browser("admin").get(path).text
    assert row_ids(theirs.get("/trials?experiment=1").text, "trial") == []


def test_an_empty_list_shows_the_next_step(quick_api: Api) -> None:
    browser = quick_api.browser()
    for path in ("/experiments", "/trials"):
        assert "labpool submit" in browser.get(path).text
        filtered = browser.get(f"{path}?owner=nobody&sort=owner").text
        assert "labpool submit" not in filtered
        assert link_of(filtered, "Show all") == f"{path}?sort=owner"
