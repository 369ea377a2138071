"""Data sets, their splits, and the way to a model's input."""

from __future__ import annotations

import math
from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labpool.catalog import DatasetEntry
from labpool.dataset_form import Splits
from labpool.model_form import ModelInput
from labpool.parameters import fill
from labpool.sdk import Examples, Unsuitable
from tests.support.runners import CATALOG, reference_to
from worker.runner import data, loading
from worker.runner.reasons import EntryBroken

# What is fetched has its own tests, in test_kept_sets.py.
READY = {name: entry for name, entry in CATALOG.datasets.items() if entry.files is None}
FRACTIONS = Splits(seed=3, validation=0.2, test=0.1)


def load(name: str, **parameters: Any) -> Examples:
    entry = CATALOG.datasets[name]
    module = loading.load(reference_to(entry), entry.path.with_suffix(".py"), "load")
    filled, problems = fill(dict(entry.parameters), parameters, of=name)
    assert not problems
    examples: Examples = module.load(filled)
    return examples


def numbered(count: int) -> Examples:
    """Examples that can be told apart."""
    x = np.arange(count, dtype=np.float32).reshape(-1, 1)
    return Examples(x, np.zeros(count, np.int64), classes=2)


@pytest.mark.parametrize("entry", READY.values(), ids=READY.keys())
def test_every_data_set_is_what_its_toml_says(entry: DatasetEntry) -> None:
    examples = load(entry.name)
    data.check(examples, entry.kind)
    assert examples.x.shape[1:] == entry.shape
    assert examples.classes == entry.classes
    assert set(np.unique(examples.y)) == set(range(entry.classes))
    if entry.kind == "image":
        assert examples.x.min() >= 0.0 and examples.x.max() <= 1.0
    again = load(entry.name)
    assert np.array_equal(examples.x, again.x) and np.array_equal(examples.y, again.y)


@pytest.mark.parametrize("entry", READY.values(), ids=READY.keys())
def test_every_split_of_every_data_set_holds_every_class(entry: DatasetEntry) -> None:
    splits = data.split(load(entry.name), entry.splits)
    for part in (splits.training, splits.validation, splits.test):
        assert set(np.unique(part.y)) == set(range(entry.classes))


def test_digits_are_the_real_ones() -> None:
    examples = load("digits")
    assert examples.x.shape == (1797, 8, 8, 1)
    assert examples.y[:10].tolist() == list(range(10))


def test_digits_are_split_the_same_way_for_ever() -> None:
    splits = data.split(load("digits"), CATALOG.datasets["digits"].splits)
    assert [len(part.y) for part in (splits.training, splits.validation, splits.test)] == [
        1079,
        359,
        359,
    ]
    # The results of years are comparable only as long as these stay.
    assert splits.test.y[:12].tolist() == [9, 0, 4, 0, 1, 2, 1, 0, 3, 7, 0, 3]
    assert splits.validation.y[:12].tolist() == [7, 2, 7, 2, 1, 3, 3, 3, 5, 8, 1, 9]


@given(st.integers(10, 400))
def test_splits_share_nothing_and_lose_nothing(count: int) -> None:
    splits = data.split(numbered(count), FRACTIONS)
    parts = [p.x.ravel().tolist() for p in (splits.training, splits.validation, splits.test)]
    assert sorted(chain(*parts)) == list(range(count))
    assert len(parts[2]) == round(count * 0.1)


def test_the_test_split_does_not_depend_on_the_validation_fraction() -> None:
    other = FRACTIONS.model_copy(update={"validation": 0.4})
    one, two = data.split(numbered(100), FRACTIONS), data.split(numbered(100), other)
    assert np.array_equal(one.test.x, two.test.x)


def test_too_few_examples_are_refused() -> None:
    with pytest.raises(Unsuitable):
        data.split(numbered(3), FRACTIONS)


def test_parameters_shape_the_synthetic_set() -> None:
    examples = load("synthetic", examples=60, height=5, width=7, channels=3, classes=4)
    assert examples.x.shape == (60, 5, 7, 3)
    assert np.bincount(examples.y).tolist() == [15] * 4
    other = load("synthetic", examples=60, height=5, width=7, channels=3, classes=4, seed=1)
    assert not np.array_equal(examples.x, other.x)


def test_a_synthetic_set_beyond_all_memory_is_refused_before_it_is_made() -> None:
    with pytest.raises(Unsuitable, match="bytes"):
        load("synthetic", examples=100_000, height=256, width=256, channels=4)


def test_synthetic_classes_can_be_told_apart_by_their_mean() -> None:
    examples = load("synthetic", examples=400)
    means = np.stack([examples.x[examples.y == label].mean(axis=0) for label in range(10)])
    distances = ((examples.x[:, None] - means[None]) ** 2).sum(axis=(2, 3, 4))
    assert (distances.argmin(axis=1) == examples.y).mean() > 0.95


