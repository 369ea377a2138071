"""What a GPU worker's environment is made of, chosen by what the machine's NVIDIA driver serves.

    python -m deploy.gpu_choice        prints the lock of the kernel compiler, such as nvrtc-12.8

Run by `make gpu` before anything is installed, with any Python from 3.11 on: only the standard
library. `GPU_CUDA=12.8 make gpu` says what a driver will serve that is not here, to build an image.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
WHOLE_LOCK = "gpu"
"""Its compiler is the newest; `nvrtc-*.lock` are the older ones that fit beside TensorFlow."""
COMPILER = "nvidia-cuda-nvrtc-cu12"
DRIVER_COMMAND = "sudo apt install nvidia-driver        (then restart the machine)"
_ASK_TIMEOUT_S = 60.0

Cuda = tuple[int, int]


class Unfit(Exception):
    """No GPU environment can be made; `mend` is the command that helps."""

    def __init__(self, says: str, mend: str) -> None:
        super().__init__(says)
        self.mend = mend


@dataclass(frozen=True)
class Answer:
    """What `nvidia-smi -q` said; `status` is None where there is no such program."""

    status: int | None
    text: str


def main() -> int:
    """Print the choice, or why there is none; the exit status."""
    try:
        require_compiler()
        print(lock_for(cuda_of_driver(os.environ)))
    except Unfit as unfit:
        print(f"{unfit}\n→ {unfit.mend}", file=sys.stderr)
        return 1
    return 0


def cuda_of_driver(environment: Mapping[str, str], ask: Callable[[], Answer] | None = None) -> Cuda:
    """The newest CUDA that the driver serves, as (12, 8). Raises Unfit."""
    said = environment.get("GPU_CUDA", "")
    if said:
        if not re.fullmatch(r"\d{1,2}\.\d{1,2}", said):
            raise Unfit(f"GPU_CUDA is {said!r}, which is no version.", "GPU_CUDA=12.8 make gpu")
        return parse_cuda(said)
    return read_answer((ask or ask_driver)())


def ask_driver() -> Answer:
    """Run `nvidia-smi -q`."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return Answer(None, "")
    try:
        done = subprocess.run(
            [program, "-q"],
            capture_output=True, text=True, errors="replace", check=False, timeout=_ASK_TIMEOUT_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return Answer(1, str(error))
    return Answer(done.returncode, done.stdout + done.stderr)


def read_answer(answer: Answer) -> Cuda:
    """The driver's CUDA. Raises Unfit where there is no driver, it is not well or has no GPU."""
    if answer.status is None:
        raise Unfit(
            "There is no NVIDIA driver here (no nvidia-smi on PATH), so no GPU can be used.",
            DRIVER_COMMAND,
        )
    text = " ".join(answer.text.split())
    if "version mismatch" in text:
        raise Unfit(
            "The NVIDIA driver was updated and the old one is still loaded: " + text[:200],
            "sudo reboot",
        )
    found = re.search(r"CUDA (?:\w+ )?Version *: *(\d+\.\d+)", text)
    count = re.search(r"Attached GPUs *: *(\d+)", text)
    if "No devices were found" in text or (count is not None and int(count[1]) == 0):
        raise Unfit("The NVIDIA driver is here and sees no GPU.", "nvidia-smi -L")
    if answer.status != 0 or found is None:
        raise Unfit(
            f"nvidia-smi cannot talk to the NVIDIA driver: {text[:200] or 'it says nothing'}",
            "sudo modprobe nvidia        (if that fails, install the driver again)",
        )
    return parse_cuda(found[1])


def lock_for(serves: Cuda, folder: Path = LOCKS) -> str:
    """The lock with the newest kernel compiler that a driver serving this CUDA allows.

    Raises Unfit where even the oldest is newer, or CUDA is of an older generation.
    """
    known = compilers(folder)
    oldest = min(known)
    allowed = [version for version in known if version <= serves]
    if not allowed:
        raise Unfit(
            f"The NVIDIA driver is too old: it serves CUDA {text_of(serves)}, and TensorFlow's "
            f"CUDA libraries begin with {text_of(oldest)}.",
            DRIVER_COMMAND,
        )
    return known[max(allowed)]


def compilers(folder: Path = LOCKS) -> dict[Cuda, str]:
    """The locks by the CUDA version of their kernel compiler."""
    paths = [folder / f"{WHOLE_LOCK}.lock", *folder.glob("nvrtc-*.lock")]
    return {compiler_in(path): path.stem for path in paths}


def compiler_in(lock: Path) -> Cuda:
    """The version of the kernel compiler that a lock pins. Raises ValueError where it has none."""
    pinned = re.search(rf"^{COMPILER}==(\d+\.\d+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    if pinned is None:
        raise ValueError(f"{lock} does not pin {COMPILER}.")
    return parse_cuda(pinned[1])


def require_compiler(path: str | None = None, headers: Path | None = None) -> None:
    """Raises Unfit unless pycuda can be built: a C++ compiler and Python's headers."""
    if shutil.which("g++", path=path) is None:
        raise Unfit("pycuda has to be built, and there is no g++.", "sudo apt install g++")
    folder = headers or Path(sysconfig.get_path("include"))
    if not (folder / "Python.h").is_file():
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise Unfit(
            f"pycuda has to be built, and Python's headers are missing ({folder}/Python.h).",
            f"sudo apt install python{version}-dev        (or python3-dev)",
        )


def parse_cuda(text: str) -> Cuda:
    """(12, 8) of '12.8', and of '12.8.93'."""
    major, minor, *_ = text.split(".")
    return int(major), int(minor)


def text_of(cuda: Cuda) -> str:
    """'12.8'."""
    return f"{cuda[0]}.{cuda[1]}"


if __name__ == "__main__":
    sys.exit(main())
