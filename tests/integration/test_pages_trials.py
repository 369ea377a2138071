"""The pages of an experiment and of a trial, as they are without JavaScript."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import yaml

from db import findings, owner
from db.claims import ClaimedTrial
from db.models import Trial
from labpool.planning import plan
from labpool.reading import read_spec
from tests.support import pool
from tests.support.api import (
    BENCHMARK,
    GRID,
    TRAIN,
    Api,
    claimed,
    epochs,
    failed,
    succeeded,
)

pytest_plugins = ["tests.support.api_fixtures"]

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))


def sweep(api: Api) -> list[int]:
    """A grid of four: two done, one at work, one waiting."""
    with api.database.transaction() as session:
        slot = pool.slot(session, api.catalog)
    _, trials = api.submitted(GRID)
    for accuracy in (0.91, 0.97):
        work = claimed(api, slot)
        epochs(api, work, range(1, 5), lift=accuracy - 0.96, total=4)
        succeeded(api, work, accuracy)
    running = claimed(api, slot)
    epochs(api, running, range(1, 3), total=4)
    return trials


def rows_of(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'<tr id="trial-(\d+)"', page)]


def charts_of(page: str) -> list[dict[str, Any]]:
    [text] = re.findall(r'data-charts="([^"]*)"', page)
    found: list[dict[str, Any]] = json.loads(unescape(text))
    return found


def sources_of(page: str) -> list[dict[str, Any]]:
    [text] = re.findall(r'data-sources="([^"]*)"', page)
    found: list[dict[str, Any]] = json.loads(unescape(text))
    return found


def add_file(
    api: Api, work: ClaimedTrial, folder: Path, name: str, media_type: str, data: bytes
) -> None:
    key = f"trials/{work.trial_id}/{work.fence}/{name}"
    sha256 = api.put_file(key, data, folder)
    with api.database.transaction() as session:
        record = findings.ArtifactRecord(name, key, media_type, sha256, len(data))
        findings.record_artifact(session, work.trial_id, work.fence, record)


def test_it_works(quick_api: Api) -> None:
    trials = sweep(quick_api)
    page = quick_api.browser().get("/experiments/1").text

    assert "2 of 4 trials finished · 1 running" in page
    assert "left at this pace" in page
    assert f'<a href="/trials/{trials[1]}">Trial {trials[1]}</a> <small>0.9700</small>' in page
    assert page.count("2 succeeded") == 1
    assert rows_of(page) == trials
    assert 'data-topics="experiment:1"' in page
    assert 'href="/submit?from=experiment:1"' in page
    for trial_id in trials:
        assert f'name="trials" value="{trial_id}" form="compare"' in page
    assert '<form id="compare"' in page
    assert 'action="/compare"' in page


def test_curves_of_the_trials_are_laid_over_each_other(quick_api: Api) -> None:
    trials = sweep(quick_api)
    page = quick_api.browser().get("/experiments/1").text

    assert [source["id"] for source in sources_of(page)] == trials[:3], "the last has not begun"
    assert [source["colour"] for source in sources_of(page)] == [row % 8 for row in trials[:3]]
    assert charts_of(page)[0]["curves"] == [{"metric": "val_accuracy"}]
    for trial_id in trials[:3]:
        assert f'data-name="Trial {trial_id}"' in page
    chosen = quick_api.browser().get("/experiments/1?metric=loss").text
    assert charts_of(chosen)[0]["curves"] == [{"metric": "loss"}]
    assert re.search(r'<option value="loss" selected>', chosen)
    unknown = quick_api.browser().get("/experiments/1?metric=nonsense").text
    assert charts_of(unknown)[0]["curves"] == [{"metric": "val_accuracy"}]


def test_the_address_says_how_curves_are_drawn(quick_api: Api) -> None:
    sweep(quick_api)
    browser = quick_api.browser()
    plain = browser.get("/trials/1").text
    drawn = browser.get("/trials/1?x=time&y=log&smooth=0.7&sort=x").text

    assert ">epoch</text>" in plain
    assert ">time (s)</text>" in drawn
    assert "series-1 raw" in drawn
    assert "series-1 raw" not in plain
    assert 'value="log" checked' in drawn
    assert "<option selected>time</option>" in drawn
    assert 'value="0.7"' in drawn
    assert '<input type="hidden" name="sort" value="x">' in drawn, "the form keeps the rest"
    assert plain.count("<svg viewBox") == drawn.count("<svg viewBox") > 1


def test_a_browser_that_draws_by_itself_gets_no_pictures(quick_api: Api) -> None:
    sweep(quick_api)
    browser = quick_api.browser()
    for path in ("/trials/3", "/experiments/1"):
        with_them = browser.get(f"{path}?fragment=1").text
        without = browser.get(f"{path}?fragment=1&charts=0").text
        # The service draws a sweep's course for everybody, curves for who cannot.
        nothing = '<div class="charts"></div>'
        assert '<figure class="chart' in with_them and nothing not in with_them
        assert nothing in without
        assert sources_of(without) == sources_of(with_them)
        assert charts_of(without) == charts_of(with_them)
        assert 'name="charts"' not in without


@pytest.mark.parametrize(
    ("column", "ascending", "descending"),
    [
        ("number", [1, 2, 3, 4], [4, 3, 2, 1]),
        ("state", [3, 4, 1, 2], [1, 2, 4, 3]),
        ("progress", [4, 3, 1, 2], [1, 2, 3, 4]),
        ("params.learning_rate", [2, 4, 1, 3], [1, 3, 2, 4]),
        # Those without a value come last both ways.
        ("metrics.test_accuracy", [1, 2, 3, 4], [2, 1, 3, 4]),
    ],
)
def test_the_trials_sort_both_ways(
    quick_api: Api, column: str, ascending: list[int], descending: list[int]
) -> None:
    sweep(quick_api)
    browser = quick_api.browser()
    up = browser.get(f"/experiments/1?sort={column}").text
    assert rows_of(up) == ascending
    assert 'aria-sort="ascending"' in up
    assert rows_of(browser.get(f"/experiments/1?sort=-{column}").text) == descending
    assert rows_of(browser.get("/experiments/1?sort=nonsense").text) == [1, 2, 3, 4]


def test_many_trials_come_in_pages(quick_api: Api) -> None:
    space = {"learning_rate": {"low": 0.001, "high": 0.1, "scale": "log"}}
    quick_api.submitted(
        {
            "kind": "sweep",
            "base": TRAIN,
            "strategy": {"method": "random", "trials": 120, "seed": 1},
            "space": space,
        }
    )
    browser = quick_api.browser()
    first = browser.get("/experiments/1?sort=-number").text
    assert rows_of(first) == list(range(120, 20, -1))
    following = re.search(r'href="([^"]+)" rel="next"', first)
    assert following is not None
    second = browser.get(unescape(following[1])).text
    assert rows_of(second) == list(range(20, 0, -1))
    assert 'rel="next"' not in second
    assert rows_of(browser.get("/experiments/1?page=nonsense").text) == list(range(1, 101))
    assert rows_of(browser.get("/experiments/1?page=99").text) == []


def test_a_trial_says_all_about_itself(quick_api: Api) -> None:
    sweep(quick_api)
    page = quick_api.browser().get("/trials/3").text

    assert "2 of 4 epochs · about" in page
    assert 'data-topics="trial:3"' in page
    assert 'href="/submit?from=trial:3"' in page
    assert "http://localhost/trials/3" in page
    assert "labpool logs 3 --follow" in page
    assert [chart["title"] for chart in charts_of(page)] == ["Loss", "Accuracy", "Learning rate"]
    assert charts_of(page)[0]["curves"] == [
        {"metric": "loss", "name": "training", "context": True},
        {"metric": "val_loss", "name": "validation", "context": False},
    ]
    assert sources_of(page)[0]["colour"] == 3
    for part in ("facts", "progress", "curves", "log", "files", "attempts", "settings", "events"):
        assert f'id="{part}"' in page, part


def test_a_short_trial_says_how_far_it_is(quick_api: Api) -> None:
    quick_api.submitted()
    work = claimed(quick_api)
    with quick_api.database.transaction() as session:
        owner.note_started(session, work.trial_id, work.fence, {}, (0.0, 3.0, "epoch"))
    browser = quick_api.browser()
    started = browser.get("/trials/1").text
    assert "0 of 3 epochs" in started
    assert '<progress class="wide" max="3.0" value="0"' in started
    succeeded(quick_api, work)
    assert "3 of 3 epochs" in browser.get("/trials/1").text
    assert '<progress max="3.0" value="3.0"' in browser.get("/experiments/1").text


def test_numbers_are_called_what_they_are(quick_api: Api) -> None:
    quick_api.submitted()
    succeeded(quick_api, claimed(quick_api), images_per_second=812.0, train_seconds=9.0)
    quick_api.submitted(BENCHMARK)
    succeeded(quick_api, claimed(quick_api), gflop_s=3.0, gb_s=4.0, median_ms=5.0)
    browser = quick_api.browser()

    def facts(path: str) -> dict[str, str]:
        found = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", browser.get(path).text)
        return {name: re.sub("<[^>]+>", "", value) for name, value in found}

    training, benchmark = facts("/trials/1"), facts("/trials/2")
    assert training["training speed"] == "812 images/s"
    assert training["training time"] == "9 s"
    assert "bandwidth" not in training
    assert benchmark["throughput"] == "3 GFLOP/s"
    assert benchmark["bandwidth"] == "4 GB/s"
    assert benchmark["median"] == "5 ms"


def test_values_that_were_not_finite_are_marked(quick_api: Api) -> None:
    quick_api.submitted()
    work = claimed(quick_api)
    chunk = findings.Chunk("loss", [1, 2, 3], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [2.0, None, None])
    with quick_api.database.transaction() as session:
        findings.record_metrics(session, work.trial_id, work.fence, [chunk])
    failed(quick_api, work, "It diverged.")
    assert "NaN ×2" in quick_api.browser().get("/trials/1").text


@pytest.mark.parametrize(
    "spec", [TRAIN, GRID, BENCHMARK, {**TRAIN, "name": "SPEC", "notes": "$HOME `x`"}]
)
def test_the_command_for_once_more_is_the_same_spec(quick_api: Api, spec: dict[str, Any]) -> None:
    experiment_id, trials = quick_api.submitted(spec)
    browser = quick_api.browser()
    for path in (f"/experiments/{experiment_id}", f"/trials/{trials[0]}"):
        page = browser.get(path).text
        [command] = re.findall(r'<pre [^>]*id="command-again"[^>]*>(.*?)</pre>', page, re.DOTALL)
        first, _, rest = unescape(command).partition("\n")
        mark = re.fullmatch(r"labpool submit - <<'(SPEC_*)'", first)
        assert mark is not None
        body, _, end = rest.rpartition("\n")
        assert end == mark[1]
        assert mark[1] not in body.splitlines()
        planned = plan(read_spec(body, "yaml"), quick_api.catalog)
        again = [trial.spec for trial in planned.trials]
        original = [trial.spec for trial in plan(dict(spec), quick_api.catalog).trials]
        assert planned.kind == (spec["kind"] if path.startswith("/exp") else original[0]["kind"])
        for one in again:
            assert _of_value(one) in [_of_value(another) for another in original]
        assert len(again) == (len(original) if path.startswith("/exp") else 1)
        [text] = re.findall(r'<pre [^>]*id="spec-text"[^>]*>(.*?)</pre>', page, re.DOTALL)
        assert yaml.safe_load(unescape(text)) == yaml.safe_load(body)


def _of_value(spec: Any) -> dict[str, Any]:
    """What decides what is run: a trial of a sweep does not carry the sweep's name."""
    return {
        name: value for name, value in dict(spec).items() if name not in ("name", "notes", "tags")
    }


