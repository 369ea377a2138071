"""CUDA kernels run on the processor, so that their logic is tested where there is no GPU.

Compiled with `on_host.hpp` by the C++ compiler. Every array ends where unreadable memory begins:
an access past its end ends the process, so kernels run in one of their own
(`python -m tests.support.cuda.on_host`), which is started again when it has ended.
"""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import io
import json
import mmap
import os
import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from labpool.sdk import Arrays, DTypeName, Sizes
from worker.runner.cuda_target import compile_options
from worker.runner.placing import POISON

FOLDER = Path(__file__).parent
# No fused multiply-add: a GPU's is another matter, and the tolerance has room for both.
OPTIONS = ("-O1", "-std=c++17", "-shared", "-fPIC", "-Wno-unknown-pragmas")
OUTCOMES = {1: "some threads wait at a barrier that others do not reach",
            2: "a shuffle asks a lane that has ended"}  # fmt: skip
ENTRY = re.compile(r"__global__\s+(?:__launch_bounds__\([^)]*\)\s+)?void\s+(\w+)\s*\(")
GUARD_BYTES = 2**26
"""Unreadable bytes after each array; they take no memory."""


class HostError(AssertionError):
    """A kernel did what no GPU allows."""


class HostTarget:
    """A kernel whose `compute` runs on the processor, `backwards` with the last thread first."""

    def __init__(
        self, kernel: Any, source: Path, dtype: DTypeName, launch: Mapping[str, int], variant: str,
        backwards: bool = False,
    ) -> None:  # fmt: skip
        self._kernel, self._dtype, self._launch = kernel, np.dtype(dtype), launch
        self._variant, self._backwards = variant, backwards
        self._library = built(source, dtype)

    def compute(self, sizes: Sizes, inputs: Arrays) -> NDArray[Any]:
        """One run on poisoned memory. Raises HostError."""
        launches = self._kernel.launches(sizes, self._launch, self._variant)
        output = self._poisoned(self._kernel.output_shape(sizes))
        call = {
            "library": str(self._library), "steps": [asdict(step) for step in launches.steps],
            "sizes": dict(sizes), "backwards": self._backwards,
        }  # fmt: skip
        temporaries = {
            name: self._poisoned((count,)) for name, count in launches.temporaries.items()
        }
        return _asked(call, {**inputs, **temporaries, "output": output})

    def _poisoned(self, shape: tuple[int, ...]) -> NDArray[Any]:
        array = np.empty(shape, self._dtype)
        array.reshape(-1).view(np.uint8)[:] = POISON
        return array


_servers: list[subprocess.Popen[bytes]] = []


def _asked(call: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    if not _servers:
        _servers.append(
            subprocess.Popen(
                [sys.executable, "-m", "tests.support.cuda.on_host"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )
        )  # fmt: skip
    server = _servers[0]
    assert server.stdin is not None
    assert server.stdout is not None
    _send(server.stdin, {"call": np.array(json.dumps(call)), **arrays})
    answer = _receive(server.stdout)
    if answer is None:
        _end_server()
        raise HostError(f"an access outside of its arrays (signal {-server.returncode})")
    outcome = int(answer["outcome"])
    if outcome:
        raise HostError(OUTCOMES[outcome])
    return answer["output"]


@atexit.register
def _end_server() -> None:
    for server in _servers:
        # Closes both pipes, which is how it hears that nothing more will come.
        server.communicate()
    _servers.clear()


def _send(stream: IO[bytes], arrays: Mapping[str, NDArray[Any]]) -> None:
    text = io.BytesIO()
    np.savez(text, allow_pickle=False, **arrays)
    stream.write(struct.pack("<Q", text.tell()) + text.getvalue())
    stream.flush()


def _receive(stream: IO[bytes]) -> dict[str, NDArray[Any]] | None:
    """None when the other side has ended."""
    head = stream.read(8)
    if len(head) < 8:
        return None
    with np.load(io.BytesIO(stream.read(*struct.unpack("<Q", head))), allow_pickle=False) as file:
        return dict(file)


def built(source: Path, dtype: str) -> Path:
    """The shared library of one source and type. Raises CalledProcessError; stderr has the log."""
    folder = Path(tempfile.gettempdir()) / f"labpool-cuda-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    text = source.read_bytes() + (FOLDER / "on_host.hpp").read_bytes()
    name = hashlib.sha256(text + dtype.encode()).hexdigest()[:24]
    library = folder / f"{name}.so"
    if not library.exists():
        unfinished = folder / f"{name}.{os.getpid()}.so"
        entries = "\n".join(f"ON_HOST_ENTRY({name})" for name in entries_of(source))
        wrapper = f'#include "{FOLDER}/on_host.hpp"\n#include "{source}"\n{entries}\n'
        subprocess.run(
            [os.environ.get("CXX", "c++"), *OPTIONS, *compile_options(dtype),
             "-x", "c++", "-", "-o", str(unfinished)],
            input=wrapper.encode(), check=True,
        )  # fmt: skip
        unfinished.rename(library)
    return library


def entries_of(source: Path) -> list[str]:
    """The functions of a CUDA source that can be launched."""
    return ENTRY.findall(source.read_text(encoding="utf-8"))


def _guarded(array: NDArray[Any]) -> tuple[mmap.mmap, int]:
    """A copy of `array` that ends where memory begins that nobody may touch; and its address."""
    room = -(-max(array.nbytes, 1) // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, room + GUARD_BYTES)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    place = base + room - array.nbytes
    ctypes.memmove(place, array.tobytes(), array.nbytes)
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    if protect(ctypes.c_void_p(base + room), ctypes.c_size_t(GUARD_BYTES), 0):
        raise OSError(ctypes.get_errno(), "mprotect")
    return memory, place


def _run(call: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    kept = {name: _guarded(array) for name, array in arrays.items()}
    values: dict[str, Any] = {name: ctypes.c_int(size) for name, size in call["sizes"].items()}
    for name, (_, place) in kept.items():
        by_value = arrays[name].ndim == 0
        values[name] = ctypes.c_char.from_address(place) if by_value else ctypes.c_void_p(place)
    library, three, outcome = ctypes.CDLL(call["library"]), ctypes.c_uint * 3, 0
    for step in call["steps"]:
        if "entry" not in step:
            size = arrays[step["source"]].nbytes
            ctypes.memmove(kept[step["target"]][1], kept[step["source"]][1], size)
            continue
        arguments = [
            values[part] if isinstance(part, str) else ctypes.c_int(part)
            for part in step["arguments"]
        ]
        places = (ctypes.c_void_p * len(arguments))(*map(ctypes.addressof, arguments))
        outcome = outcome or library[f"labpool_launch_{step['entry']}"](
            three(*step["grid"]), three(*step["block"]), places, int(call["backwards"])
        )
    output = arrays["output"]
    found = np.frombuffer(ctypes.string_at(kept["output"][1], output.nbytes), output.dtype)
    return {"outcome": np.array(outcome), "output": found.reshape(output.shape)}


def _serve() -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    while (request := _receive(sys.stdin.buffer)) is not None:
        call = json.loads(str(request.pop("call")))
        _send(answers, _run(call, request))


if __name__ == "__main__":
    _serve()
