"""What a model, a data set and a kernel of the catalog must offer.

Catalog code imports this module and, for a list of layers, `labpool.layers`; nothing else of
labpool. Each entry is a Python module whose functions fulfil one of the protocols below; labpool
loads it in a runner process only, after its digest was checked. Nothing heavy is imported here: the
client package carries this file too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from labpool.errors import Unsuitable as Unsuitable  # noqa: PLC0414 - part of what is offered
from labpool.sdk_programs import Epoch as Epoch  # noqa: PLC0414
from labpool.sdk_programs import Exam as Exam  # noqa: PLC0414
from labpool.sdk_programs import Program as Program  # noqa: PLC0414
from labpool.sdk_programs import State as State  # noqa: PLC0414

if TYPE_CHECKING:
    from pathlib import Path

    import keras
    import numpy as np
    from numpy.typing import NDArray

    from labpool.catalog import Task

Arrays: TypeAlias = "Mapping[str, NDArray[Any]]"
"""Input arrays by name."""

Sizes: TypeAlias = Mapping[str, int]
DTypeName: TypeAlias = Literal["float32", "float64"]


@dataclass(frozen=True)
class DataShape:
    """What one example looks like when it reaches a model.

    `shape` is (height, width, channels) for an image and (features,) for a vector, without the
    batch. `classes` is how many labels there are for what `task` labels: a whole example, or each
    pixel of it when it is segmentation; then label 0 is the background, and counts.
    """

    kind: Literal["image", "vector"]
    shape: tuple[int, ...]
    classes: int
    task: Task = "classification"

    @property
    def features(self) -> int:
        """Numbers in one example, laid out flat."""
        return prod(self.shape)


@dataclass(frozen=True)
class Examples:
    """A whole data set, before it is split.

    `x` is float32 of shape [n, height, width, channels] with values in 0..1 for images, and
    [n, features] for vectors. `y` is int64 of shape [n], each in 0..classes-1.

    Where the TOML file's `tasks` name localisation, `boxes` is float32 [n, 4]: centre x, centre y,
    width and height of the one thing that `y` names, as shares of the picture's width and height,
    x to the right and y down. Where they name segmentation, `masks` is int64 [n, height, width]: 0
    is background, and 1 + c a pixel of class c.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    classes: int
    boxes: NDArray[np.float32] | None = None
    masks: NDArray[np.int64] | None = None


def kept_examples(name: str) -> Examples:
    """The fetched or imported data set `name` of this machine, in the order of its files.

    Bytes of pictures come as 0..1. Raises Unsuitable, which says how its files get here, and
    BadData or HoldingBroken where they are damaged.
    """
    from labpool.holdings import LIMITS, NotHeld, folder_of, held
    from labpool.sdk_arrays import examples_of

    try:
        path, record = held(folder_of(), name)
    except NotHeld as error:
        raise Unsuitable(f"The files are not on this machine: {error.detail}") from None
    return examples_of(path, LIMITS, len(record.counts))


def uploaded_examples(file: Path, classes: int) -> Examples:
    """The examples of an upload, in the order of its file. Raises Unsuitable when it is gone."""
    from labpool.holdings import LIMITS
    from labpool.sdk_arrays import examples_of

    if not file.exists():
        raise Unsuitable("The upload was deleted; bring the data again with `labpool data upload`.")
    return examples_of(file, LIMITS, classes)


class Model(Protocol):
    """`model.py`: a network written with Keras 3. `build` alone makes a classifier."""

    def build(self, parameters: Mapping[str, Any], data: DataShape) -> keras.Model:
        """A fresh model that maps [batch, *data.shape] float32 to logits [batch, data.classes].

        Logits: no softmax at the end, labpool's loss adds it. With a `loss` of its own the outputs
        are what that takes. `parameters` holds every parameter of `model.toml`, checked. Raises
        Unsuitable when they cannot work together.

        For localisation it gives [batch, data.classes + 4]: logits, then the box as `Examples` has
        it; for segmentation [batch, height, width, data.classes], the logits of each pixel. A model
        for these needs an `Objective`.
        """
        ...


class Objective(Protocol):
    """What `model.py` may offer beside `build`, when it is for something else than classes.

    labpool's loop traces these once for each architecture, and later trials reuse the trace: they
    may depend on their arguments and on TensorFlow operations, and keep nothing.
    """

    def loss(self, parameters: Mapping[str, Any], y: Any, outputs: Any) -> Any:
        """Each example's loss [batch] float32; training makes their mean small.

        `outputs` is what the model made, `y` the targets of its task: int64 [batch] class numbers
        for classification; float32 [batch, 5], class number and box, for localisation; int64
        [batch, height, width] for segmentation.
        """
        ...

    def metrics(self, parameters: Mapping[str, Any], y: Any, outputs: Any) -> Mapping[str, Any]:
        """Each example's value [batch] of every metric under `[judging.metrics]` in `model.toml`.

        What is shown is their mean over a split.
        """
        ...


