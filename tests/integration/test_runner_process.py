"""The real runner process, spoken to as its slot does: training, cancel, resume, and every end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labpool.catalog import Catalog
from tests.support.runners import (
    CHECKOUT,
    Runner,
    environment,
    of_type,
    points_of,
    process_exists,
    runner,
    trial_of,
    wait_until,
)
from worker import protocol
from worker.runner import checkpoints

MLP = {
    "kind": "train",
    "model": "mlp",
    "parameters": {"hidden": [32], "dropout": 0.2},
    "dataset": "spirals",
    "dataset_parameters": {"examples": 300},
    "epochs": 4,
    "learning_rate_decay": 0.9,
}
LONG = {**MLP, "epochs": 5000, "checkpoint_every_epochs": 5000}


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """One runner for many trials, as in a slot."""
    with runner(tmp_path_factory.mktemp("warm")) as running:
        yield running


def arrays(scratch: Path, saved: protocol.Checkpoint) -> list[Any]:
    loaded = checkpoints.load(scratch / saved.file, saved.sha256)
    return [*loaded.model, *loaded.optimizer]


def same(one: list[Any], two: list[Any]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_it_works(warm: Runner, tmp_path: Path) -> None:
    messages = warm.run(trial_of(MLP, tmp_path, trial=7, fence=3))
    assert {(m.trial, m.fence) for m in messages} == {(7, 3)}  # type: ignore[union-attr]

    started = of_type(messages, protocol.Started)[0]
    assert messages[0] == started and (started.total, started.unit) == (4, "epoch")
    assert started.environment["device"] == "cpu"
    assert started.environment["versions"].keys() >= {"python", "tensorflow", "keras", "numpy"}
    assert started.environment["examples"] == {"training": 180, "validation": 60, "test": 60}

    epochs = [m for m in points_of(messages) if "val_loss" in m.values]
    assert [m.epoch for m in epochs] == [1, 2, 3, 4]
    assert [m.step for m in epochs] == [6, 12, 18, 24]
    rates = [m.values["learning_rate"] for m in epochs]
    assert rates == pytest.approx([0.003 * 0.9**n for n in range(4)])
    assert set(epochs[0].values) == {
        *("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
    }
    inside = [m for m in points_of(messages) if "step_loss" in m.values]
    assert [m.step for m in inside] == list(range(1, 25))
    assert of_type(messages, protocol.Progress)[-1].done == 4

    saved = of_type(messages, protocol.Checkpoint)
    assert [m.epoch for m in saved] == [1, 2, 3, 4]
    for message in saved:
        file = tmp_path / message.file
        assert file.stat().st_size == message.bytes
        assert checkpoints.load(file, message.sha256).epoch == message.epoch

    result = messages[-1]
    assert isinstance(result, protocol.Result) and not result.ended_early
    best = max(saved, key=lambda m: (m.value, m.best))
    assert result.metrics["val_accuracy"] == best.value
    assert result.metrics["epochs_run"] == 4
    assert result.metrics["images_per_second"] > 0
    assert "epoch 4/4" in (tmp_path / "log.txt").read_text()
    assert not list(tmp_path.glob(".*"))


def test_the_best_epoch_is_the_one_that_is_tested(warm: Runner, tmp_path: Path) -> None:
    # A rate so high that later epochs are worse than earlier ones.
    spec = {**MLP, "learning_rate": 0.5, "learning_rate_decay": 1.0, "epochs": 8}
    messages = warm.run(trial_of(spec, tmp_path))
    result = messages[-1]
    assert isinstance(result, protocol.Result)
    epochs = [m.values for m in points_of(messages) if "val_loss" in m.values]
    order = sorted(range(8), key=lambda n: (-epochs[n]["val_accuracy"], epochs[n]["val_loss"]))
    assert result.metrics["best_epoch"] == order[0] + 1
    flagged = [m.epoch for m in of_type(messages, protocol.Checkpoint) if m.best]
    assert flagged[-1] == result.metrics["best_epoch"]


def test_a_seed_gives_the_same_bits_warm_and_fresh(warm: Runner, tmp_path: Path) -> None:
    # Other trials in between must leave nothing behind.
    one = warm.result(trial_of(MLP, tmp_path / "one"))
    warm.result(trial_of({**MLP, "seed": 9, "optimizer": "sgd"}, tmp_path / "between"))
    two = warm.result(trial_of(MLP, tmp_path / "two"))
    with runner(tmp_path / "home", "--light") as fresh:
        three = fresh.result(trial_of(MLP, tmp_path / "three"))
    digests = {result.summary["weights_sha256"] for result in (one, two, three)}
    assert len(digests) == 1
    assert len({result.metrics["test_loss"] for result in (one, two, three)}) == 1
    other = warm.result(trial_of({**MLP, "seed": 1}, tmp_path / "other"))
    assert other.summary["weights_sha256"] not in digests


def test_fit_ends_with_the_bits_of_the_loop(warm: Runner, tmp_path: Path) -> None:
    loop = warm.result(trial_of(MLP, tmp_path / "loop"))
    messages = warm.run(trial_of({**MLP, "engine": "fit"}, tmp_path / "fit"))
    fit = messages[-1]
    assert isinstance(fit, protocol.Result)
    assert fit.summary["best_weights_sha256"] == loop.summary["best_weights_sha256"]
    assert fit.metrics["test_accuracy"] == loop.metrics["test_accuracy"]
    assert of_type(messages, protocol.Started)[0].environment["engine"] == "fit"
    # It tells no step's loss, so there is none to draw.
    assert not [m for m in points_of(messages) if "step_loss" in m.values]


@pytest.mark.parametrize(
    "spec",
    [
        {**MLP, "optimizer": "adadelta", "learning_rate": 1.0, "early_stopping_patience": 3},
        {"kind": "train", "model": "keras_cnn", "dataset": "digits", "epochs": 4},
    ],
    ids=["mlp", "keras_cnn"],
)
def test_a_resumed_run_ends_with_the_same_bits(
    warm: Runner, tmp_path: Path, spec: dict[str, Any]
) -> None:
    whole = warm.run(trial_of(spec, tmp_path / "whole", trial=1))
    saved = of_type(whole, protocol.Checkpoint)
    scratch = tmp_path / "resumed"
    scratch.mkdir()
    # What a slot does: it puts the newest checkpoint of the lost attempt into a new scratch folder.
    (scratch / saved[1].file).write_bytes((tmp_path / "whole" / saved[1].file).read_bytes())
    resumed = warm.run(trial_of(spec, scratch, trial=1, fence=2, resume=saved[1]))

    one, two = whole[-1], resumed[-1]
    assert isinstance(one, protocol.Result) and isinstance(two, protocol.Result)
    assert two.summary["resumed_at_epoch"] == 2
    for key in ("weights_sha256", "best_weights_sha256"):
        assert one.summary[key] == two.summary[key]
    for name in ("test_accuracy", "test_loss", "val_accuracy", "best_epoch", "epochs_run"):
        assert one.metrics[name] == two.metrics[name]
    last = of_type(resumed, protocol.Checkpoint)[-1]
    assert same(arrays(tmp_path / "whole", saved[-1]), arrays(scratch, last))
    curve = [(m.step, m.values) for m in points_of(whole) if m.epoch > 2]
    again = [(m.step, m.values) for m in points_of(resumed)]
    assert again == curve


def test_a_checkpoint_that_was_changed_is_refused(warm: Runner, tmp_path: Path) -> None:
    saved = of_type(warm.run(trial_of(MLP, tmp_path)), protocol.Checkpoint)[0]
    file = tmp_path / saved.file
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    answer = warm.run(trial_of(MLP, tmp_path, fence=2, resume=saved))[-1]
    assert isinstance(answer, protocol.Failed) and answer.reason_kind == "internal"
    assert saved.sha256 in answer.reason


def test_early_stopping_ends_a_run(warm: Runner, tmp_path: Path) -> None:
    # With a rate of next to nothing the second epoch is hardly ever better than the first.
    spec = {**MLP, "optimizer": "sgd", "learning_rate": 1e-12, "epochs": 50}
    result = warm.result(trial_of({**spec, "early_stopping_patience": 2}, tmp_path))
    assert result.ended_early and result.metrics["epochs_run"] < 50


@pytest.mark.parametrize(
    ("engine", "place"),
    [("loop", r"at step \d+; a lower"), ("fit", r"in epoch 1, whose steps fit keeps to itself; a")],
)
def test_a_training_that_diverges_says_so(
    warm: Runner, tmp_path: Path, engine: str, place: str
) -> None:
    # Neurons that square what they get; with those of the catalog the loss stays finite.
    shutil.copytree(CHECKOUT / "catalog", tmp_path / "catalog")
    code = tmp_path / "catalog" / "models" / "mlp" / "model.py"
    code.write_text(code.read_text().replace('parameters["activation"]', "keras.ops.square"))
    catalog = Catalog.load([tmp_path / "catalog"])
    spec = {**MLP, "optimizer": "sgd", "learning_rate": 100.0, "engine": engine}
    answer = warm.run(trial_of(spec, tmp_path / "trial", catalog=catalog))[-1]
    assert isinstance(answer, protocol.Failed)
    assert answer.reason_kind == "diverged" and "learning rate" in answer.reason
    assert re.search(place, answer.reason), answer.reason


@pytest.mark.parametrize("engine", ["loop", "fit"])
def test_a_cancel_in_mid_training_is_heard(warm: Runner, tmp_path: Path, engine: str) -> None:
    warm.send(protocol.Run(trials=(trial_of({**LONG, "engine": engine}, tmp_path, trial=5),)))
    warm.until(lambda message: isinstance(message, protocol.Points) and message.steps[-1] > 100)
    # A cancel of another claim of the same trial is none of this one's business.
    warm.send(protocol.Cancel(trial=5, fence=9))
    warm.until(lambda message: isinstance(message, protocol.Points))
    warm.send(protocol.Cancel(trial=5, fence=1))
    seen = warm.until(lambda message: isinstance(message, protocol.Idle))
    assert seen[-2] == protocol.Cancelled(trial=5, fence=1)
    warm.result(trial_of(MLP, tmp_path / "next"))


def test_trials_of_one_run_are_answered_in_order(warm: Runner, tmp_path: Path) -> None:
    trials = tuple(trial_of(MLP, tmp_path / str(n), trial=n) for n in (1, 2, 3))
    warm.send(protocol.Run(trials=trials))
    warm.send(protocol.Cancel(trial=2, fence=1))
    seen = warm.until(lambda message: isinstance(message, protocol.Idle))
    answers = [m for m in seen if isinstance(m, protocol.Result | protocol.Cancelled)]
    assert [type(answer) for answer in answers] == [
        protocol.Result,
        protocol.Cancelled,
        protocol.Result,
    ]
    assert (tmp_path / "3" / "log.txt").exists()


def test_code_of_another_digest_is_not_loaded(warm: Runner, tmp_path: Path) -> None:
    trial = trial_of(MLP, tmp_path)
    wanted = "0" * 64
    other = trial.model_copy(update={"code": trial.code.model_copy(update={"digest": wanted})})
    answer = warm.run(other)[-1]
    assert isinstance(answer, protocol.Failed)
    assert wanted in answer.reason and trial.code.digest in answer.reason


def test_a_cpu_benchmark(warm: Runner, tmp_path: Path) -> None:
    sizes = {"outputs": 300, "inputs": 200, "batch": 3}
    spec = {"kind": "benchmark", "kernel": "dense_relu", "device": "cpu", "sizes": sizes}
    messages = warm.run(trial_of(spec, tmp_path))
    result = messages[-1]
    assert isinstance(result, protocol.Result)
    found = result.metrics
    assert found["samples"] >= 30
    assert 0 < found["median_low_ms"] <= found["median_ms"] <= found["median_high_ms"]
    assert found["p5_ms"] <= found["median_ms"] <= found["p95_ms"]
    assert found["max_relative_error"] <= 1e-5
    operations = 2 * 3 * 300 * 201
    assert result.summary["operations"] == operations
    assert found["gflop_s"] == pytest.approx(operations / found["median_ms"] / 1e6)
    assert found["percent_of_peak"] > 0 and found["batch_ms"] > 0
    parts = {"timing", "roofline", "referee", "settled", "bytes", "operations", "tolerance"}
    assert parts <= set(result.summary)
    curve = points_of(messages)
    assert len(curve) <= 500 and all(set(m.values) == {"sample_ms"} for m in curve)
    assert of_type(messages, protocol.Started)[0].unit == "sample"


def test_a_gpu_benchmark_without_a_gpu_names_what_is_missing(warm: Runner, tmp_path: Path) -> None:
    spec = {"kind": "benchmark", "kernel": "dense_relu", "device": "gpu"}
    answer = warm.run(trial_of(spec, tmp_path))[-1]
    assert isinstance(answer, protocol.Failed) and answer.reason_kind == "not_prepared"
    assert "pycuda" in answer.reason or "driver" in answer.reason
    # It ran in a process of its own; this one goes on.
    warm.result(trial_of(MLP, tmp_path / "next"))


def test_a_gpu_training_without_a_gpu_does_not_fall_back(warm: Runner, tmp_path: Path) -> None:
    answer = warm.run(trial_of({**MLP, "device": "gpu"}, tmp_path))[-1]
    assert isinstance(answer, protocol.Failed) and answer.reason_kind == "gpu_fault"


@pytest.fixture
def breaking(tmp_path: Path) -> Catalog:
    """A catalog whose kernels break in the ways their names say; no TensorFlow is needed."""
    bodies = {
        "exits": "import os; os._exit(7)",
        "crashes": "import ctypes; ctypes.string_at(0)",
        "raises": "raise ValueError('no such thing\\x00')",
        "out_of_memory": "raise MemoryError",
        "unsuitable": "from labpool.sdk import Unsuitable; raise Unsuitable('five of six')",
    }
    original = (CHECKOUT / "catalog" / "kernels" / "dense_relu").resolve()
    for name, body in bodies.items():
        folder = tmp_path / "catalog" / "kernels" / name
        folder.mkdir(parents=True)
        (folder / "kernel.toml").write_text((original / "kernel.toml").read_text())
        (folder / "kernel.cu").write_text("")
        source = (original / "reference.py").read_text()
        broken = source.replace(
            "def edge_sizes(launch: Mapping[str, int]) -> Sequence[Sizes]:",
            f"def edge_sizes(launch):\n    print('about to break', flush=True); {body}\n",
        )
        (folder / "reference.py").write_text(broken)
    return Catalog.load([tmp_path / "catalog"])


def benchmark_of(name: str) -> dict[str, Any]:
    return {"kind": "benchmark", "kernel": name, "device": "cpu"}


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("raises", "internal", "no such thing"),
        ("out_of_memory", "out_of_memory", "MemoryError"),
        ("unsuitable", "user_error", "five of six"),
    ],
)
def test_what_goes_wrong_is_told_apart(
    tmp_path: Path, breaking: Catalog, name: str, kind: str, says: str
) -> None:
    with runner(tmp_path / "home", "--light") as light:
        answer = light.run(trial_of(benchmark_of(name), tmp_path / "t", catalog=breaking))[-1]
    assert isinstance(answer, protocol.Failed)
    assert answer.reason_kind == kind and says in answer.reason
    log = (tmp_path / "t" / "log.txt").read_text()
    assert "about to break" in log and "Traceback" in log


@pytest.mark.parametrize(("name", "status"), [("exits", 7), ("crashes", -signal.SIGSEGV)])
def test_a_crash_ends_the_process_and_leaves_its_log(
    tmp_path: Path, breaking: Catalog, name: str, status: int
) -> None:
    with runner(tmp_path / "home", "--light") as light:
        trial = trial_of(benchmark_of(name), tmp_path / "t", catalog=breaking)
        light.send(protocol.Run(trials=(trial,)))
        with pytest.raises(AssertionError, match="the runner ended"):
            light.until(lambda message: isinstance(message, protocol.Idle))
        assert light.wait() == status
    log = (tmp_path / "t" / "log.txt").read_text()
    assert "about to break" in log
    assert ("Segmentation fault" in log) == (name == "crashes")


def test_bye_ends_the_process_in_order(tmp_path: Path) -> None:
    with runner(tmp_path, "--light") as light:
        light.until(lambda message: isinstance(message, protocol.Ready))
        light.send(protocol.Bye())
        assert light.wait() == 0


def test_a_light_runner_imports_nothing_heavy(tmp_path: Path) -> None:
    with runner(tmp_path, "--light") as light:
        light.until(lambda message: isinstance(message, protocol.Ready))
        maps = Path(f"/proc/{light.process.pid}/maps").read_text()
    assert "tensorflow" not in maps and "numpy" not in maps


@pytest.mark.parametrize("when", ["idle", "at work"])
def test_the_end_of_the_socket_ends_the_process(tmp_path: Path, when: str) -> None:
    with runner(tmp_path / "home", "--light") as light:
        light.until(lambda message: isinstance(message, protocol.Ready))
        if when == "at work":
            light.send(protocol.Run(trials=(trial_of(LONG, tmp_path / "t"),)))
            light.until(lambda message: isinstance(message, protocol.Points))
        light.socket.close()
        assert light.wait() == 3


def test_nonsense_from_the_slot_ends_the_process(tmp_path: Path) -> None:
    with runner(tmp_path, "--light") as light:
        light.socket.sendall(b"not json\n")
        assert light.wait() == 3


def test_the_process_ends_with_its_parent(tmp_path: Path) -> None:
    # A parent that starts a runner, hands its socket to nobody, and is killed. The test keeps the
    # socket's other end open, so only the parent-death signal can end the runner.
    parent = textwrap.dedent(
        """
        import os, socket, subprocess, sys, time
        fd = int(sys.argv[1])
        runner = subprocess.Popen(
            [sys.executable, "-m", "worker.runner", "--light", "--fd", str(fd),
             "--parent-pid", str(os.getpid())],
            pass_fds=(fd,), start_new_session=True,
        )
        print(runner.pid, flush=True)
        time.sleep(60)
        """
    )
    import socket

    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-c", parent, str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stdout=subprocess.PIPE,
            env=environment(tmp_path),
            cwd=tmp_path,
        )
        assert process.stdout is not None
        with process.stdout:
            pid = int(process.stdout.readline())
            ours.settimeout(30)
            assert b"hello" in ours.recv(65536)
            assert process_exists(pid)
            process.kill()
            process.wait()
        wait_until(lambda: not process_exists(pid))


def test_a_parent_that_ended_too_soon_is_noticed(tmp_path: Path) -> None:
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "worker.runner"),
            *("--light", "--fd", "0", "--parent-pid", str(os.getpid() + 1)),
        ],
        env=environment(tmp_path),
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 1
