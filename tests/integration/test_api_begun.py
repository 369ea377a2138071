"""Specs that begin with another trial: what is pinned, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from db.models import Result, Trial
from tests.support.api import BENCHMARK, Api, checkpoint, claimed, failed, problem_of, succeeded

pytest_plugins = ["tests.support.api_fixtures"]
TRAIN: dict[str, Any] = {"kind": "train", "model": "transfer", "dataset": "digits", "epochs": 2}
LAYERS = ["base_conv1", "base_norm", "head"]


def source_of(api: Api, folder: Path, best: bool = True) -> tuple[int, str]:
    """An ended trial with a checkpoint; its sha256."""
    api.submitted(TRAIN)
    trial = claimed(api)
    sha256 = checkpoint(api, trial, 1, b"weights", folder, best=best)
    succeeded(api, trial)
    return trial.trial_id, sha256


def spec_of(api: Api, trial_id: int) -> dict[str, Any]:
    with api.database.snapshot() as session:
        return dict(session.get_one(Trial, trial_id).spec)


def refused(api: Api, spec: dict[str, Any], person: str = "owner") -> dict[str, dict[str, Any]]:
    problem = problem_of(api.people[person].submit(spec), 422)
    return {error["pointer"]: error for error in problem["errors"]}


def test_it_works(api: Api, tmp_path: Path) -> None:
    source, sha256 = source_of(api, tmp_path)
    asked = {**TRAIN, "init_from": source, "freeze": ["base_norm", "base_conv1"]}
    _, [trial] = api.submitted(asked)
    spec = spec_of(api, trial)
    assert spec["init_from"] == f"{source}@{sha256}"
    assert spec["freeze"] == ["base_conv1", "base_norm"] and "fresh" not in spec
    page = api.browser().get(f"/trials/{trial}").text
    assert f'begun with <a href="/trials/{source}">trial {source}</a>' in page
    assert f"trial {source}, sha256 {sha256[:12]}" in page


def test_what_is_stored_runs_again_from_the_same_bytes(api: Api, tmp_path: Path) -> None:
    source, _ = source_of(api, tmp_path)
    _, [first] = api.submitted({**TRAIN, "init_from": str(source)})
    _, [again] = api.submitted({**TRAIN, "init_from": spec_of(api, first)["init_from"]})
    assert spec_of(api, again) == spec_of(api, first)
    with api.database.snapshot() as session:
        one, other = (session.get_one(Trial, number) for number in (first, again))
        assert one.configuration_digest == other.configuration_digest


def test_a_spec_without_it_is_what_it_was(quick_api: Api) -> None:
    _, [trial] = quick_api.submitted(TRAIN)
    assert not {"init_from", "fresh", "freeze"} & spec_of(quick_api, trial).keys()


def test_a_sweep_begins_with_it_too(api: Api, tmp_path: Path) -> None:
    (one, digest), (other, other_digest) = (source_of(api, tmp_path) for _ in range(2))
    sweep = {
        "kind": "sweep", "strategy": {"method": "grid"},
        "base": {**TRAIN, "init_from": one, "fresh": ["head"]},
        "space": {"learning_rate": [0.1, 0.01]},
    }  # fmt: skip
    _, trials = api.submitted(sweep)
    assert {spec_of(api, trial)["init_from"] for trial in trials} == {f"{one}@{digest}"}
    _, trials = api.submitted({**sweep, "space": {"init_from": [one, other]}})
    pinned = {spec_of(api, trial)["init_from"] for trial in trials}
    assert pinned == {f"{one}@{digest}", f"{other}@{other_digest}"}
    assert "/base/init_from" in refused(
        api, {**sweep, "base": {**sweep["base"], "init_from": 999}}
    )  # fmt: skip
    assert "/space/init_from" in refused(api, {**sweep, "space": {"init_from": [one, 999]}})


@pytest.mark.parametrize("written", [0, -1, True, 1.5, "12@abc", "12@" + "A" * 64, "x", [1], ""])
def test_what_is_no_reference_is_refused(quick_api: Api, written: Any) -> None:
    [(where, error)] = refused(quick_api, {**TRAIN, "init_from": written}).items()
    assert where == "/init_from" and "such as 12" in error["detail"]


def test_each_problem_names_the_field_and_the_fix(api: Api, tmp_path: Path) -> None:
    source, _ = source_of(api, tmp_path)
    without, _ = source_of(api, tmp_path, best=False)
    _, [benchmark] = api.submitted(BENCHMARK)
    cases = {
        (999, None): ("there is no trial 999", "labpool ls"),
        (benchmark, None): ("is a benchmark", "training run"),
        (without, None): ("no best checkpoint", f"retry {without}"),
        (source, "0" * 64): ("no checkpoint of this sha256", f"init_from: {source}"),
    }
    for (number, sha256), (detail, suggestion) in cases.items():
        reference = f"{number}@{sha256}" if sha256 else number
        error = refused(api, {**TRAIN, "init_from": reference})["/init_from"]
        assert detail in error["detail"] and suggestion in error["suggestion"]
    failed(api, claimed(api), "away with the benchmark")


def test_what_trains_itself_has_no_layers_to_begin_with(api: Api, tmp_path: Path) -> None:
    _, [waiting] = api.submitted({"kind": "train", "model": "ten_lines", "dataset": "xor"})
    error = refused(api, {**TRAIN, "init_from": waiting})["/init_from"]
    assert error["detail"] == (
        f"trial {waiting} has no layers to take: its model 'ten_lines' trains itself."
    )
    assert error["suggestion"] == "Name a training run of a network."
    source = claimed(api)
    checkpoint(api, source, 1, b"weights", tmp_path, best=True)
    succeeded(api, source)
    sweep = {
        "kind": "sweep", "strategy": {"method": "grid"},
        "base": TRAIN, "space": {"init_from": [source.trial_id]},
    }  # fmt: skip
    assert "no layers" in refused(api, sweep)["/space/init_from"]["detail"]
    assert "the layers of a network" in refused(
        api, {"kind": "train", "model": "dqn", "init_from": source.trial_id}
    )["/init_from"]["detail"]  # fmt: skip


def test_a_trial_that_has_not_ended_is_refused(api: Api, tmp_path: Path) -> None:
    """Its best checkpoint may still give way to a better one."""
    _, [waiting] = api.submitted(TRAIN)
    assert "has not ended" in refused(api, {**TRAIN, "init_from": waiting})["/init_from"]["detail"]
    running = claimed(api)
    checkpoint(api, running, 1, b"early", tmp_path, best=True)
    error = refused(api, {**TRAIN, "init_from": waiting})["/init_from"]
    assert "it is running" in error["detail"] and "labpool stop" in error["suggestion"]
    failed(api, running, "It diverged.")
    api.submitted({**TRAIN, "init_from": waiting})


def test_names_of_layers_are_checked_where_they_are_known(quick_api: Api, tmp_path: Path) -> None:
    source, _ = source_of(quick_api, tmp_path)
    with quick_api.database.transaction() as session:
        result = session.get_one(Result, source)
        result.summary = {"layers": {"all": LAYERS}}
    wrong = {**TRAIN, "init_from": source, "freeze": ["base_conv"]}
    error = refused(quick_api, wrong)["/freeze"]
    assert "no layer 'base_conv'" in error["detail"] and "base_conv1" in error["suggestion"]
    quick_api.submitted({**wrong, "freeze": ["base_conv1"]})
    sweep = {
        "kind": "sweep", "strategy": {"method": "grid"},
        "base": {**TRAIN, "init_from": source}, "space": {"freeze": [[], ["base_conv1"]]},
    }  # fmt: skip
    _, trials = quick_api.submitted(sweep)
    assert [spec_of(quick_api, trial).get("freeze") for trial in trials] == [None, ["base_conv1"]]
    page = quick_api.browser().get(f"/trials/{trials[1]}").text
    assert "base_conv1" in page
    sweep["space"] = {"freeze": [[], ["base_conv"]]}
    error = refused(quick_api, sweep)["/space/freeze"]
    assert "no layer 'base_conv'" in error["detail"] and "base_conv1" in error["suggestion"]
    # Of another configuration the layers may be others: its runner will say.
    quick_api.submitted({**wrong, "parameters": {"filters": 8}})


def test_private_results_stay_private(private_api: Api, tmp_path: Path) -> None:
    source, _ = source_of(private_api, tmp_path)
    spec = {**TRAIN, "init_from": source}
    error = refused(private_api, spec, "teammate")["/init_from"]
    assert error["detail"] == f"there is no trial {source}."
    assert private_api.admin.submit(spec).status_code == 201
    assert private_api.owner.submit(spec).status_code == 201


def test_a_check_and_the_form_say_the_same(quick_api: Api, tmp_path: Path) -> None:
    source, sha256 = source_of(quick_api, tmp_path)
    check = "/api/v1/specs/validate"
    assert quick_api.owner.post(check, {**TRAIN, "init_from": source}).status_code == 200
    problem = problem_of(quick_api.owner.post(check, {**TRAIN, "init_from": 999}), 422)
    assert problem["errors"][0]["pointer"] == "/init_from"
    _, [trial] = quick_api.submitted({**TRAIN, "init_from": source, "freeze": ["base_norm"]})
    page = quick_api.browser().get(f"/submit?from=trial:{trial}").text
    assert f'value="{source}@{sha256}"' in page and 'value="base_norm"' in page
    assert f"init_from: &#34;{source}@{sha256}&#34;" in page


def test_what_began_elsewhere_is_on_no_board(quick_api: Api, tmp_path: Path) -> None:
    source, _ = source_of(quick_api, tmp_path)
    quick_api.submitted({**TRAIN, "init_from": source})
    succeeded(quick_api, claimed(quick_api))
    rows = quick_api.owner.get("/api/v1/boards/digits").get_json()["rows"]
    assert [row["trial_id"] for row in rows] == [source]


def test_what_a_search_makes_later_is_pinned_too(api: Api, tmp_path: Path) -> None:
    sources = dict(source_of(api, tmp_path) for _ in range(2))
    sweep = {
        "kind": "sweep", "strategy": {"method": "random", "trials": 1},
        "base": TRAIN, "space": {"init_from": list(sources), "seed": {"low": 0, "high": 99}},
    }  # fmt: skip
    experiment, [_] = api.submitted(sweep)
    more = api.owner.post(f"/api/v1/experiments/{experiment}/trials", {"trials": 5})
    assert more.status_code == 200, more.text
    listed = api.owner.get(f"/api/v1/trials?experiment={experiment}").get_json()["trials"]
    specs = [spec_of(api, trial["id"])["init_from"] for trial in listed]
    assert len(specs) == 6
    assert set(specs) == {f"{number}@{sha256}" for number, sha256 in sources.items()}
