"""One variable of every member of a group, held as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from worker.runner.reasons import CheckpointBroken


class Stack:
    """A variable that holds one array of `shape` for each member, side by side along `axis`."""

    def __init__(self, shape: tuple[int, ...], dtype: str, members: int, axis: int = 0) -> None:
        self._shape, self._dtype = shape, np.dtype(dtype)
        self.members, self.axis = members, axis
        sides = (*shape[:axis], members, *shape[axis:])
        self.variable = tf.Variable(np.zeros(sides, self._dtype), trainable=False)

    @classmethod
    def like(cls, variable: Any, members: int, axis: int = 0) -> Stack:
        """Zeros for what a Keras variable is in each member."""
        return cls(tuple(variable.shape), str(variable.dtype), members, axis)

    def across(self, each: Any) -> Any:
        """One number a member [members], so that it multiplies the stack's numbers member by
        member."""
        return tf.reshape(each, [self.members, *[1] * (len(self._shape) - self.axis)])

    def fits(self, array: NDArray[Any]) -> bool:
        """Whether this can be a member's."""
        return array.shape == self._shape and array.dtype == self._dtype

    def form(self) -> tuple[tuple[int, ...], str]:
        """Shape and type of one member's array."""
        return self._shape, str(self._dtype)

    def put(self, arrays: Mapping[int, NDArray[Any]]) -> None:
        """Give some members their arrays. Raises CheckpointBroken when one does not fit."""
        if not all(self.fits(array) for array in arrays.values()):
            found = [(array.shape, str(array.dtype)) for array in arrays.values()]
            raise CheckpointBroken(f"it holds {found}; the model has {self.form()}.")
        held = self.variable.numpy().copy()
        by_member = np.moveaxis(held, self.axis, 0)
        for member, array in arrays.items():
            by_member[member] = array
        self.variable.assign(held)

    def of(self, held: NDArray[Any], member: int) -> NDArray[Any]:
        """A copy of one member's array, from the numbers of the whole variable."""
        return np.array(np.take(held, member, self.axis), order="C")

    def clear(self, alive: Any) -> None:
        """Zeros for the members that are not `alive` [members]. What they hold may be NaN."""
        zeros = tf.zeros([], self.variable.dtype)
        self.variable.assign(tf.where(self.across(alive), self.variable, zeros))
