"""Trials beside each other."""

from __future__ import annotations

import re

import pytest

from db.models import Trial
from db.states import TrialState
from tests.support.api import BENCHMARK, GRID, TRAIN, Api, claimed, epochs, failed, succeeded
from tests.support.bulk import statements
from tests.support.forms import cell, form_of, heads, link_of, row_ids
from tests.support.pool import slot

pytest_plugins = ["tests.support.api_fixtures"]

SWEEP = {
    "kind": "sweep",
    "name": "many",
    "base": {"kind": "train", "model": "mlp", "dataset": "spirals", "epochs": 2},
    "strategy": {"method": "grid"},
    "space": {
        "learning_rate": [0.0001, 0.001, 0.01, 0.1],
        "optimizer": ["adam", "sgd"],
        "parameters.hidden": [[16], [32, 16], [64, 32]],
    },
}


@pytest.fixture
def swept(api: Api) -> Api:
    """A grid of four: two done, one failed, one running; then a run by itself."""
    with api.database.transaction() as session:
        taker = slot(session, api.catalog)
    api.submitted(GRID)
    for accuracy in (0.95, 0.97):
        trial = claimed(api, taker)
        epochs(api, trial, range(1, 5))
        succeeded(api, trial, accuracy)
    failed(api, claimed(api, taker), "It took all memory.")
    epochs(api, claimed(api, taker), range(1, 3), total=4)
    api.submitted({**TRAIN, "name": "alone", "seed": 7})
    return api


def test_it_shows_what_differs_and_marks_the_best(swept: Api) -> None:
    page = swept.browser().get("/compare?trials=1,2").text

    assert row_ids(page, "trial") == [1, 2]
    shown = heads(page)
    assert shown[:3] == ["Trial", "Owner", "State"]
    assert "Learning rate" not in shown or "Batch size" not in shown, "one of both is the same"
    assert "Model" not in shown
    assert "Test accuracy" in shown
    assert cell(page, "trial-2", "metrics.test_accuracy") == "0.9700 (best)"
    assert cell(page, "trial-1", "metrics.test_accuracy") == "0.9500"
    assert "(best)" not in cell(page, "trial-1", "metrics.test_loss"), "both are equal"
    assert "The same in all" in page
    assert "model=lenet5" in page


def test_unequal_kinds_can_stand_beside_each_other(swept: Api) -> None:
    swept.teammate.submit(BENCHMARK)
    with swept.database.transaction() as session:
        session.get_one(Trial, 5).priority = -5
    succeeded(swept, claimed(swept), 0, median_ms=2.0, gflop_s=40.0)
    page = swept.browser().get("/compare?trials=1,6").text

    assert cell(page, "trial-6", "params.kernel") == "dense_relu"
    assert cell(page, "trial-1", "params.kernel") == "–"
    assert cell(page, "trial-6", "metrics.test_accuracy") == "–"
    assert "(best)" not in cell(page, "trial-6", "metrics.gflop_s"), "nothing to be better than"


def test_curves_overlay_in_the_trials_own_colours(swept: Api) -> None:
    browser = swept.browser()
    page = browser.get("/compare?trials=2,1").text
    curves = page.partition('id="curves"')[2].partition('id="differences"')[0]

    assert "Val accuracy" in curves
    assert re.search(r"series-2[^>]*>.*?Trial 2", curves, re.DOTALL)
    assert re.search(r'class="swatch series-1"[^>]*></i><a href="/trials/1"', page)
    alone = browser.get("/compare?trials=2").text
    assert re.search(r'class="swatch series-2"[^>]*></i><a href="/trials/2"', alone)
    loss = browser.get("/compare?trials=2,1&metric=loss").text
    assert '<option value="loss" selected' in loss


def test_a_sweep_has_parallel_coordinates_that_need_no_javascript(swept: Api) -> None:
    page = swept.browser().get("/compare?experiment=1").text
    figure = page.partition('id="parallel"')[2].partition("</figure>")[0]

    assert re.findall(r'data-axis="([^"]+)"', figure) == [
        "batch size", "learning rate", "test accuracy",
    ] or re.findall(r'data-axis="([^"]+)"', figure) == [
        "learning rate", "batch size", "test accuracy",
    ]  # fmt: skip
    assert len(re.findall(r'<path id="parallel-\d+"', figure)) == 4
    titles = re.findall(r"<title>(Trial \d+: [^<]+)</title>", figure)
    assert len(titles) == 4
    assert all("learning rate 0.0" in title and "batch size" in title for title in titles)
    assert "test accuracy 0.9700" in titles[1]
    assert "test accuracy" not in titles[2], "it has no result"
    shares = re.findall(r'data-at="([^"]+)"', figure)
    assert shares[2].endswith(" -"), "and its line ends before the last axis"
    assert all(0 <= float(part) <= 1 for text in shares for part in text.split() if part != "-")