class OwnStep(Protocol):
    """What `model.py` may offer when one loss and one gradient of it are not how it learns."""

    def gradients(
        self, parameters: Mapping[str, Any], model: keras.Model, x: Any, y: Any
    ) -> tuple[Any, Any, Sequence[Any]]:
        """One training step's mean loss [], its outputs [batch, ...], and the gradients.

        These are in the order of `model.trainable_variables`. The optimizer, its rate and the
        order of the examples stay labpool's, so it is paused, resumed and repeated like any other.
        `outputs` go to `metrics`.
        """
        ...


class Draws(Protocol):
    """What `model.py` may offer when it makes pictures: they are drawn and kept as it trains."""

    def samples(
        self, parameters: Mapping[str, Any], model: keras.Model, seed: int
    ) -> NDArray[np.float32]:
        """A grid of images [rows, columns, height, width, channels], 0..1, of 1 or 3 channels.

        `seed` is the trial's: the same weights and seed give the same images, and no variable of
        `model` may change, or a run would end otherwise for having been looked at.
        `every_epochs` under `[pictures]` in `model.toml` says how often it is called.
        """
        ...


class Dataset(Protocol):
    """`<name>.py` of a data set."""

    def load(self, parameters: Mapping[str, Any]) -> Examples:
        """Every example, in an order that depends on nothing but `parameters`.

        labpool splits them afterwards; a data set never does. Raises Unsuitable.
        """
        ...


@dataclass(frozen=True)
class Expected:
    """What a kernel should have computed, in float64, and how exact that can be asked to be.

    `scale` has the shape of `value`: for each element the sum of the absolute values that were
    added up for it. An error is judged as a share of it, because a sum that cancels to almost
    nothing still carries the rounding of its terms.
    """

    value: NDArray[np.float64]
    scale: NDArray[np.float64]


@dataclass(frozen=True)
class Cost:
    """The least work a kernel has to do: bytes moved once each, and floating-point operations."""

    bytes: int
    operations: int


@dataclass(frozen=True)
class Launch:
    """How one CUDA function is launched.

    `entry` is its name. `grid` and `block` count blocks and threads; `arguments` names, in the
    order of the function's parameters, an input array, "output", a temporary or a size; sizes and
    whole numbers are passed as 32-bit ints. An input array of no dimensions is passed by value.
    """

    entry: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    arguments: tuple[str | int, ...]


@dataclass(frozen=True)
class Copy:
    """All of `source` copied to `target` by the driver, in place of a launch.

    Both are named as a launch's arguments are. `host` says which of them lies in the host's memory,
    if any does, and `pinned` whether that memory is page-locked.
    """

    source: str
    target: str
    host: Literal["source", "target"] | None = None
    pinned: bool = False


@dataclass(frozen=True)
class Launches:
    """One run of a kernel: what is launched or copied, in this order, and device memory to work in.

    `temporaries` says how many elements of the kernel's type each of them holds; what is in them
    when a run begins is not known.
    """

    steps: tuple[Launch | Copy, ...]
    temporaries: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Shown:
    """One run of a kernel whose output [height, width] is a picture, 0 black and 1 white.

    `name` is that of its file without the ending: small letters, digits and _.
    """

    name: str
    sizes: Sizes
    inputs: Arrays


class Kernel(Protocol):
    """`reference.py`: what a CUDA kernel is measured against, in plain NumPy.

    One whose output can be looked at also offers `pictures(dtype) -> Sequence[Shown]`: these runs
    are checked like all others and kept as PNG files of the trial.
    """

    def inputs(self, sizes: Sizes, dtype: DTypeName, seed: int) -> dict[str, NDArray[Any]]:
        """Fresh C-contiguous input arrays; one seed, one set of values."""
        ...

    def output_shape(self, sizes: Sizes) -> tuple[int, ...]:
        """Shape of the one output array."""
        ...

    def expected(self, inputs: Arrays) -> Expected:
        """The right answer, worked out in float64 however `inputs` are stored."""
        ...

    def baseline(self, inputs: Arrays) -> NDArray[Any]:
        """The honest CPU way in the inputs' own dtype: what `device: cpu` times."""
        ...

    def cost(self, sizes: Sizes, dtype: DTypeName) -> Cost:
        """Bytes and operations of one run."""
        ...

    def launches(self, sizes: Sizes, launch: Mapping[str, int], variant: str) -> Launches:
        """Functions, grids, blocks and arguments of one of the variants that `kernel.toml` names.

        `launch` holds its launch parameters. Raises Unsuitable for what the kernel cannot run.
        """
        ...

    def edge_sizes(self, launch: Mapping[str, int]) -> Sequence[Sizes]:
        """Small odd sizes (1, primes, beside a multiple of the block) where kernels go wrong."""
        ...
