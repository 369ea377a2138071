"""The small decisions of the training loop: the best epoch, when to stop, which points to draw."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from worker.runner.standing import Standing
from worker.runner.step_points import MOST_POINTS, StepPoints

EPOCHS = st.lists(
    st.tuples(st.sampled_from([0.5, 0.6, 0.7]), st.sampled_from([0.1, 0.2, 0.3])), min_size=1
)


@given(EPOCHS)
def test_the_best_is_most_accurate_then_least_loss_then_earliest(
    epochs: list[tuple[float, float]],
) -> None:
    standing = Standing()
    for number, (accuracy, loss) in enumerate(epochs, start=1):
        standing = standing.watch(number, accuracy, loss).offer(number, accuracy, loss)
    ranked = sorted(range(len(epochs)), key=lambda n: (-epochs[n][0], epochs[n][1], n))
    assert standing.best_epoch == standing.watched_epoch == ranked[0] + 1
    assert (standing.best_score, standing.best_loss) == epochs[ranked[0]]


def test_an_accuracy_of_nought_can_be_the_best() -> None:
    assert Standing().offer(1, 0.0, 2.3).best_epoch == 1


def test_patience_counts_epochs_without_a_better_one() -> None:
    standing = Standing().watch(1, 0.5, 1.0)
    assert not standing.should_stop(1, 2) and not standing.should_stop(2, 2)
    assert standing.should_stop(3, 2)
    assert not standing.should_stop(1000, None)


def test_an_epoch_without_a_checkpoint_is_watched_but_not_offered() -> None:
    standing = Standing().watch(1, 0.9, 0.1).watch(2, 0.5, 0.5).offer(2, 0.5, 0.5)
    assert standing.best_epoch == 2 and standing.watched_epoch == 1


@given(st.integers(1, 3000), st.integers(1, 700))
def test_points_are_bounded_and_cover_the_epoch(steps: int, epochs: int) -> None:
    points = StepPoints(steps, epochs)
    points.begin()
    ends, means = points.complete(np.ones(steps, np.float32))
    assert len(ends) == len(means) and len(ends) * epochs <= MOST_POINTS
    assert (means == 1.0).all()
    if ends.size:
        assert len(ends) >= 2 and ends[-1] == steps
        assert (np.diff(ends, prepend=0) > 0).all()


@given(st.integers(2, 200), st.data())
def test_points_do_not_depend_on_how_the_epoch_is_cut(steps: int, data: st.DataObject) -> None:
    losses = np.random.default_rng(steps).random(steps, dtype=np.float32)
    whole, cut = StepPoints(steps, 7), StepPoints(steps, 7)
    whole.begin()
    cut.begin()
    drawn, done = [], 0
    while done < steps:
        done = data.draw(st.integers(done + 1, steps))
        drawn += pairs(cut.complete(losses[:done]))
    assert drawn == pairs(whole.complete(losses))


@given(st.integers(2, 3000), st.integers(1, 250), st.integers(0, 9))
@settings(deadline=None)
def test_points_are_the_means_of_equal_stretches_to_the_last_bit(
    steps: int, epochs: int, seed: int
) -> None:
    losses = np.random.default_rng(seed).lognormal(0, 3, steps).astype(np.float32)
    points = StepPoints(steps, epochs)
    points.begin()
    count = min(steps, MOST_POINTS // epochs)
    ends = [steps * number // count for number in range(count + 1)]
    means = [
        float(losses[start:end].mean(dtype=np.float64)) for start, end in itertools.pairwise(ends)
    ]
    assert pairs(points.complete(losses)) == list(zip(ends[1:], means, strict=True))


def test_a_point_is_the_mean_since_the_one_before() -> None:
    points = StepPoints(4, 250)
    points.begin()
    assert pairs(points.complete(np.array([1, 2, 3, 5], np.float32))) == [(2, 1.5), (4, 4.0)]
    points.begin()
    assert len(pairs(points.complete(np.zeros(4, np.float32)))) == 2


def pairs(found: tuple[NDArray[np.int64], NDArray[np.float64]]) -> list[tuple[int, float]]:
    ends, means = found
    return list(zip(ends.tolist(), means.tolist(), strict=True))
