"""Programs of `tests/bench/rivals` and the service, on a tiny sweep; no peers' environment."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from labpool.settings import CHECKOUT
from tests.bench import programs
from tests.bench.rivals import sweeps, ways

FOLDER = CHECKOUT / "tests" / "bench" / "rivals"
PROGRAMS = sorted(FOLDER.glob("by_*.py"))


def test_it_works() -> None:
    """The shell loop and labpool do the same small sweep to about the same accuracy."""
    spec = sweeps.spec_of("mlp_small", shortened_to=6)
    spec["space"] = {"learning_rate": [0.003], "learning_rate_decay": [0.97], "seed": [0, 1]}
    shell = ways.by_peer(Path(sys.executable), "shell", sweeps.trials_of(spec))
    with ways.pool() as client:
        unfused = ways.by_labpool(client, "off", spec)
        fused = ways.by_labpool(client, 2, spec)
    assert shell.trials == unfused.trials == fused.trials == 2
    assert shell.start_s is not None and shell.seconds > shell.start_s
    assert "tensorflow" in shell.versions
    for one in (shell, fused):
        assert one.accuracy == pytest.approx(unfused.accuracy, abs=0.03)
    assert unfused.accuracy > 0.9


def test_our_loop_lent_gives_the_bits_of_labpools_trial() -> None:
    code = (
        "import tempfile\n"
        "from pathlib import Path\n"
        "from tests.bench.rivals import fits, loops, sweeps\n"
        "from tests.support.runners import runner, trial_of\n"
        "loops.warm()\n"
        "found = []\n"
        "for name in ('mlp_small', 'cnn_small'):\n"
        "    spec = sweeps.spec_of(name, shortened_to=2)\n"
        "    trial = sweeps.trials_of(spec)[-1]\n"
        "    assert loops.fit(trial) == loops.fit(trial)\n"
        "    given = {k: v for k, v in trial.items() if k != 'number'}\n"
        "    with tempfile.TemporaryDirectory() as f, runner(Path(f), '--light') as one:\n"
        "        ours = one.result(trial_of(given, Path(f) / 's')).metrics['test_accuracy']\n"
        "    found.append((loops.fit(trial), ours))\n"
        "    shape = loops.splits().shape\n"
        "    weights = [w.shape for w in fits.network(trial['parameters']).weights]\n"
        "    assert weights == [w.shape for w in loops._network(trial, shape).model.weights]\n"
        "assert all(lent == ours for lent, ours in found), found\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, env=programs._environment({}),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_programs_are_sound_and_say_what_they_need(path: Path) -> None:
    compile(path.read_text(encoding="utf-8"), str(path), "exec", ast.PyCF_ONLY_AST)
    command = [sys.executable, "-m", f"tests.bench.rivals.{path.stem}", "both"]
    said = subprocess.run(
        command, cwd=CHECKOUT, env=programs._environment({"PEERS_BROKER_SOCKET": "/none"}),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.returncode == 1
    # Here is no peers' environment: a package that is missing is named, or the argument is.
    assert "'both' is neither" in said.stderr or "ModuleNotFoundError" in said.stderr


def test_every_program_is_a_way_and_every_way_a_program() -> None:
    assert {module for module, _ in ways.PEERS.values()} == {path.stem for path in PROGRAMS}


def test_without_the_peers_environment_a_peer_is_refused_clearly(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.bench.rivals import __main__ as command

    monkeypatch.setattr(programs, "PEERS_PYTHON", tmp_path / ".venv-peers" / "bin" / "python")
    monkeypatch.setattr(sys, "argv", ["rivals", "mlp_small", "ray"])
    with pytest.raises(SystemExit, match="2"):
        command.main()
    assert "make bench-setup" in capsys.readouterr().out
