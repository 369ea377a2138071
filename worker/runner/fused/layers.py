"""What each kind of layer does to the batches of all members at once.

Everything here works member by member: no number of one member is ever added to, or compared with,
another's, so that what is not a number in one stays there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import keras
import tensorflow as tf

from worker.runner.fused.chance import draw, next_seeds
from worker.runner.fused.forms import Wide, flat, split_channels, together
from worker.runner.fused.stacks import Stack


class Pass(Protocol):
    """One pass through a network: whose weights, and whether it is for training."""

    training: bool

    def weight(self, variable: Any) -> Any:
        """What stands for a Keras variable, with the members along the axis of `axis_of`."""
        ...

    def stack(self, variable: Any) -> Stack:
        """The same to be assigned to."""
        ...

    def own(self, layer: Any) -> Any:
        """Of each member the numbers that `Kind.own` gives of a layer, [members, numbers]."""
        ...


@dataclass(frozen=True)
class Kind:
    """How one kind of layer is fused."""

    apply: Callable[[Any, Wide, Pass], Wide]
    only: Mapping[str, Any]
    """Attributes that must have these values for it."""
    vectors_only: bool = False
    own: Callable[[Any], tuple[float, ...]] = lambda _: ()
    """Settings of a layer that each member may have of its own; all 0 where it does nothing."""
    own_names: tuple[str, ...] = ()
    """The attributes of a layer that these numbers come from."""


def axis_of(layer: Any, variable: Any) -> int:
    """Where the members' arrays of a layer's variable stand side by side."""
    # So [rows, columns, in, members, out] is the kernel of a grouped convolution as it stands.
    return 3 if isinstance(layer, keras.layers.Conv2D) and variable is layer.kernel else 0


def _dense(layer: Any, wide: Wide, go: Pass) -> Wide:
    shared = wide.form == "shared"
    made = tf.matmul(wide.numbers[None] if shared else wide.numbers, go.weight(layer.kernel))
    if layer.use_bias:
        made += go.weight(layer.bias)[:, None]
    return Wide(layer.activation(made), wide.members, "apart")


def _convolution(layer: Any, wide: Wide, go: Pass) -> Wide:
    # Of pictures that all members share, the members' filters are simply more filters.
    beside, kernel = wide.side_by_side(), go.weight(layer.kernel)

    def convolve(pictures: Any, filters: Any) -> Any:
        return tf.nn.conv2d(pictures, filters, layer.strides, layer.padding.upper())

    if beside.form == "joined" and kernel.dtype == tf.float64:
        # TensorFlow's kernel for the gradient by grouped filters takes no double precision.
        pictures = tf.split(beside.numbers, wide.members, axis=-1)
        made = tf.concat(list(map(convolve, pictures, tf.unstack(kernel, axis=3))), axis=-1)
    else:
        made = convolve(beside.numbers, together(kernel))
    if layer.use_bias:
        made += together(go.weight(layer.bias))
    return Wide(layer.activation(made), wide.members, "joined")


def _max_pooling(layer: Any, wide: Wide, _go: Pass) -> Wide:
    return _pooled(tf.nn.max_pool2d, layer, wide)


def _average_pooling(layer: Any, wide: Wide, _go: Pass) -> Wide:
    return _pooled(tf.nn.avg_pool2d, layer, wide)


def _pooled(pool: Callable[..., Any], layer: Any, wide: Wide) -> Wide:
    beside = wide.side_by_side()
    made = pool(beside.numbers, layer.pool_size, layer.strides, layer.padding.upper())
    return beside.like(made)


def _global_max(_layer: Any, wide: Wide, _go: Pass) -> Wide:
    return _over_the_picture(tf.reduce_max, wide)


def _global_average(_layer: Any, wide: Wide, _go: Pass) -> Wide:
    return _over_the_picture(tf.reduce_mean, wide)


def _over_the_picture(reduce: Callable[..., Any], wide: Wide) -> Wide:
    beside = wide.side_by_side()
    made = reduce(beside.numbers, axis=[1, 2])
    if beside.form == "shared":
        return beside.like(made)
    by_member = tf.transpose(split_channels(made, wide.members), [1, 0, 2])
    return Wide(by_member, wide.members, "apart")


def _zero_padding(layer: Any, wide: Wide, _go: Pass) -> Wide:
    beside = wide.side_by_side()
    rows, columns = layer.padding
    return beside.like(tf.pad(beside.numbers, [(0, 0), rows, columns, (0, 0)]))


def _up_sampling(layer: Any, wide: Wide, _go: Pass) -> Wide:
    beside = wide.side_by_side()
    made = beside.numbers
    for axis, times in enumerate(layer.size, start=1):
        made = tf.repeat(made, times, axis=axis)
    return beside.like(made)


def _flatten(_layer: Any, wide: Wide, _go: Pass) -> Wide:
    return flat(wide)


def _activation(layer: Any, wide: Wide, _go: Pass) -> Wide:
    return wide.like(layer.activation(wide.numbers))


def _dropout(layer: Any, wide: Wide, go: Pass) -> Wide:
    if not go.training or layer.rate == 0:
        return wide
    own = _with_numbers_of_its_own(wide)
    sides = _one_member(own)
    return _dropped(layer, own, _draw("uniform", layer, own, sides, go), go)


def _spatial_dropout(layer: Any, wide: Wide, go: Pass) -> Wide:
    if not go.training or layer.rate == 0:
        return wide
    own = wide.joined()
    batch, _, _, channels = _one_member(own)
    return _dropped(layer, own, _draw("uniform", layer, own, [batch, 1, 1, channels], go), go)


def _dropped(layer: Any, wide: Wide, drawn: Any, go: Pass) -> Wide:
    rates, scales = _own_numbers(layer, wide, go)
    scaled = wide.numbers * scales
    return wide.like(tf.where(drawn >= rates, scaled, tf.zeros([], scaled.dtype)))


def _rate_and_scale(layer: Any) -> tuple[float, ...]:
    # The scale is worked out as a trial alone has it, before either is rounded.
    return (layer.rate, 1 / (1 - layer.rate)) if 0 < layer.rate < 1 else (layer.rate, 0.0)


def _spread(layer: Any) -> tuple[float, ...]:
    return (layer.stddev,)


def _own_numbers(layer: Any, wide: Wide, go: Pass) -> list[Any]:
    """Each of a layer's own numbers, so that it goes with what `wide` holds."""
    each = tf.cast(go.own(layer), wide.numbers.dtype)
    if wide.form == "apart":
        sides = [wide.members, *[1] * (len(wide.numbers.shape) - 1)]
        return [tf.reshape(one, sides) for one in tf.unstack(each, axis=1)]
    channels = wide.numbers.shape[-1] // wide.members
    return [tf.repeat(one, channels) for one in tf.unstack(each, axis=1)]


