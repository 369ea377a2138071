"""What catalog code could do to the process it runs in."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Mapping
from typing import Any, NoReturn

from labpool.sdk import DataShape


def build(parameters: Mapping[str, Any], data: DataShape) -> NoReturn:
    """Never gives a model."""
    how = parameters["how"]
    print(f"about to {how}", flush=True)
    match how:
        case "exit":
            os._exit(7)
        case "segfault":
            ctypes.string_at(0)
        case "hog":
            hoard = []
            while True:
                hoard.append(b"x" * 50_000_000)
        case "children":
            print(subprocess.Popen(["/bin/sleep", "1000"]).pid, flush=True)
            # PyDLL keeps the interpreter's lock: no other thread of the runner runs meanwhile.
            ctypes.PyDLL(None).sleep(1000)
    raise AssertionError(how)
