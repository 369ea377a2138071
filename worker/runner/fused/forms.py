"""How the batches of several members stand side by side in one tensor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import tensorflow as tf


@dataclass(frozen=True)
class Wide:
    """A batch of every member on its way through the layers.

    `form` says how `numbers` hold `members` batches of examples of some shape:

    * shared: [batch, ...]; all members have this one batch, as nothing of their own has met it yet;
    * apart: [members, batch, ...];
    * joined, pictures only: [batch, height, width, members * channels], a member's channels beside
      each other, as grouped convolutions and poolings take them.
    """

    numbers: Any
    members: int
    form: Literal["shared", "apart", "joined"]

    @property
    def is_picture(self) -> bool:
        """Whether an example is [height, width, channels]."""
        return len(self.numbers.shape) == (5 if self.form == "apart" else 4)

    def like(self, numbers: Any) -> Wide:
        """Other numbers in the same form."""
        return replace(self, numbers=numbers)

    def apart(self) -> Wide:
        """The same as [members, batch, ...]."""
        if self.form == "apart":
            return self
        if self.form == "shared":
            spread = tf.tile(self.numbers[None], [self.members, *[1] * len(self.numbers.shape)])
            return replace(self, numbers=spread, form="apart")
        by_member = tf.transpose(self._by_channel(), [3, 0, 1, 2, 4])
        return replace(self, numbers=by_member, form="apart")

    def side_by_side(self) -> Wide:
        """Pictures as they are shared or joined: one batch of pictures with more channels or not.

        What treats each channel alone treats both alike.
        """
        return self if self.form == "shared" else self.joined()

    def joined(self) -> Wide:
        """Pictures as [batch, height, width, members * channels]."""
        if self.form == "joined":
            return self
        if self.form == "shared":
            spread = tf.tile(self.numbers, [1, 1, 1, self.members])
            return replace(self, numbers=spread, form="joined")
        by_channel = tf.transpose(self.numbers, [1, 2, 3, 0, 4])
        return replace(self, numbers=together(by_channel), form="joined")

    def _by_channel(self) -> Any:
        """[batch, height, width, members, channels] of a joined batch."""
        return split_channels(self.numbers, self.members)


def split_channels(numbers: Any, members: int) -> Any:
    """[..., members * channels] as [..., members, channels]."""
    sides = [*_sides(numbers)[:-1], members, numbers.shape[-1] // members]
    return tf.reshape(numbers, sides)


def together(numbers: Any) -> Any:
    """[..., members, channels] as [..., members * channels]."""
    sides = _sides(numbers)
    return tf.reshape(numbers, [*sides[:-2], numbers.shape[-2] * numbers.shape[-1]])


def flat(wide: Wide) -> Wide:
    """Each example as one row of numbers, in the order that an unfused network has them in."""
    kept = 1 if wide.form == "shared" else 2
    each = wide if wide.form == "shared" else wide.apart()
    length = 1
    for side in each.numbers.shape[kept:]:
        length *= side
    return each.like(tf.reshape(each.numbers, [*_sides(each.numbers)[:kept], length]))


def _sides(numbers: Any) -> list[Any]:
    # The batch is as long as it is; all else is known while tracing.
    known = numbers.shape.as_list()
    return [tf.shape(numbers)[at] if side is None else side for at, side in enumerate(known)]
