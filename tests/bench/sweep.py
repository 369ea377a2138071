"""24 small trials on two slots of one thread each, from the POST to the last result.

*Ideal* is the time of the same Keras fits back to back in two warm processes that do nothing else.
Each round takes it, labpool with `engine: fit`, labpool's own loop and the peers in turn, so that a
busy machine slows all of them; the figures are medians of the rounds' ratios. The slow peers are
taken in the first round alone. Each round's networks are a neuron wider than those before: nobody
has traced them, labpool neither. Peers do the same Keras fits, warm, each in its own best way;
they need `make bench-setup`, and `peers_measured` is 0 without it.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import programs
from tests.faults.service import Service, service
from tests.support.databases import fresh_database
from tests.support.processes import wait_until

ROUNDS, ROUNDS_QUICK = 3, 1
EPOCHS = {32: 24, 64: 42}
WIDTHS = (32, 64, 128)
SPACE: Mapping[str, list[Any]] = {
    "learning_rate": [1e-2, 1e-3],
    "parameters.activation": ["relu", "tanh"],
}
SLOTS = 2
SETTINGS = {"LABPOOL_SLOTS": str(SLOTS)}
PATIENCE_S = 600.0
EACH_ROUND, ONCE = ("celery", "optuna"), ("ray", "fresh")

BOUNDS = {"bench_trials": "== 24"}
FULL_BOUNDS = {"ratio_fit": "<= 1.15", "ratio_loop": "<= 0.35"}


def figures(quick: bool) -> dict[str, float | int | bool | None]:
    """Ratios to the ideal, their spread over the rounds, and the seconds behind them."""
    rounds = ROUNDS_QUICK if quick else ROUNDS
    python = programs.peers_python()
    seconds: dict[str, list[float]] = defaultdict(list)
    with _pool() as running:
        # Once unmeasured: the first trials of a pool find its runners still importing.
        submitted = len(_labpool(running, "loop", 0)[1])
        broker = running.processes.broker() if python else None
        for number in range(1, rounds + 1):

            def keep(name: str, taken_s: float, number: int = number) -> None:
                seconds[name].append(taken_s)
                print(f"  round {number} of {rounds}: {name} {taken_s:.2f} s", flush=True)

            keep("ideal", _ideal(number))
            for engine in ("fit", "loop"):
                keep(engine, _labpool(running, engine, number)[0])
            if python and broker:
                for name in EACH_ROUND if number > 1 else EACH_ROUND + ONCE:
                    keep(name, _peer(python, name, number, broker.socket_path))
    ideal = seconds.pop("ideal")
    return {
        "bench_trials": submitted,
        "ideal_s": round(median(ideal), 2),
        "peers_measured": int(python is not None),
        **{
            figure: value
            for name, times in seconds.items()
            for figure, value in _ratios(name, times, ideal).items()
        },
    }


def _ratios(name: str, times: Sequence[float], ideal: Sequence[float]) -> dict[str, float]:
    """To the ideal of the same round; who is taken once is taken in the first."""
    ratios = [one / other for one, other in zip(times, ideal, strict=False)]
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
    return {
        "kind": "sweep", "base": base, "strategy": {"method": "grid"},
        "space": {"parameters.hidden": _hidden(seed), **SPACE},
    }  # fmt: skip


def _hidden(number: int) -> list[list[int]]:
    """The widths of a round: no round has a network that another had, so each traces its own."""
    return [[width + number] for width in WIDTHS]


def _ideal(seed: int) -> float:
    """Seconds for the same fits in two warm processes, the trials dealt out beforehand."""
    trials = _trials(seed)
    shares = [trials[number::SLOTS] for number in range(SLOTS)]
    return programs.seconds(programs.ideal_command(), shares, {})


def _peer(python: Path, name: str, seed: int, broker: Path) -> float:
    """Seconds for the same fits shared out by a peer."""
    trials = _trials(seed)
    command = programs.peer_command(python, name, str(len(trials)))
    return programs.seconds(command, [trials], {"PEERS_BROKER_SOCKET": str(broker)})


def _trials(seed: int) -> list[dict[str, Any]]:
    """What the sweeps of `_sweep` are, as `tests/bench/peers/fits.py` takes them."""
    return [
        {
            "parameters": {"hidden": hidden, "activation": activation}, "seed": seed,
            "learning_rate": rate, "batch_size": batch_size, "epochs": epochs,
        }
        for batch_size, epochs in EPOCHS.items()
        for hidden, rate, activation in itertools.product(_hidden(seed), *SPACE.values())
    ]  # fmt: skip


@contextmanager
def _pool() -> Iterator[Service]:
    with (
        tempfile.TemporaryDirectory(prefix="lp-") as folder,
        fresh_database("sqlite") as database,
        service(Path(folder), database, SETTINGS) as running,
    ):
        running.start_worker()
        running.wait_ready(SLOTS)
        yield running
