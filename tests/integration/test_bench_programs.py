"""The programs that `make bench` sets labpool against; these tests need no peers' environment."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from labpool.settings import CHECKOUT
from tests.bench import programs, sweep

PEERS = CHECKOUT / "tests" / "bench" / "peers"
TRIALS = [
    {
        "parameters": {"hidden": [8], "activation": activation}, "seed": 1, "epochs": 1,
        "batch_size": 64, "learning_rate": 0.01,
    }
    for activation in ("relu", "tanh")
]  # fmt: skip
SAYS = "import sys; print('ready', flush=True); sys.stdin.readline(); print({!r}, file={})"


def test_it_works() -> None:
    assert programs.seconds(programs.ideal_command(), [TRIALS[:1], TRIALS[1:]], {}) > 0


def test_a_fresh_process_a_trial() -> None:
    command = programs.peer_command(Path(sys.executable), "fresh", "2")
    assert programs.seconds(command, [TRIALS], {}) > 0


def test_a_fit_is_of_labpools_data_and_optimizer_and_the_same_anywhere() -> None:
    code = (
        "from tests.bench.peers import fits\n"
        "fits.warm()\n"
        "import keras, tensorflow as tf\n"
        "from worker.runner import data, optimizers\n"
        "assert tf.config.threading.get_intra_op_parallelism_threads() == 1\n"
        "assert tf.config.threading.get_inter_op_parallelism_threads() == 1\n"
        "assert (fits._permutation(1797) == data.permutation(1797, 0, 0)).all()\n"
        "made = keras.optimizers.Adam(0.0, beta_1=0.9, beta_2=0.999, epsilon=1e-7).get_config()\n"
        "assert made == {**optimizers.make('adam').get_config(), 'name': made['name']}\n"
        "assert [len(y) for _, y in fits.digits()] == [1079, 359]\n"
        f"print(*[fits.fit(trial) for trial in {TRIALS!r}[::-1]])\n"
    )
    environment = programs._environment({})
    together = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, env=environment,
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    alone = subprocess.run(
        [sys.executable, "-m", "tests.bench.peers.by_fresh", "one", json.dumps(TRIALS[0])],
        cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert together[1:] == alone
    assert together[0] != together[1]


@pytest.mark.parametrize(
    ("code", "heard"),
    [
        ("print('no')", "'no', not 'ready'"),
        (SAYS.format("done 1", "sys.stdout"), "'done 1', not 'done 2'"),
        (SAYS.format("the reason", "sys.stderr"), "the reason"),
    ],
    ids=["not ready", "a trial is missing", "it breaks"],
)
def test_a_program_that_does_not_do_all_breaks_the_measure(code: str, heard: str) -> None:
    with pytest.raises(programs.Broken, match=heard):
        programs.seconds((sys.executable, "-c", code), [TRIALS], {})


def test_a_program_that_stays_silent_is_given_up_and_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(programs, "PATIENCE_S", 0.2)
    monkeypatch.setattr(programs, "END_S", 0.2)
    with pytest.raises(programs.Broken, match=r"nothing in 0\.2 s"):
        programs.seconds((sys.executable, "-c", "import time; time.sleep(60)"), [TRIALS], {})


def test_without_the_peers_environment_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python = tmp_path / ".venv-peers" / "bin" / "python"
    monkeypatch.setattr(programs, "PEERS_PYTHON", python)
    assert programs.peers_python() is None
    assert "make bench-setup" in capsys.readouterr().out
    python.parent.mkdir(parents=True)
    python.touch()
    assert programs.peers_python() is None, "an unfinished one counts as none"
    (tmp_path / ".venv-peers" / ".complete").touch()
    assert programs.peers_python() == python


def test_a_ratio_is_to_the_ideal_of_its_round() -> None:
    each_round = sweep._ratios("one", [2.0, 6.0, 3.0], [1.0, 2.0, 3.0])
    assert each_round == {"ratio_one": 2.0, "ratio_one_least": 1.0, "ratio_one_most": 3.0}
    assert set(sweep._ratios("one", [4.0], [2.0, 1.0]).values()) == {2.0}


def test_the_trials_are_those_of_the_sweeps() -> None:
    assert len(sweep._trials(1)) == 24
    assert len({repr(trial) for trial in sweep._trials(1)}) == 24


@pytest.mark.parametrize("path", sorted(PEERS.glob("*.py")), ids=lambda path: path.stem)
def test_what_peers_run_imports_nothing_of_labpool(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module))
    assert {name.partition(".")[0] for name in imported}.isdisjoint(
        {"api", "catalog", "db", "deploy", "labpool", "worker"}
    )
    assert {name for name in imported if name.startswith("tests")} <= {"tests.bench.peers"}


def test_peers_have_the_versions_of_labpools_lock() -> None:
    ours, theirs = (
        set(re.findall(r"^(?:keras|numpy|scikit-learn|tensorflow)==.*$", text, re.MULTILINE))
        for text in ((CHECKOUT / "requirements" / f"{name}.lock").read_text(encoding="utf-8")
                     for name in ("server", "peers"))
    )  # fmt: skip
    assert ours == theirs
    assert len(ours) >= 4