def test_pictures_are_shown_and_nothing_else(quick_api: Api, tmp_path: Path) -> None:
    quick_api.submitted()
    work = claimed(quick_api)
    add_file(quick_api, work, tmp_path, "filters.png", "image/png", PNG)
    add_file(quick_api, work, tmp_path, "fake.png", "image/png", b"<html><script>x</script>")
    add_file(quick_api, work, tmp_path, "drawing.svg", "image/svg+xml", b"<svg/>")
    add_file(quick_api, work, tmp_path, "table.json", "application/json", b"{}")
    browser = quick_api.browser()
    page = browser.get("/trials/1").text
    shown = dict(re.findall(r'<img src="([^"]+)" alt="([^"]+)"', page))
    assert sorted(shown.values()) == ["fake.png", "filters.png"]

    by_name = {name: path for path, name in shown.items()}
    good = browser.get(by_name["filters.png"])
    assert good.data == PNG
    assert good.headers["Content-Type"] == "image/png"
    assert good.headers["Content-Disposition"] == "inline"
    assert "sandbox" in good.headers["Content-Security-Policy"]
    assert "default-src 'none'" in good.headers["Content-Security-Policy"]
    assert good.headers["X-Content-Type-Options"] == "nosniff"
    again = browser.get(by_name["filters.png"], If_None_Match=good.headers["ETag"])
    assert again.status_code == 304
    assert browser.get(by_name["fake.png"]).status_code == 415
    for artifact_id in (3, 4, 99):
        assert browser.get(f"/trials/1/pictures/{artifact_id}").status_code == 404
    quick_api.submitted()
    assert browser.get("/trials/2/pictures/1").status_code == 404, "of another trial"


