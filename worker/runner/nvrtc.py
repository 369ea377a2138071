"""CUDA C++ to machine code by NVRTC, from its wheel: no toolkit, no driver, no GPU needed."""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from worker.runner.reasons import CompileError, NotPrepared

PACKAGES = ("nvidia-cuda-nvrtc-cu12", "nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu13")
SUCCESS = 0


@dataclass(frozen=True)
class Compiled:
    """Machine code for one architecture, and what the compiler had to say."""

    cubin: bytes
    log: str


def compile_kernel(
    source: str, name: str, architecture: str, options: Sequence[str] = ()
) -> Compiled:
    """Compile `source` for `architecture`, such as sm_90.

    Raises CompileError with the compiler's log, NotPrepared when NVRTC is not installed.
    """
    library = _library()
    program = ctypes.c_void_p()
    status = library.nvrtcCreateProgram(
        ctypes.byref(program), source.encode(), name.encode(), 0, None, None
    )
    if status != SUCCESS:
        raise CompileError(_status_text(library, status))
    try:
        given = [f"--gpu-architecture={architecture}", "--std=c++17", *options]
        texts = (ctypes.c_char_p * len(given))(*(option.encode() for option in given))
        status = library.nvrtcCompileProgram(program, len(given), texts)
        # The assembler's own complaint stands behind a NUL of its own.
        said = _fetch(library, program, "ProgramLog").replace(b"\0", b"\n")
        log = said.decode(errors="replace").strip()
        if status != SUCCESS:
            raise CompileError(f"{_status_text(library, status)}\n{log}")
        return Compiled(_fetch(library, program, "CUBIN"), log)
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def version() -> str:
    """NVRTC's own version. Raises NotPrepared when it is not installed."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    _library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return f"{major.value}.{minor.value}"


def build() -> str:
    """What tells this NVRTC from another, its patch level included. Raises NotPrepared."""
    about = Path(_path()).stat()
    return f"{version()} {about.st_size} {about.st_mtime_ns}"


def load_all() -> None:
    """Load what NVRTC would open while it compiles. Raises NotPrepared."""
    for path in Path(_path()).parent.glob("libnvrtc-builtins.so*"):
        with suppress(OSError):
            _kept_loaded.append(ctypes.CDLL(str(path)))


_kept_loaded: list[ctypes.CDLL] = []


def _path() -> str:
    """The file that the library was loaded from."""
    _library()
    with Path("/proc/self/maps").open(encoding="utf-8") as maps:
        return next(line.split(maxsplit=5)[5].strip() for line in maps if "/libnvrtc.so" in line)


@cache
def _library() -> ctypes.CDLL:
    for path in _candidates():
        with suppress(OSError):
            library = ctypes.CDLL(path)
            library.nvrtcGetErrorString.restype = ctypes.c_char_p
            return library
    raise NotPrepared(
        "NVRTC, CUDA's compiler of kernels (nvidia-cuda-nvrtc-cu12), is not installed here: "
        "make gpu."
    )


def _candidates() -> Iterator[str]:
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            for file in metadata.files(package) or ():
                # Beside it lie libnvrtc-builtins and a variant, which are not it.
                if file.name.startswith("libnvrtc.so."):
                    yield str(Path(str(file.locate())))
    # A toolkit of the system, where there is one.
    found = ctypes.util.find_library("nvrtc")
    if found is not None:
        yield found


def _fetch(library: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    status = getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    if status == SUCCESS:
        status = getattr(library, f"nvrtcGet{what}")(program, buffer)
    if status != SUCCESS:
        raise CompileError(_status_text(library, status))
    return buffer.raw


def _status_text(library: ctypes.CDLL, status: int) -> str:
    return bytes(library.nvrtcGetErrorString(status)).decode()
