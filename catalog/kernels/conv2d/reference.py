"""A 3 x 3 convolution in NumPy: inputs, the right answer, the CPU baseline and the cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labpool.sdk import Arrays, Cost, DTypeName, Expected, Launch, Launches, Shown, Sizes

SIDE, TILE = 3, 16
"""Of the filter and of a block's tile; the same numbers as in kernel.cu."""
FILTERS = {
    "identity": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
    "edge_detection": [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "box_blur": [[1 / 9] * SIDE] * SIDE,
}
"""The slide's four."""
CARD = 320
"""Pixels on a side of the picture that they are shown on."""


def inputs(sizes: Sizes, dtype: DTypeName, seed: int) -> dict[str, NDArray[Any]]:
    """`picture` [height, width] and `filter` [3, 3], standard normal."""
    random = np.random.default_rng(seed)
    kind = np.float32 if dtype == "float32" else np.float64
    return {
        "picture": random.standard_normal((sizes["height"], sizes["width"]), dtype=kind),
        "filter": random.standard_normal((SIDE, SIDE), dtype=kind),
    }


def output_shape(sizes: Sizes) -> tuple[int, ...]:
    """[height, width]."""
    return (sizes["height"], sizes["width"])


def expected(inputs: Arrays) -> Expected:
    """In float64; the scale is the same of the absolute values."""
    picture, weights = (inputs[name].astype(np.float64) for name in ("picture", "filter"))
    return Expected(_filtered(picture, weights), _filtered(np.abs(picture), np.abs(weights)))


def baseline(inputs: Arrays) -> NDArray[Any]:
    """Nine shifted pictures added up, in the inputs' own type."""
    return _filtered(inputs["picture"], inputs["filter"])


def cost(sizes: Sizes, dtype: DTypeName) -> Cost:
    """Picture and filter read once, the output written; a product and a sum for each number under
    the filter, which past an edge has none."""
    elements = sizes["height"] * sizes["width"]
    size = 4 if dtype == "float32" else 8
    # Each number along a side is under three rows of the filter, the first and the last under two.
    under = (SIDE * sizes["height"] - 2) * (SIDE * sizes["width"] - 2)
    return Cost(bytes=(2 * elements + SIDE * SIDE) * size, operations=2 * under)


def launches(sizes: Sizes, launch: Mapping[str, int], variant: str) -> Launches:
    """A block for each tile."""
    del launch  # the tile is fixed in kernel.cu
    grid = (-(-sizes["width"] // TILE), -(-sizes["height"] // TILE), 1)
    arguments = ("picture", "filter", "output", "height", "width")
    return Launches((Launch(f"conv2d_{variant}", grid, (TILE, TILE, 1), arguments),))


def edge_sizes(launch: Mapping[str, int]) -> Sequence[Sizes]:
    """One, primes, one more or less than a tile, and pictures of one row or column."""
    del launch
    cases = [(1, 1), (1, 127), (127, 1), (15, 17), (16, 16), (17, 15), (2, 2), (67, 131)]
    return [{"height": height, "width": width} for height, width in cases]


def pictures(dtype: DTypeName) -> Sequence[Shown]:
    """The slide's four filters on a test card."""
    sizes = {"height": CARD, "width": CARD}
    card = _test_card().astype(dtype)
    return [
        Shown(name, sizes, {"picture": card, "filter": np.array(weights, dtype)})
        for name, weights in FILTERS.items()
    ]


def _test_card() -> NDArray[np.float64]:
    """[CARD, CARD] in 0..1: soft and hard edges, fine rings, thin lines and single specks."""
    row, column = np.mgrid[0:CARD, 0:CARD]
    y, x = row / CARD, column / CARD
    card = 0.25 + 0.4 * y
    from_ball = np.hypot(x - 0.27, y - 0.28) / 0.2
    ball = 0.2 + 0.75 * np.sqrt(np.maximum(0, 1 - np.hypot(x - 0.22, y - 0.22) / 0.32))
    card = np.where(from_ball < 1, ball, card)
    from_rings = np.hypot(x - 0.74, y - 0.27)
    card = np.where(from_rings < 0.21, 0.5 + 0.4 * np.cos(900 * from_rings**2), card)
    squares = (np.floor(x * 20) + np.floor(y * 20)) % 2
    card = np.where((x > 0.53) & (x < 0.93) & (y > 0.55) & (y < 0.9), 0.1 + 0.8 * squares, card)
    lines = (row + column) % 16 < 2
    card = np.where((x > 0.07) & (x < 0.47) & (y > 0.55) & (y < 0.9), 0.3 + 0.6 * lines, card)
    specks = np.random.default_rng(0).random(card.shape) < 0.002
    speckled: NDArray[np.float64] = np.where(specks, 1 - np.rint(card), card)
    return speckled


def _filtered(picture: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    """Windows past the edge leave out what is not there."""
    height, width = picture.shape
    output = np.zeros_like(picture)
    for dy in range(-1, 2):
        for dx in range(-1, 2):
            to = (slice(max(0, -dy), height - max(0, dy)), slice(max(0, -dx), width - max(0, dx)))
            of = (slice(max(0, dy), height + min(0, dy)), slice(max(0, dx), width + min(0, dx)))
            output[to] += picture[of] * weights[dy + 1, dx + 1]
    return output