def test_others_pictures_are_not_shown(private_api: Api, tmp_path: Path) -> None:
    private_api.submitted()
    add_file(private_api, claimed(private_api), tmp_path, "a.png", "image/png", PNG)
    assert private_api.browser("owner").get("/trials/1/pictures/1").status_code == 200
    assert private_api.browser("teammate").get("/trials/1/pictures/1").status_code == 404
    answer = private_api.app.test_client().get("/trials/1/pictures/1")
    assert answer.status_code == 303


def test_the_log_says_where_to_go_on(quick_api: Api, tmp_path: Path) -> None:
    quick_api.submitted()
    work = claimed(quick_api)
    text = "first\n" * 4000 + "last\n"
    quick_api.put_file("trials/1/1/log.txt", text.encode(), tmp_path)
    with quick_api.database.transaction() as session:
        findings.set_log(session, 1, work.fence, "trials/1/1/log.txt", len(text))
    page = quick_api.browser().get("/trials/1").text
    assert f'data-log="/api/v1/trials/1/log" data-fence="1" data-offset="{len(text)}"' in page
    assert 'data-complete="false"' in page
    assert "last\n</pre>" in page


def test_attempts_are_counted_with_what_ended_each_and_its_log(quick_api: Api) -> None:
    with quick_api.database.transaction() as session:
        slot = pool.slot(session, quick_api.catalog)
    quick_api.submitted()
    first = claimed(quick_api, slot)
    with quick_api.database.transaction() as session:
        owner.fail(
            session, first.trial_id, first.fence, "killed", "It was killed", log_tail="the first"
        )
    second = claimed(quick_api, slot)
    browser = quick_api.browser()
    page = browser.get(f"/trials/{first.trial_id}").text
    attempts = re.search(r'id="attempts".*?</section>', page, re.DOTALL)
    assert attempts is not None
    rows = re.findall(r'<tr><td class="number">(\d+)</td>(.*?)</tr>', attempts[0])

    assert second.fence > first.fence + 1
    assert [number for number, _ in rows] == ["2", "1"]
    assert ">running" in rows[0][1]
    assert ">killed" in rows[1][1]
    assert "It was killed. Next try (1 of 2) at once." in rows[1][1]
    [address] = re.findall(r'href="([^"]*log\?fence=\d+)"', rows[1][1])
    assert quick_api.owner.get(unescape(address)).text == "the first"


