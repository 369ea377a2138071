"""The submit page, as a browser without JavaScript and the page's own script use it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from api.forms.text import spec_text
from db.engine import Database
from db.models import Experiment, Trial
from labpool.catalog import Catalog
from labpool.reading import read_spec
from labpool.settings import CHECKOUT
from tests.integration.test_api_pages import Outline
from tests.support.api import BENCHMARK, GRID, TRAIN, Api, Browser, make_api
from tests.unit.test_forms import EVERY_TYPE

pytest_plugins = ["tests.support.api_fixtures"]

HOSTILE = "</textarea><script>alert(1)</script>\"'&"
NOTHING = {"experiments": 0, "trials": 0, "idempotency_keys": 0}
FULL: dict[str, Any] = {
    **TRAIN,
    "name": "1e-3, \"quoted\" & 'more'",
    "notes": "two\nlines",
    "tags": ["a", "b.c"],
    "parameters": {"hidden": [], "dropout": 0.5, "bias": False, "activation": "tanh"},
    "learning_rate": 1e-5,
    "learning_rate_decay": 1.0,
    "seed": 2**31 - 1,
    "device": "cpu",
    "time_limit_s": 60.0,
    "early_stopping_patience": 2,
}
RANDOM: dict[str, Any] = {
    **GRID,
    "strategy": {"method": "random", "trials": 3, "seed": 5},
    "space": {
        "learning_rate": {"low": 1e-4, "high": 1.0, "scale": "log"},
        "parameters.activation": ["relu", "tanh"],
        "batch_size": {"low": 8, "high": 64},
    },
}


@pytest.fixture
def wider_api(sqlite_url: str, tmp_path: Path) -> Iterator[Api]:
    """A pool whose catalog has somebody's own model, with a hostile title."""
    folder = tmp_path / "more" / "models" / "every_type"
    folder.mkdir(parents=True)
    hostile = EVERY_TYPE.replace('"Every type"', "'<b>Every</b> & type'")
    (folder / "model.toml").write_text(hostile)
    (folder / "model.py").write_text("")
    database = Database(sqlite_url)
    catalog = Catalog.load([CHECKOUT / "catalog", tmp_path / "more"])
    yield make_api(database, catalog, tmp_path)
    database.dispose()


def text_on(page: str) -> str:
    """What the spec's text area holds, as a browser reads it."""
    found = re.search(r'<textarea id="spec"[^>]*>\n(.*?)</textarea>', page, re.DOTALL)
    assert found is not None
    return html.unescape(found[1])


def hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None
    return found[1]


def spec_on(page: str) -> Any:
    return read_spec(text_on(page), "yaml")


def send(browser: Browser, text: str, key: str = "k", action: str = "submit", **more: str) -> Any:
    form = {"spec": text, "key": key, "action": action, **more}
    form.setdefault("csrf_token", browser.form_token("/submit"))
    return browser.send("/submit", form)


def stored_specs(api: Api) -> list[Any]:
    with api.database.snapshot() as session:
        return list(session.scalars(select(Experiment.spec).order_by(Experiment.id)))


def test_it_works(api: Api) -> None:
    browser = api.browser()
    page = browser.get("/submit?kind=sweep&model=lenet5").text
    rings = api.bell.rings
    answer = browser.send(
        "/submit",
        {
            "csrf_token": hidden(page, "csrf_token"),
            "key": hidden(page, "key"),
            "spec": text_on(page).replace("\n", "\r\n"),
        },
    )

    assert answer.status_code == 303
    experiment = browser.get(answer.headers["Location"])
    assert experiment.status_code == 200
    assert "lenet5, learning rate by batch size" in experiment.text
    assert api.stored() == {"experiments": 1, "trials": 6, "idempotency_keys": 1}
    assert api.bell.rings == rings + 1


@pytest.mark.parametrize(
    "path",
    [
        "/submit",
        "/submit?kind=sweep",
        "/submit?kind=benchmark",
        "/submit?kind=sweep&model=dense_relu",
        "/submit?kind=train&model=every_type",
        "/submit?kind=sweep&model=every_type",
    ],
)
def test_the_page_is_well_formed_and_keeps_the_policy(wider_api: Api, path: str) -> None:
    page = wider_api.browser().get(path)
    outline = Outline(page.text)

    assert page.status_code == 200
    assert outline.bad == []
    assert len(outline.ids) == len(set(outline.ids)), "an id stands twice"
    assert outline.levels[0] == 1
    assert all(link.startswith(("/", "#")) for link in outline.links)
    assert "Makes" in page.text
    for name in re.findall(r'aria-describedby="([^"]+)"', page.text):
        assert set(name.split()) <= set(outline.ids), name
    for name in re.findall(r'<label for="([^"]+)"', page.text):
        assert name in outline.ids


