"""The environment that a runner starts with, made from nothing rather than inherited."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from labpool.holdings import folder_of
from labpool.shares import RUNNER_GPU_MEMORY
from worker.devices import Device

CHECKOUT = Path(__file__).resolve().parent.parent

# What a runner takes over from its worker: where to find programs and the driver's libraries.
# Everything else stays behind: a worker's environment holds database and broker URLs, and whatever
# secrets its host has set.
INHERITED = ("PATH", "LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_ROOT", "SSL_CERT_FILE", "TZ")


def runner_environment(
    device: Device, home: Path, inherited: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The whole environment of a runner on ``device``; ``home`` is a folder it may write to."""
    threads = str(device.threads)
    share = {RUNNER_GPU_MEMORY: str(device.memory_mb)} if device.is_share else {}
    return {
        **share,
        "PATH": os.defpath,
        **{name: inherited[name] for name in INHERITED if name in inherited},
        "HOME": str(home),
        "LABPOOL_DATASETS_DIR": str(folder_of(inherited)),
        "TMPDIR": str(home),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(CHECKOUT),
        # Without it the working folder would come first in sys.path, and a file written there
        # could stand in for a module.
        "PYTHONSAFEPATH": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        # A crash in C code leaves the Python stack in the trial's log.
        "PYTHONFAULTHANDLER": "1",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        # Empty, not absent: absent means every GPU.
        "CUDA_VISIBLE_DEVICES": device.gpu_uuid or "",
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "TF_NUM_INTRAOP_THREADS": threads,
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "KERAS_BACKEND": "tensorflow",
    }
