"""TensorFlow and Keras, imported once a process and put into a known state for each trial."""

from __future__ import annotations

import gc
import os
import random
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, Literal

import numpy as np

from labpool.shares import RUNNER_GPU_MEMORY
from worker.runner.reasons import GpuTrouble

Device = Literal["cpu", "gpu"]


@cache
def prepare(threads: int) -> None:
    """Import TensorFlow and settle what can be settled only once: threads and determinism."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    # Independent operations side by side would add their results up in the order they finish.
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    _bound_memory(tf.config, os.environ.get(RUNNER_GPU_MEMORY))
    # A keras.json in somebody's home must not change what a spec means.
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.config.disable_traceback_filtering()
    # Deterministic operations insist on a seed; what depends on it is seeded anew by `reset`.
    keras.utils.set_random_seed(0)
    # What the imports made stays for good: without this each collection looks at all of it again,
    # 0.2 s a trial.
    gc.freeze()


def _bound_memory(config: Any, limit_mb: str | None) -> None:
    """Take memory of the GPUs as it is needed, and on a share no more than ``limit_mb`` MiB."""
    for gpu in config.list_physical_devices("GPU"):
        if limit_mb is None:
            config.experimental.set_memory_growth(gpu, True)
        else:
            # TensorFlow refuses both at once; TF_FORCE_GPU_ALLOW_GROWTH makes this one grow too.
            part = config.LogicalDeviceConfiguration(memory_limit=int(limit_mb))
            config.set_logical_device_configuration(gpu, [part])


def reset(seed: int) -> None:
    """Make the process as good as new: the next model gets a fresh process's names and weights."""
    import keras

    # Collects garbage too: the models before hang in reference cycles with their traced functions.
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)


def seed(seed: int) -> None:
    """Seed what Keras draws weights and the states of layers from, and nothing else.

    `reset` costs every kernel that TensorFlow has made ready, which is what a warm process is for.
    """
    random.seed(seed)
    np.random.seed(seed)


def choose_device(wanted: str) -> Device:
    """Where a spec's `device` (any, cpu, gpu) is to run. Raises GpuTrouble without a GPU."""
    import tensorflow as tf

    gpus = tf.config.list_logical_devices("GPU")
    if wanted == "gpu" and not gpus:
        raise GpuTrouble(
            "TensorFlow sees none: this slot shows it no GPU, or its CUDA libraries "
            "(tensorflow[and-cuda]) or the driver are missing."
        )
    return "gpu" if gpus and wanted != "cpu" else "cpu"


def on(device: Device) -> AbstractContextManager[None]:
    """Variables and operations made inside live on `device`."""
    import tensorflow as tf

    context: AbstractContextManager[None] = tf.device(f"/{device.upper()}:0")
    return context


def gpu_name() -> str:
    """The first visible GPU's name."""
    import tensorflow as tf

    details: dict[str, Any] = tf.config.experimental.get_device_details(
        tf.config.list_physical_devices("GPU")[0]
    )
    return str(details.get("device_name", "GPU"))
