"""Python's environment, the compiler and the data folder: what needs no dependency.

Read by Pythons that are too old for labpool, to tell them so: only the standard library, and no
syntax newer than Python 3.8 (annotations are never evaluated).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

from labpool.diagnosis import Finding, note, ok, problem

ROOT = Path(__file__).resolve().parent.parent.parent
DEFAULT_DATA_DIR = "~/.labpool"
# One of each: what the API, the worker and the commands cannot do without.
NEEDED = ("click", "pydantic", "httpx", "sqlalchemy", "flask", "celery", "kombu")
COMPILERS = ("g++", "c++", "clang++")
GIGABYTE = 10**9
# A pool in use writes checkpoints; below this a trial soon fails.
LITTLE_SPACE_BYTES = GIGABYTE // 2
SOME_SPACE_BYTES = 5 * GIGABYTE
ANOTHER_FOLDER = "labpool up --data-dir OTHER        (or export LABPOOL_DATA_DIR=OTHER)"


def check_environment(root: Path = ROOT, needed: tuple[str, ...] = NEEDED) -> Finding:
    """Whether this Python has what the server needs."""
    if (root / ".venv.unfinished").exists():
        return problem("environment", "An earlier set-up was interrupted.", "make setup")
    missing = [name for name in needed if not _is_there(name)]
    if not missing:
        return ok("environment", f"{sys.prefix} has what the server needs")
    says = f"{sys.executable} lacks {', '.join(missing)}."
    own = root / ".venv" / "bin" / "labpool"
    mend = f"{own} doctor" if own.exists() else f"cd {root} && make setup"
    return problem("environment", says, mend)


def _is_there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ValueError:  # some packages put a stand-in without a spec in their own place
        return name in sys.modules


def check_compiler(path: str | None = None) -> Finding:
    """Which C++ compiler there is. Only pycuda needs one."""
    for name in COMPILERS:
        found = shutil.which(name, path=path)
        if found:
            return ok("compiler", found)
    says = (
        "There is none. Everything of labpool installs and runs without; only pycuda, for CUDA "
        "benchmarks on a GPU, has to be built."
    )
    return note("compiler", says, "sudo apt install g++        (for pycuda only)")


def check_data_folder(given: Path) -> Finding:
    """Whether the data folder can be written to and has room."""
    folder = given.expanduser().absolute()
    nearest = folder
    while not os.path.lexists(nearest):
        nearest = nearest.parent
    if not nearest.is_dir():
        says = f"{nearest} is no folder, so {folder} cannot be one."
        return problem("data folder", says, ANOTHER_FOLDER)
    reason = _unwritable(nearest, try_it=nearest == folder)
    if reason:
        return problem("data folder", f"{nearest} cannot be written to: {reason}.", ANOTHER_FOLDER)
    free_bytes = shutil.disk_usage(nearest).free
    room = f"{free_bytes / GIGABYTE:.1f} GB free"
    if free_bytes < LITTLE_SPACE_BYTES:
        says = f"{folder}: the disk is full, or nearly ({room})."
        return problem("data folder", says, f"df -h {nearest}\n{ANOTHER_FOLDER}")
    if nearest != folder:
        return ok("data folder", f"{folder} will be made; {room}")
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        says = f"{folder} can be entered by others on this machine."
        return problem("data folder", says, f"chmod 700 {folder}")
    if free_bytes < SOME_SPACE_BYTES:
        return note("data folder", f"{folder}; only {room}", f"df -h {folder}")
    return ok("data folder", f"{folder}; {room}")


def _unwritable(folder: Path, try_it: bool) -> str:
    """Why `folder` cannot be written to; empty when it can. `try_it` with a file, at once gone."""
    try:
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            return "its disk is mounted read-only"
        if not os.access(folder, os.W_OK | os.X_OK):
            return "it is not yours to write to"
        if try_it:
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"\0" * 4096)
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or str(error)
    return ""
