"""A shell loop: `xargs` starts a Python for each trial, two at a time, and each imports anew."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from tests.bench.rivals import speaking

AT_ONCE = 2
ONE = "one"


def _run(_: None, trials: list[dict[str, Any]]) -> list[float]:
    with tempfile.TemporaryDirectory(prefix="lp-shell-") as folder:
        for number, trial in enumerate(trials):
            (Path(folder) / f"{number}.json").write_text(json.dumps(trial), encoding="utf-8")
        loop = (
            f"ls {folder}/*.json | xargs -P {AT_ONCE} -n 1 "
            f"'{sys.executable}' -m tests.bench.rivals.by_shell {speaking.way()} {ONE}"
        )
        subprocess.run(loop, shell=True, check=True)  # noqa: S602 - it is what is measured
        return [
            float((Path(folder) / f"{number}.accuracy").read_text())
            for number in range(len(trials))
        ]


def _one(file: Path) -> None:
    accuracy = speaking.work(speaking.way()).fit(json.loads(file.read_text(encoding="utf-8")))
    file.with_suffix(".accuracy").write_text(str(accuracy))


if __name__ == "__main__":
    if ONE in sys.argv[2:3]:
        _one(Path(sys.argv[3]))
    else:
        speaking.way()
        speaking.speak(nullcontext, _run)
