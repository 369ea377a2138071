"""The least that Keras itself needs for trials: the same fits back to back in warm processes.

``python -m tests.bench.ideal`` imports TensorFlow, says ``ready``, reads one line of JSON, a list
of trials, fits them one after another and says ``done`` and how many. There is no queue, no
checkpoint, no result kept: nothing that shares machines can be faster by `fit` than this.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.bench.peers import fits


@contextmanager
def _warm() -> Iterator[None]:
    fits.warm()
    yield


def _run(_: None, trials: list[dict[str, Any]]) -> int:
    return len([fits.fit(trial) for trial in trials])


if __name__ == "__main__":
    fits.answer(_warm, _run)
