"""The baselines of our own are what they say: computed anew on the very splits that trials get."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from labpool.parameters import fill
from tests.support.runners import CATALOG, reference_to
from worker.runner import data, loading

METHODS: dict[str, Any] = {
    "Nearest neighbour": lambda: KNeighborsClassifier(1),
    "Logistic regression": lambda: LogisticRegression(max_iter=5000),
}
OWN = [
    (board.name, baseline.name, baseline.value)
    for board in CATALOG.boards.values()
    for baseline in board.baselines
    if "test_baselines.py" in baseline.source
]


def test_it_works() -> None:
    assert ("digits", "Nearest neighbour") in [own[:2] for own in OWN]


@pytest.mark.parametrize(("board", "name", "value"), OWN)
def test_a_baseline_is_computed_again(board: str, name: str, value: float) -> None:
    entry = CATALOG.datasets[str(CATALOG.boards[board].where["dataset"])]
    module = loading.load(reference_to(entry), entry.path.with_suffix(".py"), "load")
    splits = data.split(module.load(fill(dict(entry.parameters), {}, of=board)[0]), entry.splits)
    training, test = (
        (part.x.reshape(len(part.x), -1), part.y) for part in (splits.training, splits.test)
    )
    found = METHODS[name]().fit(*training).score(*test)
    # Another version of the solver may name one example otherwise.
    assert found == pytest.approx(value, abs=1.5 / len(test[0]))
