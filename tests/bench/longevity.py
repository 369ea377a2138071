"""Many trials through one runner: its memory stays bounded, and the last are as quick as the first.

They are of more architectures than a runner keeps, in turn, so that each is traced anew and an old
one goes: the worst for memory.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

from tests.support.runners import Runner, runner, trial_of

TRIALS, TRIALS_QUICK = 200, 6
ARCHITECTURES = 40
SPEC = {"kind": "train", "model": "mlp", "dataset": "digits", "epochs": 2}
PAGE_MB = 4096 / 2**20

BOUNDS = {"trials_of_one_runner": "> 0"}
FULL_BOUNDS = {
    "trials_of_one_runner": ">= 200",
    # From the first full set of networks on.
    "growth_mb_of_the_second_half": "<= 100",
    "last_over_first": "<= 1.5",
}


def figures(quick: bool) -> dict[str, float | int | bool | None]:
    """Megabytes, and how much longer the last quarter takes than the first, by medians."""
    count = TRIALS_QUICK if quick else TRIALS
    seconds: list[float] = []
    memory_mb: list[float] = []
    with tempfile.TemporaryDirectory(prefix="lp-") as folder, runner(Path(folder)) as running:
        for number in range(count):
            width = 16 + number % ARCHITECTURES
            spec = {**SPEC, "parameters": {"hidden": [width]}, "seed": number}
            trial = trial_of(spec, Path(folder) / str(number))
            began_s = time.monotonic()
            running.result(trial)
            seconds.append(time.monotonic() - began_s)
            memory_mb.append(_resident_mb(running))
            if number % 20 == 0:
                print(f"  trial {number}: {seconds[-1]:.2f} s, {memory_mb[-1]:.0f} MB")
    quarter = max(1, count // 4)
    return {
        "trials_of_one_runner": count,
        "runner_mb_at_first": round(memory_mb[0]),
        "runner_mb_at_last": round(memory_mb[-1]),
        "growth_mb_of_the_second_half": round(memory_mb[-1] - memory_mb[count // 2]),
        "last_over_first": round(median(seconds[-quarter:]) / median(seconds[1 : quarter + 1]), 2),
    }


def _resident_mb(running: Runner) -> float:
    statm = Path(f"/proc/{running.process.pid}/statm").read_text(encoding="ascii")
    return int(statm.split()[1]) * PAGE_MB
