"""One thread's epochs by labpool's loop, by Keras's `fit`, or of their arithmetic alone.

A process of `tests.bench.loops`:
``python -m tests.bench.loops_keras loop|fit|arithmetic lenet|mlp deterministic|free IMAGES``
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from labpool.catalog import Catalog
from labpool.parameters import fill
from labpool.sdk import DataShape
from labpool.settings import CHECKOUT
from worker.protocol import CodeReference
from worker.runner import backend, loading
from worker.runner.data import Split, permutation

BATCH, RATE, CLASSES = 128, 1e-3, 10
# Unmeasured: the first traces, and the second finds caches and memory warm.
WARM_UP = 2


def main() -> None:
    way, network, mode, images = sys.argv[1:]
    _prepare(mode)
    x, y = examples(int(images))
    epoch = {"loop": _loop, "fit": _fit, "arithmetic": _arithmetic}[way](network, x, y)
    for number in range(WARM_UP):
        epoch(number)
    print("ready", flush=True)
    for number, _ in enumerate(sys.stdin, start=WARM_UP):
        began_s = time.perf_counter()
        epoch(number)
        print(time.perf_counter() - began_s, flush=True)


def examples(count: int) -> tuple[Any, Any]:
    """Images [count, 28, 28, 1] and classes: what they show does not change the time."""
    draw = np.random.Generator(np.random.PCG64(0))
    return draw.random((count, 28, 28, 1), np.float32), draw.integers(0, CLASSES, count)


def _prepare(mode: str) -> None:
    if mode == "free":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism = lambda: None
    backend.prepare(1)


def _model(network: str) -> Any:
    backend.reset(0)
    entry = Catalog.load([CHECKOUT / "catalog"]).models["lenet5" if network == "lenet" else "mlp"]
    parameters = fill(dict(entry.parameters), {}, of=entry.name)[0]
    if network == "mlp":
        parameters |= {"hidden": [100], "dropout": 0.0}
    code = CodeReference(name=entry.name, path=str(entry.path), digest=entry.digest)
    module = loading.load(code, entry.path / "model.py", "build")
    return module.build(parameters, DataShape("image", (28, 28, 1), CLASSES))


def _loop(network: str, x: Any, y: Any) -> Callable[[int], None]:
    from worker.runner.resident import Resident

    trained = _network(network)
    resident = Resident.of(Split(x, y), "cpu")
    steps = -(-len(y) // BATCH)

    def epoch(number: int) -> None:
        trained.train_steps(resident, permutation(len(y), 0, number), 0, steps)

    return epoch


def _arithmetic(network: str, x: Any, y: Any) -> Callable[[int], None]:
    """As many passes forward and back, over one batch that stays, and no update."""
    import tensorflow as tf

    trained = _network(network)
    batch_x, batch_y = tf.constant(x[:BATCH]), tf.constant(y[:BATCH])

    @tf.function
    def passes(count: Any) -> Any:
        total = tf.constant(0.0)
        for _ in tf.range(count):
            loss, _, gradients = trained.gradients(batch_x, batch_y)
            # What nothing depends on would not be worked out.
            total += loss + tf.add_n([tf.reshape(gradient, [-1])[0] for gradient in gradients])
        return total

    def epoch(_number: int) -> None:
        float(passes(tf.constant(-(-len(y) // BATCH))))

    return epoch


def _network(network: str) -> Any:
    from worker.runner.network import Network

    trained = Network(_model(network), "adam", BATCH, "cpu")
    trained.set_learning_rate(RATE)
    return trained


def _fit(network: str, x: Any, y: Any) -> Callable[[int], None]:
    import keras

    model = _model(network)
    model.compile(
        optimizer=keras.optimizers.Adam(RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )

    def epoch(_number: int) -> None:
        model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)

    return epoch


if __name__ == "__main__":
    main()