def test_every_type_of_field_stands_on_the_page(wider_api: Api) -> None:
    page = wider_api.browser().get("/submit?model=every_type").text

    def field(pointer: str) -> str:
        return page.partition(f'data-pointer="{pointer}"')[2].partition("</div>")[0]

    whole = field("/parameters/whole")
    assert 'data-type="integer"' in whole
    assert 'placeholder="3"' in whole
    assert 'inputmode="numeric"' in whole
    assert "A whole number." in whole
    assert "Whole number, 1 to 9,000; default 3." in whole
    assert 'inputmode="decimal"' in field("/parameters/rate")
    assert "Number, at least 0.5; default 1." in field("/parameters/rate")
    flag = field("/parameters/flag")
    assert re.findall(r'<option value="([^"]*)"', flag) == ["", "true", "false"]
    assert "false (default)" in flag
    assert re.findall(r'<option value="([^"]*)"', field("/parameters/how")) == ["", "a", "b"]
    assert 'placeholder="8, 16"' in field("/parameters/widths")
    assert "at most 4 of them" in field("/parameters/widths")
    assert '<textarea id="field-notes"' in field("/notes")
    assert 'data-type="words"' in field("/tags")
    assert 'data-type="text"' in field("/name")
    model = field("/model")
    assert "One parameter of each." in model
    assert "Slide: A slide" in model and ">classification</span>" in model
    assert 'value="digits" selected' in field("/dataset")
    # Without its script the fields say what there is; they cannot be filled in for nothing.
    assert '<fieldset id="fields" disabled' in page


def test_a_new_entry_of_the_catalog_is_there_at_once(wider_api: Api) -> None:
    browser = wider_api.browser()
    for path in ("/submit", "/submit?kind=sweep"):
        assert 'value="every_type"' in browser.get(path).text
    page = browser.get("/submit?model=every_type").text
    assert spec_on(page) == {"kind": "train", "model": "every_type", "dataset": "digits"}
    assert send(browser, text_on(page)).status_code == 303


def test_what_others_write_is_shown_as_text(wider_api: Api) -> None:
    browser = wider_api.browser()
    page = browser.get("/submit?model=every_type").text
    assert "<b>Every" not in page
    assert "&lt;b&gt;Every&lt;/b&gt; &amp; type" in page
    texts = [
        HOSTILE,
        f"kind: {spec_text({'a': HOSTILE})[3:]}",
        spec_text({**TRAIN, "model": HOSTILE, "dataset": HOSTILE, "optimizer": HOSTILE}),
        spec_text({**TRAIN, HOSTILE: 1, "parameters": {HOSTILE: HOSTILE}, "name": HOSTILE}),
        spec_text({**GRID, "space": {HOSTILE: [HOSTILE]}, "strategy": {"method": HOSTILE}}),
        spec_text({**BENCHMARK, "kernel": HOSTILE, "sizes": HOSTILE}),
    ]
    for text in texts:
        answer = send(browser, text, action="check")
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert text_on(answer.text) == text
        outline = Outline(answer.text)
        assert outline.bad == []
        fields = browser.send(
            "/submit/form", {"csrf_token": browser.form_token("/submit"), "spec": text}
        )
        if fields.status_code == 200:
            assert "<script>alert" not in fields.get_json()["fields"]
        assert fields.mimetype in ("application/json", "text/html")


def test_errors_come_back_with_what_was_typed(quick_api: Api) -> None:
    browser = quick_api.browser()
    text = "# mine\nkind: train\nmodel: mlpp\ndataset: digits\nepochs: 0\nzzz: 1\n"
    answer = send(browser, text)

    assert answer.status_code == 422
    assert text_on(answer.text) == text
    summary = answer.text.partition('id="problems"')[2].partition("</ul>")[0]
    assert 'role="alert"' in summary
    assert "autofocus" in summary
    assert '<a href="#field-epochs">/epochs</a> must be at least 1.' in summary
    assert '<a href="#field-model">/model</a>' in summary
    assert "Did you mean &#39;mlp&#39;?" in summary
    assert '<a href="#spec">/zzz</a> is not known here.' in summary
    assert re.search(r'id="field-epochs-problem">Must be at least 1.</p>', answer.text)
    epochs = re.search(r'<input id="field-epochs"[^>]*>', answer.text)
    assert epochs is not None
    assert 'aria-invalid="true"' in epochs[0]
    assert "field-epochs-problem" in epochs[0]
    assert quick_api.stored() == NOTHING
    mended = text.replace("mlpp", "mlp").replace("epochs: 0", "epochs: 1").replace("zzz: 1\n", "")
    assert send(browser, mended).status_code == 303
    assert stored_specs(quick_api) == [{**TRAIN, "epochs": 1}]


