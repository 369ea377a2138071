"""A network as a list of layers in a spec: read strictly, its shapes and its size worked out.

Nothing here imports Keras. The service refuses by it before a trial is made, the model `layers`
builds by it; `labpool.layer_kinds` says which layers there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import prod
from typing import Any

from labpool.errors import Problem, Unsuitable, pointer
from labpool.layer_kinds import KINDS, Kind, Misfit, Shape, shown

MOST_LAYERS = 32
MOST_WEIGHTS = 5_000_000
MOST_NUMBERS = 500_000
"""That one example may become on its way through the layers, all outputs taken together."""
MOST_BATCH_BYTES = 2**30
MOST_PROBLEMS = 20

_TO_VECTOR = "Put a Flatten or GlobalAveragePooling2D before it."

Layer = dict[str, Any]
Where = tuple[str | int, ...]


@dataclass(frozen=True)
class Size:
    """`shapes` [layers + 1] begins with the input; `weights` and `numbers` (of all outputs
    of one example) include the classes' own layer."""

    shapes: tuple[Shape, ...]
    weights: int
    numbers: int


def read(given: Any, *where: str | int) -> tuple[list[Layer], list[Problem]]:
    """The layers with every argument filled in, and what is wrong, pointers from `where` on."""
    if not isinstance(given, list):
        message = f"must be a list of layers, not {shown(given)}."
        return [], [Problem(pointer(*where), message, "Such as [{type: Flatten}].")]
    if len(given) > MOST_LAYERS:
        message = f"must hold at most {MOST_LAYERS} layers, not {len(given):,}."
        return [], [Problem(pointer(*where), message)]
    layers: list[Layer] = []
    problems: list[Problem] = []
    for index, one in enumerate(given):
        layer, found = _read_layer(one, (*where, index))
        layers.append(layer)
        problems += found
        if len(problems) >= MOST_PROBLEMS:
            break
    return layers, problems[:MOST_PROBLEMS]


def size_problems(
    layers: Sequence[Layer], shape: Shape, classes: int, *where: str | int
) -> list[Problem]:
    """The first layer that cannot take what reaches it, or that makes the network too large.

    `layers` are as `read` gives them, `shape` is that of one example.
    """
    found = _walk(layers, shape, classes, where)
    return [found] if isinstance(found, Problem) else []


def size_of(layers: Sequence[Layer], shape: Shape, classes: int) -> Size:
    """Shapes and size of a list that `read` gave. Raises Unsuitable, naming the layer."""
    found = _walk(layers, shape, classes, ())
    if isinstance(found, Problem):
        raise Unsuitable(f"layers{found}")
    return found


def checked(given: Any, shape: Shape, classes: int) -> list[Layer]:
    """The layers of `given`, filled in, known to fit `shape`. Raises Unsuitable."""
    layers, problems = read(given)
    if problems:
        raise Unsuitable(f"layers{problems[0]}")
    size_of(layers, shape, classes)
    return layers


def batch_problems(
    layers: Sequence[Layer], shape: Shape, classes: int, batch_size: int, *where: str | int
) -> list[Problem]:
    """Whether a batch of a list without problems needs more memory than it may have."""
    needed = 4 * batch_size * size_of(layers, shape, classes).numbers
    if needed <= MOST_BATCH_BYTES:
        return []
    message = (
        f"needs {needed // 2**20:,} MiB for the outputs of {batch_size:,} examples, "
        f"where {MOST_BATCH_BYTES // 2**20:,} MiB is the most."
    )
    return [Problem(pointer(*where), message, "Take a smaller batch_size or smaller layers.")]


def _read_layer(given: Any, where: Where) -> tuple[Layer, list[Problem]]:
    if not isinstance(given, dict):
        message = f"must be a table with a type, not {shown(given)}."
        return {}, [Problem(pointer(*where), message, "Such as {type: Dense, units: 10}.")]
    if "type" not in given:
        hint = "Say which layer it is, such as type: Dense."
        return {}, [Problem(pointer(*where, "type"), "is missing.", hint)]
    name = given["type"]
    if not isinstance(name, str) or name not in KINDS:
        message = f"must be a layer that a spec may list, not {shown(name)}."
        return {}, [Problem(pointer(*where, "type"), message, _meant(name, KINDS))]
    return _read_arguments(given, name, KINDS[name], where)


