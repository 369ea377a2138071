"""Whether a kernel computes what its reference says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labpool.sdk import Arrays, Expected, Sizes
from worker.runner.reasons import WrongResult

Compute = Callable[[Sizes, Arrays], NDArray[Any]]


def error_of(found: NDArray[Any], expected: Expected, tolerance: float, case: str) -> float:
    """Largest error as a share of the scale. Raises WrongResult, naming the worst element.

    NaN and infinity must stand exactly where the reference has them.
    """
    value, scale = expected.value, expected.scale
    if found.shape != value.shape:
        raise WrongResult(f"{case}: its output has shape {found.shape}, not {value.shape}.")
    judged = np.isfinite(value) & np.isfinite(scale)
    exact = ~judged & ~((found == value) | (np.isnan(found) & np.isnan(value)))
    wrong = exact | (judged & ~np.isfinite(found))
    if wrong.any():
        place = _place(wrong)
        raise WrongResult(f"{case}: element {place} is {found[place]}, not {value[place]}.")
    with np.errstate(invalid="ignore"):
        errors = np.where(judged, np.abs(found - value), 0.0)
    np.divide(errors, scale, out=errors, where=judged & (errors > 0))
    worst = _place(errors == errors.max())
    if errors[worst] > tolerance:
        raise WrongResult(
            f"{case}: element {worst} is {found[worst]:.9g}, should be {value[worst]:.9g}; the "
            f"relative error {errors[worst]:.3g} is above the tolerance {tolerance:g}."
        )
    return float(errors[worst])


def check_edges(
    kernel: Any,
    compute: Compute,
    launch: Mapping[str, int],
    dtype: str,
    tolerance: float,
    seed: int,
) -> float:
    """Run every edge size, with plain numbers and with NaN and infinity among them.

    Returns the largest relative error. Raises WrongResult.
    """
    worst = 0.0
    for number, sizes in enumerate(kernel.edge_sizes(launch)):
        inputs = kernel.inputs(sizes, dtype, seed + number)
        worst = max(worst, _check(kernel, compute, sizes, inputs, tolerance, named(sizes)))
        special = with_specials(inputs, seed + number)
        case = f"{named(sizes)}, with NaN and infinity"
        _check(kernel, compute, sizes, special, tolerance, case)
    return worst


def with_specials(inputs: Arrays, seed: int) -> dict[str, NDArray[Any]]:
    """The inputs with one NaN and one infinity planted in each array of more than two numbers."""
    random = np.random.default_rng(seed)
    planted = {name: array.copy() for name, array in inputs.items()}
    for array in planted.values():
        if array.size > 2:
            places = random.choice(array.size, 2, replace=False)
            array.reshape(-1)[places] = (np.nan, np.inf)
    return planted


def named(sizes: Sizes) -> str:
    """How a case is called in a message."""
    return ", ".join(f"{name} {size}" for name, size in sizes.items())


def _check(
    kernel: Any, compute: Compute, sizes: Sizes, inputs: Arrays, tolerance: float, case: str
) -> float:
    with np.errstate(invalid="ignore", over="ignore"):
        return error_of(compute(sizes, inputs), kernel.expected(inputs), tolerance, case)


def _place(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    """Indices of the first element that is true."""
    return tuple(int(index) for index in np.unravel_index(int(np.argmax(mask)), mask.shape))
