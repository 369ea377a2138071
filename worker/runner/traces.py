"""What a traced training step may depend on: its arguments and the variables of a checkpoint.

Anything else would make a run that goes on from a checkpoint, or on a warm runner, another run than
one that was never stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import tensorflow as tf

from worker.runner.reasons import EntryBroken

# Their state lives in a kernel, where nobody can read it. Stateless ones are named otherwise.
_STATEFUL_RANDOM: Final = frozenset(
    {
        "Multinomial", "ParameterizedTruncatedNormal", "RandomGamma", "RandomPoisson",
        "RandomPoissonV2", "RandomShuffle", "RandomStandardNormal", "RandomUniform",
        "RandomUniformInt", "TruncatedNormal",
    }
)  # fmt: skip
_REMEDY: Final = (
    "A checkpoint cannot hold it, so a run could not go on as if it had never stopped. Let the "
    "layer make a keras.random.SeedGenerator of its own and draw from that."
)


def check(function: Any, variables: Sequence[Any]) -> None:
    """Refuse a concrete function that depends on more than `variables`. Raises EntryBroken."""
    ours = {id(variable.value) for variable in variables}
    foreign = sorted(one.name for one in function.graph.variables if id(one) not in ours)
    if foreign:
        raise EntryBroken(
            f"training uses variables that belong to no layer of the model ({', '.join(foreign)}), "
            f"such as the state of Keras's global random numbers. {_REMEDY}"
        )
    drawn = sorted(_STATEFUL_RANDOM.intersection(_operations(function)))
    if drawn:
        raise EntryBroken(f"training draws by TensorFlow's {', '.join(drawn)}. {_REMEDY}")
    if any(outside.dtype != tf.resource for outside, _ in function.graph.captures):
        raise EntryBroken(
            "the model holds an array that is no variable of a layer; keep it with "
            "self.add_weight(trainable=False), so that checkpoints have it."
        )


def _operations(function: Any) -> Iterator[str]:
    graph = function.graph.as_graph_def()
    yield from (node.op for node in graph.node)
    for one in graph.library.function:
        yield from (node.op for node in one.node_def)
