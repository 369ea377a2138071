"""24 small trials on two slots of one thread each, from the POST to the last result.

*Ideal* is the time of the same Keras fits back to back in two warm processes that do nothing else.
Each round takes it, labpool with `engine: fit` and labpool's own loop in turn, so that a busy
machine slows all of them; the figures are medians of the rounds' ratios.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from tests.faults.service import Service, service
from tests.support.databases import fresh_database
from tests.support.processes import kept_environment, wait_until

ROUNDS, ROUNDS_QUICK = 5, 1
EPOCHS = {32: 24, 64: 42}
SPACE: Mapping[str, list[Any]] = {
    "parameters.hidden": [[32], [64], [128]],
    "learning_rate": [1e-2, 1e-3],
    "parameters.activation": ["relu", "tanh"],
}
SETTINGS = {"LABPOOL_SLOTS": "2"}
PATIENCE_S = 600.0

BOUNDS = {"bench_trials": "== 24"}
FULL_BOUNDS = {"ratio_fit": "<= 1.15", "ratio_loop": "<= 0.35"}


def figures(quick: bool) -> dict[str, float | int | bool | None]:
    """Ratios to the ideal, their spread over the rounds, and the seconds behind them."""
    rounds = ROUNDS_QUICK if quick else ROUNDS
    seconds: dict[str, list[float]] = {"ideal": [], "fit": [], "loop": []}
    with _pool() as running:
        # Once unmeasured: the first trials of a pool find its runners still importing.
        submitted = len(_labpool(running, "loop", 0)[1])
        for number in range(1, rounds + 1):
            seconds["ideal"].append(_ideal(number))
            for engine in ("fit", "loop"):
                seconds[engine].append(_labpool(running, engine, number)[0])
            print({name: round(times[-1], 2) for name, times in seconds.items()})
    return {
        "bench_trials": submitted,
        "ideal_s": round(median(seconds["ideal"]), 2),
        **{
            name: value
            for engine in ("fit", "loop")
            for name, value in _ratios(engine, seconds[engine], seconds["ideal"]).items()
        },
    }


def _ratios(name: str, times: Sequence[float], ideal: Sequence[float]) -> dict[str, float]:
    ratios = [one / other for one, other in zip(times, ideal, strict=True)]
    return {
        f"ratio_{name}": round(median(ratios), 3),
        f"ratio_{name}_least": round(min(ratios), 3),
        f"ratio_{name}_most": round(max(ratios), 3),
    }


def _labpool(running: Service, engine: str, seed: int) -> tuple[float, list[int]]:
    """Seconds from the first POST to the last result, and the trials."""
    began_s = time.monotonic()
    trials = [
        trial for batch_size in EPOCHS for trial in running.submit(_sweep(engine, batch_size, seed))
    ]
    last = trials[-1]

    def all_done() -> bool:
        answer = running.http.get("/api/v1/trials", params={"state": "queued", "limit": 1})
        if answer.raise_for_status().json()["trials"]:
            return False
        answer = running.http.get("/api/v1/trials", params={"state": "running", "limit": 1})
        return not answer.raise_for_status().json()["trials"]

    wait_until(all_done, PATIENCE_S, "the last result", poll_s=0.02)
    seconds = time.monotonic() - began_s
    states = {running.trial(trial)["state"] for trial in (trials[0], last)}
    assert states == {"succeeded"}, states
    return seconds, trials


def _sweep(engine: str, batch_size: int, seed: int) -> dict[str, Any]:
    base = {
        "kind": "train", "model": "mlp", "dataset": "digits", "engine": engine, "seed": seed,
        "batch_size": batch_size, "epochs": EPOCHS[batch_size],
    }  # fmt: skip
    return {"kind": "sweep", "base": base, "strategy": {"method": "grid"}, "space": dict(SPACE)}


def _ideal(seed: int) -> float:
    """Seconds for the same fits in two warm processes, the trials dealt out beforehand."""
    trials = [
        {
            "parameters": {"hidden": hidden, "activation": activation}, "seed": seed,
            "learning_rate": rate, "batch_size": batch_size, "epochs": epochs,
        }
        for batch_size, epochs in EPOCHS.items()
        for hidden, rate, activation in itertools.product(*SPACE.values())
    ]  # fmt: skip
    with ExitStack() as stack:
        processes = [stack.enter_context(_warm_process()) for _ in range(2)]
        began_s = time.monotonic()
        for number, process in enumerate(processes):
            _say(process, json.dumps(trials[number::2]))
        for process in processes:
            _hear(process, "done")
        return time.monotonic() - began_s


@contextmanager
def _warm_process() -> Iterator[subprocess.Popen[str]]:
    environment = {
        **kept_environment(),
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.ideal"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=environment,
    )  # fmt: skip
    try:
        _hear(process, "ready")
        yield process
    finally:
        process.kill()
        process.wait()


def _say(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{text}\n")
    process.stdin.flush()


def _hear(process: subprocess.Popen[str], wanted: str) -> None:
    assert process.stdout is not None
    heard = process.stdout.readline().strip()
    assert heard == wanted, f"a process of the ideal said {heard!r}, not {wanted!r}"


@contextmanager
def _pool() -> Iterator[Service]:
    with (
        tempfile.TemporaryDirectory(prefix="lp-") as folder,
        fresh_database("sqlite") as database,
        service(Path(folder), database, SETTINGS) as running,
    ):
        running.start_worker()
        running.wait_ready(2)
        yield running
