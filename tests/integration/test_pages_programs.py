"""The pages and lists when a trial has no data set, and its curve is a reward."""

from __future__ import annotations

import json
import re
from html import unescape

from db import findings
from tests.support import pool
from tests.support.api import Api, claimed, succeeded

pytest_plugins = ["tests.support.api_fixtures"]

DQN = {"kind": "train", "model": "dqn"}
SWEEP = {
    "kind": "sweep",
    "base": DQN,
    "strategy": {"method": "grid"},
    "space": {"seed": [0, 1, 2]},
}


def swept(api: Api) -> tuple[int, list[int]]:
    """Two trials with returns, and one that waits."""
    with api.database.transaction() as session:
        slot = pool.slot(session, api.catalog)
    experiment, trials = api.submitted(SWEEP)
    for best in (480.0, 500.0):
        work = claimed(api, slot)
        returns: list[float | None] = [20.0, 100.0, best]
        chunks = [
            findings.Chunk(name, [1, 2, 3], [1.0, 2.0, 3.0], [1.5, 3.0, 4.5], values)
            for name, values in (
                ("return", [18.0, 60.0, 300.0]), ("val_return", returns), ("loss", [0.1, 0.2, 0.3]),
            )
        ]  # fmt: skip
        with api.database.transaction() as session:
            findings.record_metrics(session, work.trial_id, work.fence, chunks)
        succeeded(api, work, test_return=best, val_return=best, epochs_run=3.0)
    return experiment, trials


def test_every_page_copes_without_a_data_set(api: Api) -> None:
    experiment, trials = swept(api)
    browser = api.browser()
    listed = ",".join(str(trial) for trial in trials)
    for path in (
        "/", "/boards/cartpole", "/experiments", "/trials", "/trials?sort=dataset", "/pool",
        "/experiments?sort=dataset", f"/experiments/{experiment}", f"/trials/{trials[0]}",
        f"/trials/{trials[2]}", f"/compare?trials={listed}", f"/submit?from=trial:{trials[0]}",
        f"/submit?from=experiment:{experiment}", "/submit?model=dqn",
    ):  # fmt: skip
        answer = browser.get(path)
        assert answer.status_code == 200, path
        assert " on None" not in answer.text and "dqn on <" not in answer.text, path


def test_a_reward_is_the_first_curve_and_the_one_to_compare(api: Api) -> None:
    experiment, trials = swept(api)
    browser = api.browser()
    [text] = re.findall(r'data-charts="([^"]*)"', browser.get(f"/trials/{trials[0]}").text)
    first = json.loads(unescape(text))[0]
    assert first["title"] == "Return"
    assert [curve["metric"] for curve in first["curves"]] == ["return", "val_return"]
    page = browser.get(f"/experiments/{experiment}").text
    [text] = re.findall(r'data-charts="([^"]*)"', page)
    assert json.loads(unescape(text))[0]["curves"] == [{"metric": "val_return"}]


def test_the_board_ranks_by_reward(api: Api) -> None:
    _, trials = swept(api)
    page = api.browser().get("/boards/cartpole").text
    found = [int(number) for number in re.findall(r"/trials/(\d+)", page)]
    assert found[0] == trials[1]


def test_the_interface_says_null(api: Api) -> None:
    _, trials = swept(api)
    trial = api.owner.get(f"/api/v1/trials/{trials[0]}").json
    assert trial is not None and trial["dataset"] is None and trial["data_digest"] is None
    refused = api.owner.submit({**DQN, "dataset": "digits"})
    assert refused.status_code == 422
    assert "takes no data" in refused.text and "/dataset" in refused.text
