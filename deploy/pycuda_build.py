"""Build pycuda against the CUDA headers of NVIDIA's wheels: no toolkit and no driver needed.

    .venv/bin/python -m deploy.pycuda_build

Run by `make gpu` in the environment that has the other packages of requirements/gpu.lock. The
same CUDA that TensorFlow's wheels bring then serves pycuda too, so one environment is enough.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from importlib import metadata
from importlib.metadata import PackagePath
from pathlib import Path

from deploy.gpu_choice import LOCKS, WHOLE_LOCK

HEADERS = {"nvidia-cuda-runtime-cu12": "cuda.h", "nvidia-cuda-nvcc-cu12": "host_config.h"}
"""By package, a header that is found in its folder of headers or one below."""
# The wheels leave this one out; it is three functions of the driver.
PROFILER = """#pragma once
#include <cuda.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef enum CUoutput_mode_enum {
    CU_OUT_KEY_VALUE_PAIR = 0x00,
    CU_OUT_CSV = 0x01
} CUoutput_mode;
CUresult CUDAAPI cuProfilerInitialize(const char* config, const char* output, CUoutput_mode mode);
CUresult CUDAAPI cuProfilerStart(void);
CUresult CUDAAPI cuProfilerStop(void);
#ifdef __cplusplus
}
#endif
"""


class BuildFailed(Exception):
    """pycuda could not be built."""


def main() -> int:
    """Build and install it; the exit status."""
    try:
        with tempfile.TemporaryDirectory(prefix="labpool-pycuda-") as folder:
            build(Path(folder))
    except BuildFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def build(folder: Path) -> None:
    """Build in a folder of its own and install. Raises BuildFailed."""
    requirement = folder / "pycuda.lock"
    requirement.write_text(
        block_of("pycuda", (LOCKS / f"{WHOLE_LOCK}.lock").read_text(encoding="utf-8")),
        encoding="utf-8",
    )
    prepare(folder, [*include_folders()])
    done = subprocess.run(
        [
            sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet",
            # What it is built with stands in the lock, and is here already.
            "--no-deps", "--no-build-isolation", "--require-hashes", "-r", str(requirement),
        ],
        env={**os.environ, "HOME": str(folder)},
        check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise BuildFailed("pycuda could not be built; the compiler's reason stands above.")
    require_driver_named(metadata.files("pycuda") or [])


def prepare(folder: Path, includes: list[Path]) -> None:
    """Write what the build reads as its user's settings, and a stand-in for the driver's library.

    The stand-in is only linked with; what is built asks for the driver's own when it is loaded.
    Raises BuildFailed.
    """
    headers, stub = folder / "include", folder / "stub"
    for made in (headers, stub):
        made.mkdir()
    (headers / "cudaProfiler.h").write_text(PROFILER, encoding="utf-8")
    source = stub / "nothing.cpp"
    # One function that pycuda calls: a linker leaves out a library that gives nothing.
    source.write_text('extern "C" int cuInit(unsigned) { return 0; }\n', encoding="utf-8")
    command = ["g++", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1"]
    try:
        subprocess.run([*command, "-o", str(stub / "libcuda.so"), str(source)], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildFailed(f"g++ cannot make a library: {error}") from None
    settings = {
        "CUDA_INC_DIR": [*map(str, includes), str(headers)],
        "CUDADRV_LIB_DIR": [str(stub)],
        # Random numbers are NumPy's here; without it nothing of cuRAND has to be found later.
        "CUDA_ENABLE_CURAND": False,
    }
    lines = [f"{name} = {value!r}\n" for name, value in settings.items()]
    (folder / ".aksetup-defaults.py").write_text("".join(lines), encoding="utf-8")


def require_driver_named(files: Iterable[PackagePath]) -> None:
    """Raises BuildFailed unless what was built asks for the driver's library when it is loaded."""
    for file in files:
        content = Path(str(file.locate())).read_bytes() if file.name.startswith("_driver.") else b""
        if b"libcuda.so.1" in content:
            return
    raise BuildFailed("pycuda was built and does not ask for the driver's libcuda.so.1.")


def include_folders() -> Iterator[Path]:
    """Where the wheels have their headers. Raises BuildFailed, naming what is missing."""
    for package, header in HEADERS.items():
        try:
            files = metadata.files(package) or []
        except metadata.PackageNotFoundError:
            raise BuildFailed(f"{package} is not installed, which has CUDA's headers.") from None
        path = next((Path(str(file.locate())) for file in files if file.name == header), None)
        folder = None if path is None else next(p for p in path.parents if p.name == "include")
        if folder is None:
            raise BuildFailed(f"{package} has no {header}.")
        yield folder


def block_of(package: str, lock: str) -> str:
    """A package's lines in a lock: its version and hashes. Raises BuildFailed where it has none."""
    found = re.search(rf"^{re.escape(package)}==.*\n(?: +--hash=.*\n)+", lock, re.MULTILINE)
    if found is None:
        raise BuildFailed(f"The lock has no {package} with hashes.")
    return found[0]


if __name__ == "__main__":
    sys.exit(main())
