"""The `shapes` pictures: their boxes and masks say what was painted."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from labpool.parameters import fill
from labpool.sdk import Examples, Unsuitable
from tests.support.runners import CATALOG, reference_to
from worker.runner import data, loading

DISC, SQUARE, TRIANGLE, CROSS = range(4)


def load(**parameters: float) -> Examples:
    entry = CATALOG.datasets["shapes"]
    module = loading.load(reference_to(entry), entry.path.with_suffix(".py"), "load")
    filled, problems = fill(dict(entry.parameters), parameters, of=entry.name)
    assert not problems
    examples: Examples = module.load(filled)
    data.check(examples, entry.kind)
    return examples


def masks_of(examples: Examples) -> NDArray[np.int64]:
    assert examples.masks is not None
    return examples.masks


def boxes_in_pixels(examples: Examples) -> NDArray[np.int64]:
    """[n, 4]: left, top, right, bottom; the last two are the first that are outside."""
    assert examples.boxes is not None
    centres, sizes = examples.boxes[:, :2], examples.boxes[:, 2:]
    corners = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)
    pixels = corners * examples.x.shape[1]
    assert np.allclose(pixels, pixels.round(), atol=1e-4)
    return pixels.round().astype(np.int64)


@pytest.fixture(scope="module")
def plain() -> Examples:
    """Pictures of nothing but a shape on its ground."""
    return load(examples=80, noise=0.0, clutter=0)


def test_it_works(plain: Examples) -> None:
    labels = masks_of(plain)
    for label, mask in zip(plain.y, labels, strict=True):
        assert set(np.unique(mask)) == {0, 1 + label}
    assert np.bincount(plain.y).tolist() == [20] * 4


@pytest.mark.parametrize("size", [16, 32, 45])
def test_a_box_is_the_smallest_around_its_mask(size: int) -> None:
    examples = load(examples=60, size=size)
    for mask, (left, top, right, bottom) in zip(
        masks_of(examples), boxes_in_pixels(examples), strict=True
    ):
        inside = mask[top:bottom, left:right] > 0
        assert inside.sum() == (mask > 0).sum()
        assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


def test_a_mask_is_what_differs_from_the_ground(plain: Examples) -> None:
    for picture, mask in zip(plain.x[..., 0].astype(float), masks_of(plain), strict=True):
        # The ground is a plane, so three of its pixels foretell all of it; a shape leaves it.
        rows, columns = np.nonzero(mask == 0)
        plane = np.stack([np.ones(len(rows)), rows, columns], axis=1)
        fitted, *_ = np.linalg.lstsq(plane, picture[rows, columns], rcond=None)
        down, across = np.indices(picture.shape)
        away = np.abs(picture - (fitted[0] + fitted[1] * down + fitted[2] * across))
        assert away[mask == 0].max() < 1e-5
        assert away[mask > 0].min() > 0.1


def test_each_class_fills_its_box_as_its_shape_does(plain: Examples) -> None:
    pixels = boxes_in_pixels(plain)
    areas = (pixels[:, 2] - pixels[:, 0]) * (pixels[:, 3] - pixels[:, 1])
    filled = (masks_of(plain) > 0).sum(axis=(1, 2)) / areas
    of_class = [filled[plain.y == label].mean() for label in range(4)]
    assert of_class[SQUARE] == 1.0
    assert of_class[DISC] == pytest.approx(np.pi / 4, abs=0.04)
    assert of_class[TRIANGLE] == pytest.approx(1 / 2, abs=0.06)
    assert of_class[CROSS] == pytest.approx(5 / 9, abs=0.06)


def test_noise_and_clutter_leave_the_masks_and_change_the_pictures() -> None:
    still, noisy = load(examples=50, noise=0.0), load(examples=50, noise=0.2)
    assert not np.array_equal(still.x, noisy.x)
    clean, crowded = load(examples=50, clutter=0, noise=0.0), load(examples=50, clutter=9, noise=0)
    assert not np.array_equal(clean.x, crowded.x)
    for examples in (still, noisy, clean, crowded):
        assert (masks_of(examples) > 0).any(axis=(1, 2)).all()
        assert examples.x.min() >= 0.0 and examples.x.max() <= 1.0


def test_more_pictures_begin_with_the_fewer_and_another_seed_has_others() -> None:
    few, many, other = load(examples=50), load(examples=90), load(examples=50, seed=1)
    assert np.array_equal(few.x, many.x[:50])
    assert np.array_equal(masks_of(few), masks_of(many)[:50])
    assert not np.array_equal(few.x, other.x)


def test_shapes_are_everywhere(plain: Examples) -> None:
    everywhere = (masks_of(load(examples=400)) > 0).any(axis=0)
    # Of the corners' own pixels only few shapes have any.
    assert everywhere[1:-1, 1:-1].all()
    pixels = boxes_in_pixels(plain)
    widths = pixels[:, 2] - pixels[:, 0]
    assert widths.min() < 14 and widths.max() > 18


def test_pictures_beyond_all_memory_are_refused_before_they_are_made() -> None:
    with pytest.raises(Unsuitable, match="bytes"):
        load(examples=100_000, size=64)
