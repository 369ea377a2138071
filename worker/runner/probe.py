"""`python -m worker.runner.probe`: whether a fresh process can compute on this slot's GPU.

Run by a slot after a GPU fault. It ends with status 0 when the first operation came out right, else
its last line says what went wrong; with 75 when there was no memory for it.
"""

from __future__ import annotations

import argparse
import re
import sys
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from worker.exits import NO_MEMORY
from worker.runner import lifeline
from worker.runner.reasons import GpuTrouble, classify

SIZE = 512
# A context that finds no room is no ResourceExhaustedError.
_NO_MEMORY = re.compile("out.of.memory", re.IGNORECASE)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m worker.runner.probe")
    parser.add_argument("--parent-pid", type=int, required=True, help="process of the slot")
    parser.add_argument("--fd", type=int, help="not used: it has nothing to say but its end")
    parser.add_argument("--threads", type=int, default=1, help="threads for one operation")
    parser.add_argument("--by", choices=("tensorflow", "pycuda"), required=True)
    arguments = parser.parse_args()
    lifeline.hold_to(arguments.parent_pid)
    try:
        if arguments.by == "tensorflow":
            by_tensorflow("gpu", arguments.threads)
        else:
            by_pycuda()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        kind, reason = classify(error)
        if kind != "out_of_memory" and not _NO_MEMORY.search(reason):
            sys.exit(reason)
        sys.stderr.write(f"{reason}\n")
        sys.exit(NO_MEMORY)


def by_tensorflow(device: Literal["cpu", "gpu"], threads: int) -> None:
    """Multiply two matrices. Raises GpuTrouble, and whatever TensorFlow raises."""
    from worker.runner import backend

    backend.prepare(threads)
    import tensorflow as tf

    left, right, wanted = _task()
    with backend.on(backend.choose_device(device)):
        product = tf.linalg.matmul(tf.constant(left), tf.constant(right)).numpy()
    _require_equal(product, wanted)


def by_pycuda() -> None:
    """Take numbers there and back. Raises GpuTrouble, and whatever pycuda raises."""
    from worker.runner.pycuda_device import PycudaDevice

    device = PycudaDevice()
    try:
        numbers, _, _ = _task()
        found = np.empty_like(numbers)
        memory = device.allocate(numbers.nbytes)
        device.copy_in(memory, numbers)
        device.copy_out(found, memory)
        device.synchronize()
        device.free(memory)
        _require_equal(found, numbers)
    finally:
        device.close()


def _task() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Two matrices of small whole numbers, and their product: exact even in short formats."""
    numbers = np.arange(SIZE * SIZE, dtype=np.int64).reshape(SIZE, SIZE)
    left, right = numbers % 7, numbers % 11
    return left.astype(np.float32), right.astype(np.float32), (left @ right).astype(np.float32)


def _require_equal(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> None:
    wrong = int(np.count_nonzero(found != wanted))
    if wrong:
        raise GpuTrouble(f"{wrong} of {wanted.size} numbers came out wrong.")


if __name__ == "__main__":
    main()
