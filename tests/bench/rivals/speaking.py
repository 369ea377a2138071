"""How a peer's program is spoken with, and which fit it does.

Started as ``python -m tests.bench.rivals.by_… fit|loop``. It says ``ready`` within what it has made
warm, reads a line of JSON (the trials), writes their accuracies into the file that the environment
names, and says ``done`` and their number.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.bench.peers.fits import answer

RESULTS = "RIVALS_RESULTS"
WAYS = ("fit", "loop")


def way() -> str:
    """The first argument: whose loop trains. Exits with a sentence when it is neither."""
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    if asked not in WAYS:
        sys.exit(f"Say what trains, {' or '.join(WAYS)}; {asked!r} is neither.")
    return asked


def work(asked: str) -> Any:
    """The module that has `warm` and `fit`."""
    if asked == "loop":
        from tests.bench.rivals import loops

        return loops
    from tests.bench.rivals import fits

    return fits


def speak(
    ready: Callable[[], AbstractContextManager[Any]],
    run: Callable[[Any, list[dict[str, Any]]], Sequence[float]],
    *packages: str,
) -> None:
    """Do `run` with what `ready()` made; it gives an accuracy for each trial, in their order."""
    began_s = time.monotonic()
    told: dict[str, Any] = {
        "versions": {name: metadata.version(name) for name in ("keras", "tensorflow", *packages)}
    }

    @contextmanager
    def made() -> Iterator[Any]:
        with ready() as found:
            told["start_s"] = time.monotonic() - began_s
            yield found

    def run_and_keep(found: Any, trials: list[dict[str, Any]]) -> int:
        told["accuracies"] = [float(one) for one in run(found, trials)]
        Path(os.environ[RESULTS]).write_text(json.dumps(told), encoding="utf-8")
        return len(told["accuracies"])

    answer(made, run_and_keep)