@pytest.mark.parametrize(
    "text", ["", "kind: train\nmodel: [", "- 1", "7", "\0", "a: &x 1\nb: *x", "{", "kind:", "ä: ö"]
)
def test_text_that_is_no_spec_is_kept(quick_api: Api, text: str) -> None:
    answer = send(quick_api.browser(), text)

    assert answer.status_code == 422
    assert text_on(answer.text).replace("\ufffd", "\0") == text
    assert 'role="alert"' in answer.text
    assert quick_api.stored() == NOTHING


def test_json_will_do_as_well(quick_api: Api) -> None:
    text = '{"kind": "train", "model": "mlp", "dataset": "digits"}'
    assert send(quick_api.browser(), text).status_code == 303


def test_checking_stores_nothing(quick_api: Api) -> None:
    answer = send(quick_api.browser(), spec_text(GRID), action="check")

    assert answer.status_code == 200
    assert "Makes 4 trials" in answer.text
    assert "learning_rate=0.01, batch_size=16" in answer.text
    resolved = answer.text.partition('id="resolved"')[2].partition("</pre>")[0]
    assert "optimizer: adam" in resolved
    assert 'role="alert"' not in answer.text
    assert quick_api.stored() == NOTHING


def test_a_double_click_makes_one_experiment(api: Api) -> None:
    browser = api.browser()
    page = browser.get("/submit").text
    key, token = hidden(page, "key"), hidden(page, "csrf_token")
    first = send(browser, text_on(page), key, csrf_token=token)
    second = send(browser, text_on(page), key, csrf_token=token)

    assert first.status_code == second.status_code == 303
    assert first.headers["Location"] == second.headers["Location"]
    assert api.stored()["experiments"] == 1
    # Going back to change something makes another one.
    edited = spec_text({**spec_on(page), "seed": 3})
    third = send(browser, edited, key, csrf_token=token)
    assert third.headers["Location"] != first.headers["Location"]
    # And so does a fresh page, or somebody else with the same key.
    assert hidden(browser.get("/submit").text, "key") != key
    theirs = send(api.browser("teammate"), text_on(page), key)
    assert theirs.headers["Location"] not in (
        first.headers["Location"],
        third.headers["Location"],
    )
    assert api.stored()["experiments"] == 3


def test_a_form_without_a_key_still_submits(quick_api: Api) -> None:
    for key in ("", "", "x" * 5000, "a b\nc"):
        assert send(quick_api.browser(), spec_text(TRAIN), key).status_code == 303
    assert quick_api.stored()["experiments"] == 4


@pytest.mark.parametrize("path", ["/submit", "/submit/form"])
def test_the_form_needs_its_token(quick_api: Api, path: str) -> None:
    browser = quick_api.browser()
    form = {"spec": spec_text(TRAIN), "key": "k"}
    stolen = quick_api.browser("teammate").form_token("/submit")
    for token in ("", "0" * 64, stolen):
        assert browser.send(path, {**form, "csrf_token": token}).status_code == 403
    assert browser.send(path, form).status_code == 403
    evil = {"Origin": "http://evil.example"}
    good = {**form, "csrf_token": browser.form_token("/submit")}
    assert browser.send(path, good, evil).status_code == 403
    assert quick_api.stored() == NOTHING


def test_a_full_queue_says_so_and_keeps_the_text(
    sqlite_url: str, catalog: Catalog, tmp_path: Path
) -> None:
    database = Database(sqlite_url)
    api = make_api(database, catalog, tmp_path, max_queued_per_user=3)
    answer = send(api.browser(), spec_text(GRID))

    assert answer.status_code == 429
    assert "Too many of your trials are waiting." in answer.text
    assert spec_on(answer.text) == GRID
    assert api.stored() == NOTHING
    database.dispose()


@pytest.mark.parametrize(
    "spec", [FULL, GRID, RANDOM, BENCHMARK], ids=["full", "grid", "random", "benchmark"]
)
def test_a_cloned_experiment_is_the_same_spec(api: Api, spec: dict[str, Any]) -> None:
    experiment_id, _ = api.submitted(spec)
    browser = api.browser("teammate")
    page = browser.get(f"/submit?from=experiment:{experiment_id}").text

    assert spec_on(page) == spec
    assert f'<a href="/experiments/{experiment_id}">experiment {experiment_id}</a>' in page
    answer = send(browser, text_on(page))
    assert answer.status_code == 303
    first, second = stored_specs(api)
    assert second == first
    with api.database.snapshot() as session:
        trials = session.scalars(select(Trial).order_by(Trial.id)).all()
        half = len(trials) // 2
        assert [trial.spec for trial in trials[:half]] == [trial.spec for trial in trials[half:]]


