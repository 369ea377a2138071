"""What the commands that look at the service print, as people and as scripts read it."""

from __future__ import annotations

import json
import re

import pytest

from labpool.cli import options
from labpool.cli.exit_codes import ExitCode
from labpool.cli.log_text import without_modules
from labpool.client.records import TrialDetail, TrialList
from tests.support.cli import POOL, QUEUE, TRIAL, FakeClient, run


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> type[FakeClient]:
    """Commands reach this class; a test may change it."""
    made = type("FakeClientOfOneTest", (FakeClient,), {})
    monkeypatch.setattr(options, "Client", made)
    return made


@pytest.mark.parametrize(
    "arguments",
    [
        ("ls",),
        ("show", "7"),
        ("show", "11", "--trial"),
        ("board",),
        ("board", "digits"),
        ("pool",),
        ("curves", "11"),
        ("compare", "11", "12"),
        ("data", "ls"),
        ("data", "show", "spirals"),
        ("watch", "7"),
    ],
)
def test_reading_commands_give_json(service: type[FakeClient], arguments: tuple[str, ...]) -> None:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.splitlines()
    json.loads(line)


def test_ls_is_a_table_without_control_characters(service: type[FakeClient]) -> None:
    result = run("ls")
    assert "a �[31msweep" in result.stdout
    assert "\x1b" not in result.stdout
    assert result.stdout.splitlines()[0].split() == (
        ["id", "kind", "name", "owner", "finished", "states", "created"]
    )


def test_the_board_is_a_table(service: type[FakeClient]) -> None:
    result = run("board", "digits")
    assert "higher is better" in result.stdout
    assert re.search(r"1\s+ada\s+0.97772\s+lenet5\s+learning_rate=0.001\s+cpu", result.stdout)


def test_the_pool_hides_what_is_hidden(service: type[FakeClient]) -> None:
    result = run("pool")
    assert "another user's trial" in result.stdout
    assert "1 of 1 slot busy, 4 trials waiting" in result.stdout


def test_the_pool_names_what_takes_nothing(service: type[FakeClient]) -> None:
    shown = run("pool").stdout
    assert re.search(r"gpu1\s+92d6bde7\s+3\s+cpu 0\s+cpu\s+draining", shown)
    assert "Out of service: H200 of gpu2: It " in shown
    assert "labpool pool clear GPU-7" in shown
    assert "\x1b" not in shown


def test_admins_keep_the_pool_in_repair(service: type[FakeClient]) -> None:
    assert "H200 of gpu2 is in service again." in run("pool", "clear", "3").stdout
    assert json.loads(run("pool", "clear", "3", "--json").stdout)["device"] == "3"
    assert "takes nothing more" in run("pool", "drain", "gpu1").stdout
    assert "takes trials again" in run("pool", "drain", "gpu1", "--undo").stdout


def test_the_pool_shows_the_queue_with_reasons(service: type[FakeClient]) -> None:
    result = run("pool")
    assert re.search(r"12\s+ada\s+train\s+mlp\s+gpu\s+It needs a GPU slot", result.stdout)
    assert json.loads(run("pool", "--json").stdout)["queue"] == QUEUE


def test_curves_are_sparklines_a_plot_or_csv(service: type[FakeClient]) -> None:
    assert re.search(r"val_loss\s+3\s+1.5\s+0.5\s+0.5\s+1.5\s+█ ▁", run("curves", "11").stdout)
    plotted = run("curves", "11", "--name", "val_loss").stdout.splitlines()
    assert len(plotted) == 13
    assert plotted[1].lstrip().startswith("1.5 │")
    assert plotted[10].lstrip().startswith("0.5 │")
    assert run("curves", "11", "--csv").stdout.splitlines() == [
        "metric,step,epoch,time_s,value",
        "val_loss,1,1,0.1,1.5",
        "val_loss,2,2,0.2,",
        "val_loss,3,3,0.3,0.5",
    ]


def test_a_curve_that_is_not_there_is_said(service: type[FakeClient]) -> None:
    result = run("curves", "11", "--name", "loss")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "It has val_loss." in result.stderr


def test_compare_shows_what_differs_and_marks_the_best(service: type[FakeClient]) -> None:
    lines = run("compare", "11", "12").stdout.splitlines()
    assert lines[0].split() == (
        ["trial", "state", "parameters.units", "test_accuracy", "val_loss", "epochs_run", "time"]
    )
    assert lines[1].split()[:6] == ["11", "succeeded", "11", "0.11", "1.1*", "3"]
    assert lines[2].split()[:6] == ["12", "succeeded", "12", "0.12*", "1.2", "3"]
    found = json.loads(run("compare", "11", "12", "--metric", "val_loss", "--json").stdout)
    assert found["best"] == {"val_loss": [11]}
    assert found["trials"][0]["differing"] == {"parameters.units": 11}


