"""Images a second of one thread: labpool's loop, Keras's `fit` and a plain loop in PyTorch.

The networks are LeNet-5 on 28 x 28 images (batch 128) and an MLP 784-100-10 (batch 128), Adam, no
validation. Each way is a warm process; they train one epoch in turn, so that a busy machine slows
all of them, and the figures are medians of the rounds' ratios. *Arithmetic* is the loop's passes
forward and back over a batch that stays where it is: no batches put together, no update.
PyTorch's Adam is its fused one, and beside it the one that it takes by itself.
*Deterministic* is with the settings that equal bits need, *free* is without.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Self

from labpool.settings import CHECKOUT
from tests.bench import programs
from tests.support.processes import kept_environment

ROUNDS, ROUNDS_QUICK = 9, 1
IMAGES, IMAGES_QUICK = 12_800, 512
NETWORKS = ("lenet", "mlp")
MODES = ("deterministic", "free")

BOUNDS = {"lenet_vs_fit": "> 0", "mlp_vs_fit": "> 0"}
FULL_BOUNDS = {
    "lenet_vs_fit": ">= 1.4",
    "lenet_vs_torch": ">= 1.5",
    "mlp_vs_fit": ">= 2.5",
    "mlp_vs_torch": ">= 2.0",
    "lenet_vs_fit_free": ">= 1.4",
    "lenet_vs_torch_free": ">= 1.5",
    "mlp_vs_fit_free": ">= 2.5",
    "mlp_vs_torch_free": ">= 2.0",
}


def figures(quick: bool) -> dict[str, float | int | bool | None]:
    """Ratios of speed, the loop's over the other's; above 1 the loop is faster."""
    found: dict[str, float | int | bool | None] = {}
    for network in NETWORKS:
        for mode in MODES if not quick else MODES[:1]:
            found |= _compared(network, mode, quick)
    return found


def _compared(network: str, mode: str, quick: bool) -> dict[str, float | int | bool | None]:
    rounds, images = (ROUNDS_QUICK, IMAGES_QUICK) if quick else (ROUNDS, IMAGES)
    ways = {
        way: [sys.executable, "-m", "tests.bench.loops_keras", way]
        for way in ("loop", "fit", "arithmetic")
    }
    peers = programs.peers_python()
    if peers is not None:
        torch = CHECKOUT / "tests" / "bench" / "peers" / "torch_loop.py"
        ways["torch"] = [str(peers), str(torch), "fused"]
        ways["torch_default"] = [str(peers), str(torch), "default"]
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    with ExitStack() as stack:
        processes = {
            way: stack.enter_context(Trainer([*command, network, mode, str(images)]))
            for way, command in ways.items()
        }
        for _ in range(rounds):
            for way, process in processes.items():
                seconds[way].append(process.epoch())
    ending = "" if mode == MODES[0] else f"_{mode}"
    speeds = {way: round(images / median(times)) for way, times in seconds.items()}
    print(f"  {network}, {mode}: images a second: {speeds}")
    found: dict[str, float | int | bool | None] = {
        f"{network}_images_per_second{ending}": speeds["loop"]
    }
    shares = [bare / own for own, bare in zip(seconds["loop"], seconds["arithmetic"], strict=True)]
    found[f"{network}_arithmetic_share{ending}"] = round(median(shares), 2)
    for way in ("fit", "torch", "torch_default"):
        ratios = _ratios(seconds["loop"], seconds[way]) if way in seconds else []
        name = f"{network}_vs_{way}{ending}"
        found[name] = round(median(ratios), 2) if ratios else None
        if ratios:
            found |= {f"{name}_least": round(min(ratios), 2), f"{name}_most": round(max(ratios), 2)}
    return found


def _ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [other / own for own, other in zip(ours, theirs, strict=True)]


class Trainer:
    """A process that trains one epoch each time it is asked to."""

    def __init__(self, command: Sequence[str]) -> None:
        environment = {
            **kept_environment(),
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
            "CUDA_VISIBLE_DEVICES": "",
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, env=environment, cwd=Path(CHECKOUT),
        )  # fmt: skip

    def __enter__(self) -> Self:
        assert self._hear() == "ready"
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.kill()
        self._process.wait()

    def epoch(self, which: str = "epoch") -> float:
        """Seconds that it took. `which` is for a process that knows more than one."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{which}\n")
        self._process.stdin.flush()
        return float(json.loads(self._hear()))

    def _hear(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()
