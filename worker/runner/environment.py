"""What a trial ran with, as far as the process itself can know it."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

PACKAGES = ("tensorflow", "keras", "numpy", "scikit-learn", "gymnasium", "pycuda")
CPU_INFO = Path("/proc/cpuinfo")


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python and of those of `packages` (all that matter here) that are installed.

    Read from the packages' metadata, which imports nothing.
    """
    found = {"python": platform.python_version()}
    for package in packages or PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def cpu_name() -> str:
    """The processor's own name for itself."""
    try:
        for line in CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()[:200]
    except OSError:
        pass
    return platform.processor() or platform.machine()