def test_spirals_go_round_as_often_as_told() -> None:
    examples = load("spirals", turns=2.0, noise=0.0)
    radius = np.linalg.norm(examples.x, axis=1)
    angle = np.arctan2(examples.x[:, 1], examples.x[:, 0])
    expected = 2 * math.pi * (2.0 * radius + examples.y / 2)
    assert np.allclose(np.cos(angle - expected), 1.0, atol=1e-4)


@pytest.mark.parametrize(
    ("x", "y", "says"),
    [
        (np.zeros((4, 2, 2, 1)), np.zeros(4, np.int64), "float32"),
        (np.zeros((4, 2), np.float32), np.zeros(4, np.int64), "4 dimensions"),
        (np.zeros((4, 2, 2, 1), np.float32), np.zeros(3, np.int64), "shape"),
        (np.zeros((4, 2, 2, 1), np.float32), np.full(4, 9), "labels"),
        (np.full((4, 2, 2, 1), np.nan, np.float32), np.zeros(4, np.int64), "finite"),
        (np.zeros((0, 2, 2, 1), np.float32), np.zeros(0, np.int64), "labels"),
    ],
)
def test_broken_examples_are_named(x: Any, y: Any, says: str) -> None:
    with pytest.raises(EntryBroken, match=says):
        data.check(Examples(x, y, classes=3), "image")


def test_resizing_keeps_a_picture_of_its_own_size() -> None:
    images = np.random.default_rng(0).random((3, 8, 8, 1), dtype=np.float32)
    assert data.resize(images, 8, 8) is images


def test_resizing_keeps_a_slope_and_the_edges() -> None:
    # Pixel centres of 4 lie at 0.5, 1.5, 2.5, 3.5; those of 8 at a quarter, three quarters, ...
    slope = np.arange(4, dtype=np.float32).reshape(1, 1, 4, 1)
    wide = data.resize(slope, 1, 8).ravel()
    assert np.allclose(wide, [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])


def test_halving_averages_squares() -> None:
    images = np.random.default_rng(0).random((2, 4, 6, 3), dtype=np.float32)
    halves = images.reshape(2, 2, 2, 3, 2, 3).mean(axis=(2, 4))
    assert np.allclose(data.resize(images, 2, 3), halves, atol=1e-6)


@settings(max_examples=40)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 30), st.integers(1, 30))
def test_resizing_never_leaves_the_range(h: int, w: int, height: int, width: int) -> None:
    images = np.random.default_rng(h * w).random((2, h, w, 1), dtype=np.float32)
    resized = data.resize(images, height, width)
    assert resized.shape == (2, height, width, 1) and resized.dtype == np.float32
    assert resized.min() >= images.min() - 1e-6 and resized.max() <= images.max() + 1e-6


def test_images_are_fitted_to_what_a_model_takes() -> None:
    images = np.zeros((2, 8, 8, 1), np.float32)
    assert data.fit_to_model(images, "image", ModelInput(kind="any"))[0].shape == (2, 8, 8, 1)
    fitted, kind = data.fit_to_model(images, "image", ModelInput(kind="vector"))
    assert (fitted.shape, kind) == ((2, 64), "vector")
    fitted, kind = data.fit_to_model(images, "image", ModelInput(kind="image", size=(5, 6)))
    assert (fitted.shape, kind) == ((2, 5, 6, 1), "image")


def test_pictures_that_would_fill_the_memory_are_not_enlarged() -> None:
    # All of them are the one number: this array itself takes four bytes.
    many = np.broadcast_to(np.float32(0.5), (10_000_000, 1, 1, 1))
    with pytest.raises(Unsuitable, match=r"28 x 28.*10,000,000 take 29,907 MiB; 2,048 MiB"):
        data.fit_to_model(many, "image", ModelInput(kind="image", size=(28, 28)))
    least = np.broadcast_to(np.float32(0.5), (1_000_000, 1, 1, 1))
    assert data.fit_to_model(least, "image", ModelInput(kind="image", size=(2, 1)))[0].nbytes == 8e6


def test_vectors_are_not_taken_for_images() -> None:
    with pytest.raises(Unsuitable):
        data.fit_to_model(np.zeros((2, 8), np.float32), "vector", ModelInput(kind="image"))


def test_an_epochs_order_depends_on_seed_and_epoch_alone() -> None:
    order = data.permutation(50, 1, 2)
    assert sorted(order) == list(range(50))
    assert np.array_equal(order, data.permutation(50, 1, 2))
    assert not np.array_equal(order, data.permutation(50, 2, 1))
    assert not np.array_equal(order, data.permutation(50, 1, 3))


def test_a_truth_table_is_all_of_every_split() -> None:
    examples = load("xor")
    assert np.column_stack([examples.x, examples.y]).tolist() == [
        [0, 0, 1, 0], [0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 1, 0],
    ]  # fmt: skip
    splits = data.split(examples, CATALOG.datasets["xor"].splits)
    assert splits.undivided
    for part in (splits.training, splits.validation, splits.test):
        assert np.array_equal(part.x, examples.x) and np.array_equal(part.y, examples.y)
    assert not data.split(numbered(100), FRACTIONS).undivided