@pytest.mark.parametrize("spec", [FULL, GRID, BENCHMARK], ids=["full", "grid", "benchmark"])
def test_a_cloned_trial_resolves_to_the_same_spec(quick_api: Api, spec: dict[str, Any]) -> None:
    _, trial_ids = quick_api.submitted(spec)
    browser = quick_api.browser()
    page = browser.get(f"/submit?from=trial:{trial_ids[-1]}").text
    answer = send(browser, text_on(page))

    assert answer.status_code == 303
    with quick_api.database.snapshot() as session:
        old = session.get_one(Trial, trial_ids[-1])
        new = session.scalars(select(Trial).order_by(Trial.id.desc())).first()
        assert new is not None
        assert new.id != old.id
        assert new.spec == old.spec
        assert new.configuration_digest == old.configuration_digest


def test_one_clones_only_what_one_may_see(private_api: Api) -> None:
    experiment_id, [trial_id] = private_api.submitted({**TRAIN, "name": "mine alone"})
    for source in (f"experiment:{experiment_id}", f"trial:{trial_id}"):
        theirs = private_api.browser("teammate").get(f"/submit?from={source}")
        assert theirs.status_code == 404
        assert "mine alone" not in theirs.text
        assert private_api.browser().get(f"/submit?from={source}").status_code == 200
        assert private_api.browser("admin").get(f"/submit?from={source}").status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "from=",
        "from=trial:0",
        "from=trial:99",
        "from=trial:-1",
        "from=trial:1%0a",
        "from=user:1",
        "from=trial:99999999999999999999",
        "kind=nothing",
        "kind=%3Cscript%3E",
        "model=../../etc/passwd",
        "model=%3Cscript%3E",
    ],
)
def test_what_is_not_there_is_not_found(quick_api: Api, query: str) -> None:
    answer = quick_api.browser().get(f"/submit?{query}")
    assert answer.status_code == 404
    assert "<script>" not in answer.text


def fields_for(browser: Browser, text: str, **change: str) -> Any:
    form = {"csrf_token": browser.form_token("/submit"), "spec": text, **change}
    return browser.send("/submit/form", form, {"Accept": "application/json"})


def test_the_script_gets_fields_for_a_text(quick_api: Api) -> None:
    browser = quick_api.browser()
    answer = fields_for(browser, spec_text(RANDOM)).get_json()

    assert answer["spec"] == spec_text(RANDOM)
    assert 'data-pointer="/space/learning_rate"' in answer["fields"]
    assert 'data-pointer="/base/epochs"' in answer["fields"]
    assert 'data-axis="low" value="0.0001"' in answer["fields"]
    assert "<html" not in answer["fields"]
    unread = fields_for(browser, "kind: [")
    assert unread.status_code == 422
    assert unread.mimetype == "application/problem+json"


def test_the_script_gets_the_spec_changed(quick_api: Api) -> None:
    browser = quick_api.browser()

    def changed(**change: str) -> Any:
        answer = fields_for(browser, spec_text({**TRAIN, "parameters": {"hidden": [8]}}), **change)
        return read_spec(answer.get_json()["spec"], "yaml")

    assert changed(model="lenet5") == {**TRAIN, "model": "lenet5"}
    assert changed(dataset="spirals")["dataset"] == "spirals"
    sweep = changed(kind="sweep")
    assert sweep["base"] == {"kind": "train", "model": "mlp", "dataset": "digits", "epochs": 3,
                             "parameters": {"hidden": [8]}}  # fmt: skip
    assert (
        changed(kind="sweep", base_kind="benchmark")["base"]["kernel"] in quick_api.catalog.kernels
    )
    assert changed(kind="benchmark")["kind"] == "benchmark"
    assert changed(kind="nonsense") == {**TRAIN, "parameters": {"hidden": [8]}}
    assert quick_api.stored() == NOTHING


def test_signed_out_one_is_sent_to_sign_in_and_back(quick_api: Api) -> None:
    client = quick_api.app.test_client()
    answer = client.get("/submit?from=trial:1")
    assert answer.headers["Location"] == "/sign-in?next=/submit%3Ffrom%3Dtrial%3A1"
    lost = client.post("/submit/form", headers={"Accept": "application/json"})
    assert lost.status_code == 401


def test_the_page_is_in_the_navigation(quick_api: Api) -> None:
    assert '<a href="/submit">Submit</a>' in quick_api.browser().get("/").text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: " + "x" * 140_000, "is longer than the 128 KiB"),
        ("\n".join(f"k{n}: 1" for n in range(300)), "holds 300 names; at most 200 are read."),
        (f"kind: train\ntags: [{', '.join('a' * 2000)}]", "holds 2000 values"),
    ],
    ids=["long", "wide", "many"],
)
def test_a_text_made_to_be_slow_is_refused(quick_api: Api, text: str, said: str) -> None:
    browser = quick_api.browser()
    answer = send(browser, text)

    assert answer.status_code == 422
    assert said in answer.text
    assert text_on(answer.text) == text
    assert fields_for(browser, text).status_code == 422