def test_compare_needs_two(service: type[FakeClient]) -> None:
    result = run("compare", "11", "11")
    assert result.exit_code == ExitCode.USAGE
    assert "2 to 200" in result.stderr


def test_data_sets_are_listed_and_shown(service: type[FakeClient]) -> None:
    assert re.search(r"spirals\s+vector\s+2\s+2\s+2000 \(a", run("data", "ls").stdout)
    shown = run("data", "show", "spirals").stdout
    assert "60% train, 20% validation, 20% test" in shown
    assert re.search(r"tasks\s+classification\n", shown)
    assert re.search(r"examples\s+integer\s+2000\s+50\s+100000\s+How many", shown)
    assert "all the same examples" in run("data", "show", "table").stdout
    missing = run("data", "show", "mnist")
    assert missing.exit_code == ExitCode.NOT_FOUND
    assert "spirals" in missing.stderr


def test_a_log_is_text_or_json_lines(service: type[FakeClient]) -> None:
    assert run("logs", "11").stdout == "epoch 1\nepoch 2\n"
    lines = run("logs", "11", "--json").stdout.splitlines()
    assert json.loads(lines[1]) == {"trial": 11, "text": "epoch 2\n"}


def test_attempts_are_counted_and_each_has_its_log(
    service: type[FakeClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = [
        {"fence": 5, "place": "slot 1", "outcome": None},
        {"fence": 3, "place": "slot 1", "outcome": "released", "reason_kind": "out_of_memory"},
        {"fence": 1, "place": "slot 2", "outcome": "released", "reason_kind": None},
    ]
    whole = TrialDetail.model_validate({**TRIAL, "id": 11, "attempts": attempts})
    monkeypatch.setattr(service, "trial", lambda self, trial_id: whole)
    shown = run("show", "11", "--trial").stdout
    assert "1: slot 2, given back\n  2: slot 1, out of memory\n  3: slot 1, runs" in shown
    assert run("logs", "11", "--attempt", "2").stdout == "epoch 1\nof fence 3\n"
    none = run("logs", "11", "--attempt", "4")
    assert none.exit_code == ExitCode.USAGE
    assert "Trial 11 had 3 attempts; there is no attempt 4." in none.stderr


def test_watch_prints_the_end_as_json(service: type[FakeClient]) -> None:
    ((seen),) = json.loads(run("watch", "7", "--json").stdout)
    assert seen["experiment"]["id"] == 7
    assert [trial["id"] for trial in seen["trials"]] == [11]


def test_show_says_why_a_trial_waits(service: type[FakeClient]) -> None:
    assert "waiting: two are ahead" in run("show", "11", "--trial").stdout


def test_what_ended_early_is_shown_so(service: type[FakeClient]) -> None:
    progress = {"done": 124.0, "total": 20000.0, "unit": "epoch"}
    early = {**TRIAL, "ended_early": True, "progress": progress}
    service.trial = lambda self, trial_id: TrialDetail.model_validate(early)  # type: ignore[method-assign]
    service.trials = lambda self, *_: TrialList([self.trial(11)])  # type: ignore[method-assign]
    text = run("show", "11", "--trial").stdout
    assert "succeeded, ended early after 124 of 20,000 epochs; http" in text
    table = run("show", "7").stdout
    assert "1 %, ended early" in table and "100 %" not in table
    early["reason"] = "Stopped by ada."
    text = run("show", "11", "--trial").stdout
    assert "ended early: stopped by ada, after 124 of 20,000 epochs; http" in text
    assert "reason:" not in text, "once is enough"
    assert "1 %, ended early: stopped by ada" in run("show", "7").stdout


def test_silent_workers_are_shown_with_what_they_hold(service: type[FakeClient]) -> None:
    (worker,) = POOL["workers"]
    content = {**POOL, "workers": [{**worker, "alive": False}], "slot_count": 0, "busy_count": 0}
    service.pool = lambda self: {**content, "queued_count": 1}  # type: ignore[method-assign]
    text = run("pool").stdout
    assert re.search(r"cpu\s+silent\s+another user's trial; last seen \d+ h", text)
    assert "No worker is alive" in text
    assert "0 of 0 slots busy, 1 trial waiting" in text


def test_a_crashs_modules_do_not_hide_its_stack() -> None:
    parts = ["Fatal Python error\n  File 1\n\nExt", "ension modules: numpy, ", "scipy\nlast", "\nE"]
    assert "".join(without_modules(parts)) == "Fatal Python error\n  File 1\n\nlast\nE"
    assert list(without_modules(["epoch 1", "\n"])) == ["epoch 1", "\n"], "nothing is kept waiting"


def test_what_ended_well_is_done_with_all_of_it(service: type[FakeClient]) -> None:
    assert "100 %" in run("show", "7").stdout
    assert "experiment 7: succeeded; http" in run("show", "11", "--trial").stdout
