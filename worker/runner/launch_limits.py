"""What one launch of a compiled kernel may ask for, and which word of a spec asked for more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from labpool.errors import LabpoolError
from labpool.sdk import Launch, Sizes, Unsuitable

Shape3 = tuple[int, int, int]


@dataclass(frozen=True)
class LaunchLimits:
    """Of one function on one device: the threads of a block that its registers let be, and bytes
    of shared memory a block, as they are there and as the function takes them."""

    threads: int
    shared_bytes: int
    own_shared_bytes: int


class TooLarge(LabpoolError):
    """The launch asks for more than this GPU allows for the kernel."""


class TooManyThreads(TooLarge):
    """A block of the launch has more threads than this GPU allows for the kernel."""


class TooMuchShared(TooLarge):
    """A block of the kernel takes more shared memory than this GPU has."""


def require_allowed(step: Launch, limits: LaunchLimits) -> None:
    """Raises TooLarge with what was asked and what is allowed, before anything is launched."""
    threads = prod(step.block)
    if limits.own_shared_bytes > limits.shared_bytes:
        raise TooMuchShared(
            f"{step.entry} takes {limits.own_shared_bytes} bytes of shared memory a block, and this"
            f" GPU allows {limits.shared_bytes}."
        )
    if threads > limits.threads:
        raise TooManyThreads(
            f"blocks of {threads} threads are asked for, and this GPU allows {step.entry}, as it"
            f" was compiled, {limits.threads}."
        )


def unsuitable(
    error: TooLarge, kernel: Any, sizes: Sizes, launch: Mapping[str, int], variant: str
) -> Unsuitable:
    """The same in words of the spec: the launch parameters that shape the blocks, else the
    variant."""
    named: list[str] = []
    if isinstance(error, TooManyThreads):
        asked = _blocks(kernel, sizes, launch, variant)
        named = [
            name
            for name, value in launch.items()
            # One less is not always taken: some kernels want whole warps.
            if any(
                _blocks(kernel, sizes, {**launch, name: less}, variant) not in (None, asked)
                for less in (value - 1, value // 2)
            )
        ]
    if not named:
        return Unsuitable(f"variant: {variant} cannot run here: {error.detail} Take another one.")
    words = " and ".join(f"launch.{name}" for name in named)
    values = " and ".join(str(launch[name]) for name in named)
    return Unsuitable(f"{words}: {values} is too much: {error.detail} Take less.")


def _blocks(
    kernel: Any, sizes: Sizes, launch: Mapping[str, int], variant: str
) -> Sequence[Shape3] | None:
    """The blocks that would be launched; None for what the kernel does not take."""
    try:
        steps = kernel.launches(sizes, launch, variant).steps
    except (LabpoolError, ArithmeticError, ValueError):
        return None
    return [step.block for step in steps if isinstance(step, Launch)]
