"""A process for each trial, two at a time: each imports TensorFlow anew."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

from tests.bench.peers import fits

ONE = "one"


def _in_a_process(trial: dict[str, Any]) -> str:
    command = [sys.executable, "-m", "tests.bench.peers.by_fresh", ONE, json.dumps(trial)]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode()


def _run(_: None, trials: list[dict[str, Any]]) -> int:
    with ThreadPoolExecutor(2) as threads:
        return len(list(map(float, threads.map(_in_a_process, trials))))


if __name__ == "__main__":
    if ONE in sys.argv[1:2]:
        fits.prepare()
        print(fits.fit(json.loads(sys.argv[2])))
    else:
        fits.answer(nullcontext, _run)
