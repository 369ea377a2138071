"""Answers as the API and the pages show them, whatever a runner wrote."""

from __future__ import annotations

from array import array
from typing import Any

import pytest

from api.pages.predictions import bars_of, seen_of
from api.schemas.predictions import prediction_of
from db.models import Prediction
from db.states import PredictionState


def row(arrays: list[dict[str, Any]], numbers: list[float]) -> Prediction:
    return Prediction(
        id=1, trial_id=2, asked_by_id=3, state=PredictionState.DONE, form="csv", created_at=10.0,
        finished_at=10.5, deadline_at=130.0, about={}, arrays=arrays,
        outputs=array("f", numbers).tobytes(),
    )  # fmt: skip


def test_it_works() -> None:
    arrays = [
        {"name": "probabilities", "shape": [2, 2]},
        {"name": "boxes", "shape": [2, 1, 2]},
    ]
    shown = prediction_of(row(arrays, [0.25, 0.75, 0.9, 0.1, 1, 2, 3, 4]), None)
    assert shown.arrays["probabilities"].values == [[0.25, 0.75], [0.9, 0.1]]
    assert shown.arrays["boxes"].values == [[[1, 2]], [[3, 4]]]
    assert [(guess.label, guess.probability) for guess in shown.guesses] == [(1, 0.75), (0, 0.9)]
    assert shown.seconds == 0.5
    assert bars_of(shown) == [], "bars are for one example"


@pytest.mark.parametrize("shape", [[1, 0], [0, 10], [3]])
def test_odd_shapes_are_shown_without_guesses(shape: list[int]) -> None:
    numbers = [0.5] * (3 if shape == [3] else 0)
    shown = prediction_of(row([{"name": "probabilities", "shape": shape}], numbers), None)
    assert shown.guesses == []
    assert bars_of(shown) == []


@pytest.mark.parametrize(
    "seen",
    [
        None,
        "text",
        {},
        {"shape": [1, 1], "pixels": [0]},
        {"shape": [1, 2, 1], "pixels": [0]},
        {"shape": [1, 1, 1], "pixels": [256]},
        {"shape": [1, 1, 1], "pixels": ["<script>"]},
        {"shape": [1, 1, 1], "pixels": [-1]},
        {"shape": [1, 1, 2], "pixels": [0, 0]},
        {"shape": [0, 0, 1], "pixels": []},
        {"shape": "abc", "pixels": [0]},
    ],
)
def test_what_a_runner_says_it_saw_is_not_trusted(seen: object) -> None:
    assert seen_of({"seen": seen}) is None


def test_what_it_saw() -> None:
    found = seen_of({"seen": {"shape": [1, 2, 1], "pixels": [0, 255]}})
    assert found is not None
    assert (found.width, found.height, found.pixels) == (2, 1, "0,255")


def test_names_that_are_not_one_a_class_are_left_out() -> None:
    given = row([{"name": "probabilities", "shape": [1, 2]}], [0.25, 0.75])
    assert prediction_of(given, None, ["no", "yes"]).class_names == ["no", "yes"]
    for names in ([], ["yes"], ["a", "b", "c"]):
        assert prediction_of(given, None, names).class_names == []
