"""Add to the environment what a GPU worker needs: TensorFlow's CUDA libraries, NVRTC, pycuda.

    .venv/bin/python -m deploy.gpu_environment nvrtc-12.8

Run by `make gpu` after `deploy.gpu_choice`, whose answer is the argument. A second run with the
same locks does nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from deploy.gpu_choice import COMPILER, LOCKS, ROOT, WHOLE_LOCK
from deploy.pycuda_build import BuildFailed, block_of, build

STAMP = ROOT / ".venv" / ".labpool" / "gpu"
_PYCUDA = "import pycuda.driver as d; d.init(); print('pycuda sees', d.Device(0).name())"
_TENSORFLOW = (
    "import tensorflow as t; n = len(t.config.list_physical_devices('GPU')); "
    "print('TensorFlow sees', n, 'GPUs'); raise SystemExit(n == 0)"
)
# Each in a process of its own, as it will be in a runner.
PROGRAMS = (_PYCUDA, _TENSORFLOW)


def main(arguments: Sequence[str]) -> int:
    """Install what is not installed yet and try it on the GPU; the exit status."""
    [compiler] = arguments
    wanted = text_of_locks(compiler)
    checksum = sha256((wanted + Path(__file__).read_text(encoding="utf-8")).encode()).hexdigest()
    stamped = STAMP.is_file() and STAMP.read_text(encoding="utf-8") == checksum
    if stamped and has_compiler_of(wanted):
        return try_it(os.environ)
    STAMP.unlink(missing_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="labpool-gpu-") as folder:
            install(wanted, Path(folder))
            _say("Building pycuda (some minutes)")
            (build_folder := Path(folder) / "pycuda").mkdir()
            build(build_folder)
    except BuildFailed as error:
        _say(str(error))
        return 1
    STAMP.parent.mkdir(parents=True, exist_ok=True)
    STAMP.write_text(checksum, encoding="utf-8")
    return try_it(os.environ)


def text_of_locks(compiler: str, folder: Path = LOCKS) -> str:
    """One lock of all but pycuda, with the kernel compiler that `compiler`'s lock pins."""
    whole = (folder / f"{WHOLE_LOCK}.lock").read_text(encoding="utf-8")
    without = whole.replace(block_of("pycuda", whole), "")
    if compiler == WHOLE_LOCK:
        return without
    other = (folder / f"{compiler}.lock").read_text(encoding="utf-8")
    return without.replace(block_of(COMPILER, whole), block_of(COMPILER, other))


def has_compiler_of(lock: str, installed: Callable[[str], str] = version) -> bool:
    """Whether the kernel compiler is the lock's: the development lock brings the newest."""
    try:
        return f"{COMPILER}=={installed(COMPILER)} " in lock
    except PackageNotFoundError:
        return False


def install(lock: str, folder: Path) -> None:
    """Install a lock's packages, checked against its hashes. Raises BuildFailed."""
    path = folder / "wheels.lock"
    path.write_text(lock, encoding="utf-8")
    _say(f"Installing {lock.count('==')} packages (about 6 GB on disk; some minutes)")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    done = subprocess.run([*command, "--require-hashes", "-r", str(path)], check=False)
    if done.returncode != 0:
        raise BuildFailed(
            "pip could not install the packages of requirements/gpu.lock; its reason stands above. "
            "Look at the network and the free disk space (df -h .), then run make gpu again."
        )


def try_it(environment: Mapping[str, str], programs: Sequence[str] = PROGRAMS) -> int:
    """Whether pycuda and TensorFlow see a GPU; the exit status.

    Not asked where GPU_CUDA speaks for a driver that is elsewhere.
    """
    if environment.get("GPU_CUDA"):
        _say("The GPU environment is made; it was not tried, as GPU_CUDA is set.")
        return 0
    settings = {**environment, "TF_FORCE_GPU_ALLOW_GROWTH": "true", "TF_CPP_MIN_LOG_LEVEL": "2"}
    for program in programs:
        if subprocess.run([sys.executable, "-c", program], env=settings, check=False).returncode:
            _say("The packages are installed and do not reach the GPU.\n→ .venv/bin/labpool doctor")
            return 1
    _say("The GPU environment is ready: .venv/bin/labpool doctor")
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