def _noise(layer: Any, wide: Wide, go: Pass) -> Wide:
    if not go.training or layer.stddev == 0:
        return wide
    own = _with_numbers_of_its_own(wide)
    drawn = _draw("normal", layer, own, _one_member(own), go)
    [spread] = _own_numbers(layer, own, go)
    return own.like(own.numbers + drawn * spread)


def _with_numbers_of_its_own(wide: Wide) -> Wide:
    return wide.apart() if wide.form == "shared" else wide


def _one_member(wide: Wide) -> list[Any]:
    """The sides of one member's batch."""
    sides = list(tf.unstack(tf.shape(wide.numbers), num=len(wide.numbers.shape)))
    if wide.form == "apart":
        return sides[1:]
    return [*sides[:-1], wide.numbers.shape[-1] // wide.members]


def _draw(kind: Any, layer: Any, wide: Wide, sides: list[Any], go: Pass) -> Any:
    """A member's own numbers of these sides for each, in the form of `wide`."""
    seeds = next_seeds(go.stack(layer.seed_generator.state))
    # The members' axis of joined pictures stands before their channels.
    axis = 0 if wide.form == "apart" else 3
    drawn = draw(kind, seeds, tf.stack(sides), wide.numbers.dtype, axis)
    return drawn if axis == 0 else together(drawn)


def _batch_normalization(layer: Any, wide: Wide, go: Pass) -> Wide:
    own = wide.joined() if wide.is_picture else wide.apart()
    axes = [0, 1, 2] if wide.is_picture else [1]
    mean, variance = go.weight(layer.moving_mean), go.weight(layer.moving_variance)
    if go.training:
        found_mean, found_variance = (
            tf.reshape(found, mean.shape) for found in keras.ops.moments(own.numbers, axes=axes)
        )
        _move(go.stack(layer.moving_mean), mean, found_mean, layer.momentum)
        _move(go.stack(layer.moving_variance), variance, found_variance, layer.momentum)
        mean, variance = found_mean, found_variance
    fit = together if wide.is_picture else _beside_batch
    made = tf.nn.batch_normalization(
        own.numbers,
        fit(mean),
        fit(variance),
        fit(go.weight(layer.beta)) if layer.center else None,
        fit(go.weight(layer.gamma)) if layer.scale else None,
        layer.epsilon,
    )
    return own.like(made)


def _move(average: Stack, now: Any, found: Any, momentum: float) -> None:
    average.variable.assign(now * momentum + found * (1.0 - momentum))


def _beside_batch(each: Any) -> Any:
    """[members, features] so that it goes with [members, batch, features]."""
    return each[:, None]


def _layer_normalization(layer: Any, wide: Wide, go: Pass) -> Wide:
    own = wide.apart()
    between = [1] * (len(own.numbers.shape) - 2)

    def fit(variable: Any) -> Any:
        each = go.weight(variable)
        return tf.reshape(each, [own.members, *between, each.shape[-1]])

    mean, variance = keras.ops.moments(own.numbers, axes=[-1], keepdims=True)
    spread = tf.math.rsqrt(variance + layer.epsilon)
    if layer.scale:
        spread *= fit(layer.gamma)
    offset = -mean * spread
    if layer.center:
        offset += fit(layer.beta)
    return own.like(own.numbers * spread + offset)


_LAST = {"data_format": "channels_last"}
_POOLING = {**_LAST}
# Numbers of all members at once would be compared or added up by anything else.
KINDS: Final[Mapping[str, Kind]] = {
    "Conv2D": Kind(_convolution, {**_LAST, "groups": 1, "dilation_rate": (1, 1)}),
    "MaxPooling2D": Kind(_max_pooling, _POOLING),
    "AveragePooling2D": Kind(_average_pooling, _POOLING),
    "GlobalMaxPooling2D": Kind(_global_max, {**_LAST, "keepdims": False}),
    "GlobalAveragePooling2D": Kind(_global_average, {**_LAST, "keepdims": False}),
    "ZeroPadding2D": Kind(_zero_padding, _LAST),
    "UpSampling2D": Kind(_up_sampling, {**_LAST, "interpolation": "nearest"}),
    "Flatten": Kind(_flatten, _LAST),
    "Dense": Kind(_dense, {}, vectors_only=True),
    "Activation": Kind(_activation, {}),
    "Dropout": Kind(_dropout, {"noise_shape": None}, own=_rate_and_scale, own_names=("rate",)),
    "SpatialDropout2D": Kind(_spatial_dropout, _LAST, own=_rate_and_scale, own_names=("rate",)),
    "GaussianNoise": Kind(_noise, {}, own=_spread, own_names=("stddev",)),
    "BatchNormalization": Kind(_batch_normalization, {"renorm": False}),
    "LayerNormalization": Kind(_layer_normalization, {"rms_scaling": False}),
}


def own_numbers(model: Any) -> list[tuple[Any, tuple[float, ...]]]:
    """The layers of a model that have settings which each member may have of its own, with them."""
    found = [(layer, KINDS[type(layer).__name__].own(layer)) for layer in model.layers]
    return [(layer, numbers) for layer, numbers in found if numbers]