def test_the_scatter_is_chosen_by_a_plain_form(swept: Api) -> None:
    browser = swept.browser()
    form = form_of(browser.get("/compare?trials=1,2,3,4&sort=-trial").text, "relations-form")
    assert form.action == "/compare#relations"
    form.action = "/compare"
    page = browser.get(form.address(objective="test_loss", against="learning_rate")).text

    assert "Test loss against learning rate" in page
    assert row_ids(page, "trial") == [4, 3, 2, 1], "the order goes along"
    dots = re.findall(r'<a id="dot-(\d+)" href="/trials/(\d+)"', page)
    assert dots == [("1", "1"), ("2", "2")]
    assert "learning rate 0.0" in page
    bad = browser.get("/compare?trials=1,2&objective=%3Cscript%3E&against=nonsense").text
    assert "against" in bad
    assert "<script>" not in bad


def test_columns_sort_with_gaps_last(swept: Api) -> None:
    browser = swept.browser()
    order = {
        query: row_ids(browser.get(f"/compare?trials=3,2,1,4&sort={query}").text, "trial")
        for query in ("metrics.test_accuracy", "-metrics.test_accuracy", "nonsense", "state")
    }
    assert order["metrics.test_accuracy"][:2] == [1, 2]
    assert order["-metrics.test_accuracy"][:2] == [2, 1]
    assert order["nonsense"] == [3, 2, 1, 4]
    assert order["state"] == [3, 4, 2, 1]
    page = browser.get("/compare?trials=3,2&charts=0&fragment=1").text
    assert link_of(page, "Owner") == "/compare?trials=3%2C2&sort=owner"


def test_what_is_not_known_is_said_and_the_rest_is_shown(swept: Api) -> None:
    page = swept.browser().get("/compare?trials=1,77,2,x%3Cb%3E&trials=2&experiment=9").text

    assert row_ids(page, "trial") == [1, 2]
    assert "Trial 77 is not known here." in page
    assert "Not a trial&#39;s number: x&lt;b&gt;." in page
    assert "Experiment 9 is not known here." in page
    assert "<b>" not in page.partition('id="compare-notes"')[2].partition("</div>")[0]


@pytest.mark.parametrize("query", ["", "?trials=", "?trials=99", "?experiment=99", "?trials=-1,0"])
def test_nothing_to_compare_says_how_to_begin(quick_api: Api, query: str) -> None:
    answer = quick_api.browser().get(f"/compare{query}")

    assert answer.status_code == 200
    assert "labpool compare 1 2" in answer.text
    assert "/trials" in answer.text


def test_others_trials_read_like_ones_that_do_not_exist(private_api: Api) -> None:
    _, [mine] = private_api.submitted({**TRAIN, "name": "mine alone"})
    answer = private_api.teammate.submit({**TRAIN, "name": "theirs"})
    theirs = answer.get_json()["trials"][0]["id"]
    browser = private_api.browser("teammate")

    page = browser.get(f"/compare?trials={mine},{theirs},99").text
    assert row_ids(page, "trial") == [theirs]
    assert f"Trials {mine}, 99 are not known here." in page
    assert "mine alone" not in page
    by_experiment = browser.get("/compare?experiment=1").text
    assert "Experiment 1 is not known here." in by_experiment
    assert "mine alone" not in by_experiment
    assert row_ids(private_api.browser("admin").get(f"/compare?trials={mine}").text, "trial")


def test_too_many_are_cut_with_a_word(quick_api: Api) -> None:
    ids = []
    for _ in range(5):
        ids += quick_api.submitted(SWEEP)[1]
    listed = ",".join(map(str, ids))
    with statements(quick_api.database) as seen:
        page = quick_api.browser().get(f"/compare?trials={listed}").text
    assert "120 trials were asked for; the first 100 are shown." in page
    assert row_ids(page, "trial") == ids[:100]
    assert len(seen) <= 16


def test_many_are_shaded_and_a_few_have_their_own_colours(quick_api: Api) -> None:
    with quick_api.database.transaction() as session:
        taker = slot(session, quick_api.catalog)
    quick_api.submitted(SWEEP)
    for number in range(24):
        succeeded(quick_api, claimed(quick_api, taker), 0.5 + number / 100)
    many = quick_api.browser().get("/compare?experiment=1").text

    assert 'id="shades"' in many
    best = re.search(r'<path id="parallel-(\d+)" class="thread shade-4"', many)
    worst = re.search(r'<path id="parallel-(\d+)" class="thread shade-0"', many)
    assert best is not None
    assert worst is not None
    assert int(worst[1]) < int(best[1])
    few = quick_api.browser().get("/compare?trials=1,2,3").text
    assert 'class="thread series-2"' in few
    assert 'id="shades"' not in few


def test_it_is_live_while_something_runs(swept: Api) -> None:
    page = swept.browser().get("/compare?trials=1,4").text
    assert 'data-finished="false"' in page
    assert 'data-topics="trial:4"' in page
    assert 'data-finished="true"' in swept.browser().get("/compare?trials=1,2").text
    with swept.database.snapshot() as session:
        assert session.get_one(Trial, 4).state is TrialState.RUNNING
    assert cell(page, "trial-4", "metrics.val_accuracy") not in ("", "–")