def _read_arguments(
    given: Mapping[str, Any], name: str, kind: Kind, where: Where
) -> tuple[Layer, list[Problem]]:
    unknown = [key for key in given if key != "type" and key not in kind.arguments]
    problems = [
        Problem(
            pointer(*where, key[:64]), f"is not known to {name} here.", _meant(key, kind.arguments)
        )
        for key in unknown[:MOST_PROBLEMS]
    ]
    layer: Layer = {"type": name}
    for key, argument in kind.arguments.items():
        if key in given:
            try:
                layer[key] = argument.read(given[key])
            except ValueError as error:
                problems.append(Problem(pointer(*where, key), str(error)))
        elif argument.required:
            problems.append(Problem(pointer(*where, key), f"is missing; {name} needs it."))
        else:
            default = argument.default
            layer[key] = list(default) if isinstance(default, list) else default
    if layer.get("strides", ()) is None:
        layer["strides"] = layer.get("pool_size")
    return layer, problems


def _walk(layers: Sequence[Layer], shape: Shape, classes: int, where: Where) -> Size | Problem:
    shapes, weights, numbers = [shape], 0, 0
    for index, layer in enumerate(layers):
        here = pointer(*where, index)
        kind = KINDS[layer["type"]]
        if problem := _unfit(kind, layer["type"], shapes[-1], here):
            return problem
        try:
            made = kind.shape(shapes[-1], layer)
        except Misfit as misfit:
            return Problem(here, str(misfit))
        weights += kind.weights(shapes[-1], layer)
        numbers += prod(made)
        shapes.append(made)
        if problem := _too_large(weights, numbers, here):
            return problem
    if len(shapes[-1]) != 1:
        sides = " x ".join(str(side) for side in shapes[-1])
        needs = f"a picture of {sides}, where the classes need a vector."
        message, hint = f"ends with {needs}", "Put a Flatten or GlobalAveragePooling2D at its end."
        if not layers:
            message, hint = f"is empty and leaves {needs}", "The least is [{type: Flatten}]."
        return Problem(pointer(*where), message, hint)
    weights += (shapes[-1][0] + 1) * classes
    numbers += classes
    return _too_large(weights, numbers, pointer(*where)) or Size(tuple(shapes), weights, numbers)


def _unfit(kind: Kind, name: str, shape: Shape, where: str) -> Problem | None:
    is_picture = len(shape) == 3
    if kind.takes == "vector" and is_picture:
        sides = " x ".join(str(side) for side in shape)
        return Problem(
            where, f"{name} takes a vector, and a picture of {sides} reaches it.", _TO_VECTOR
        )
    if kind.takes == "picture" and not is_picture:
        return Problem(where, f"{name} takes a picture, and a vector of {shape[0]:,} reaches it.")
    return None


def _too_large(weights: int, numbers: int, where: str) -> Problem | None:
    for count, most, what in (
        (weights, MOST_WEIGHTS, "weights"),
        (numbers, MOST_NUMBERS, "outputs for each example"),
    ):
        if count > most:
            return Problem(
                where, f"brings the list to {count:,} {what}, where it may have {most:,}."
            )
    return None


def _meant(word: Any, known: Iterable[str]) -> str:
    """What `word` was probably meant to be, or all there is; capitals do not matter."""
    by_lower = {name.lower(): name for name in known}
    if isinstance(word, str):
        found = get_close_matches(word[:64].lower(), by_lower, n=1, cutoff=0.6)
        if found:
            return f"Did you mean {by_lower[found[0]]!r}?"
    return f"There is {', '.join(by_lower.values())}." if by_lower else "It takes no arguments."
