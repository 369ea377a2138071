"""A warm runner writes each trial's output to that trial's own log."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def output_to(path: Path) -> Iterator[None]:
    """Append standard output and error to `path`, those of C code and of a crash included."""
    before = (os.dup(1), os.dup(2))
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        _switch(log, log)
        yield
    finally:
        _switch(*before)
        for descriptor in (*before, log):
            os.close(descriptor)


def _switch(output: int, error: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(output, 1)
    os.dup2(error, 2)