def test_a_trial_that_is_told_to_stop_says_so_and_no_time_left(quick_api: Api) -> None:
    with quick_api.database.transaction() as session:
        slot = pool.slot(session, quick_api.catalog)
    quick_api.submitted({**TRAIN, "epochs": 60})
    work = claimed(quick_api, slot)
    epochs(quick_api, work, range(1, 4), total=60)
    browser = quick_api.browser()
    address = f"/trials/{work.trial_id}"

    assert "3 of 60 epochs · about" in browser.get(address).text
    browser.send(f"{address}/stop", {"csrf_token": browser.form_token(address)})
    page = browser.get(address).text
    assert "Stopping after this epoch." in page
    assert "3 of 60 epochs</p>" in page
    with quick_api.database.transaction() as session:
        owner.succeed(session, work.trial_id, work.fence, {"test_accuracy": 0.5}, {}, True)
        session.get_one(Trial, work.trial_id).reason = "Stopped by owner."
    assert "3 of 60 epochs · ended early: stopped by owner</p>" in browser.get(address).text
    [row] = re.findall(r"<tr id=\"trial-.*?</tr>", browser.get("/experiments/1").text, re.DOTALL)
    assert "Ended early: stopped by owner" in row


def test_an_event_says_which_priority_was_given(quick_api: Api) -> None:
    [trial_id] = quick_api.submitted()[1]
    browser = quick_api.browser()
    address = f"/trials/{trial_id}"
    form = {"csrf_token": browser.form_token(address), "priority": "low"}
    browser.send(f"{address}/priority", form)

    assert "Priority changed to low" in browser.get(address).text
