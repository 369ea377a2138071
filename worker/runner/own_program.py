"""A program of the catalog, whose answers are checked before anything relies on them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from labpool.model_form import LOSS, Judging
from labpool.sdk import Epoch, Exam, Examples, State
from worker.runner.reasons import Diverged, EntryBroken

FUNCTIONS: Final = ("begin", "advance", "evaluate", "predict")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")


@dataclass(frozen=True)
class OwnProgram:
    """`code` offers what `labpool.sdk.Program` says, for these `parameters`."""

    code: ModuleType
    parameters: Mapping[str, Any]
    judging: Judging

    def begin(self, seed: int, data: Examples | None) -> State:
        """The state before the first epoch. Raises EntryBroken, Unsuitable."""
        return _checked(self.code.begin(self.parameters, seed, data), "begin")

    def advance(
        self, state: State, epoch: Epoch, data: Examples | None
    ) -> tuple[State, dict[str, float]]:
        """The state after `epoch`, and its curves. `state` is of no use any more.

        Raises EntryBroken, and Diverged when numbers stop being finite.
        """
        names = set(state)
        answer = self.code.advance(self.parameters, state, epoch, data)
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise EntryBroken("advance must give a state and a table of metrics.")
        found = _checked(answer[0], "advance")
        if set(found) != names:
            odd = min(set(found) ^ names)
            raise EntryBroken(f"advance gave a state with other names than it got: {odd!r}.")
        metrics = _numbers(answer[1], "advance")
        after = f"after epoch {epoch.number + 1}"
        if not math.isfinite(metrics.get(LOSS, 0.0)):
            raise Diverged(f"The loss is {metrics[LOSS]} {after}; a lower learning rate may help.")
        for name, array in found.items():
            if not np.isfinite(array).all():
                raise Diverged(f"{name!r} holds numbers that are not finite {after}.")
        return found, metrics

    def evaluate(self, state: State, exam: Exam, data: Examples | None) -> dict[str, float]:
        """All metrics on a split. Raises EntryBroken, Diverged."""
        found = _numbers(self.code.evaluate(self.parameters, state, exam, data), "evaluate")
        wanted = {*self.judging.metrics, self.judging.selects}
        if missing := sorted(wanted - set(found)):
            raise EntryBroken(f"evaluate gives no {missing[0]!r}, which model.toml judges by.")
        for name, value in found.items():
            if not math.isfinite(value):
                raise Diverged(f"The {exam.split}'s {name} is {value}.")
        return found

    def predict(self, state: State, x: NDArray[np.float32]) -> NDArray[Any]:
        """The outputs [n, ...] for `x` [n, ...]. Raises EntryBroken."""
        outputs = self.code.predict(self.parameters, state, x)
        if not isinstance(outputs, np.ndarray) or outputs.shape[:1] != (len(x),):
            raise EntryBroken(f"predict must give an array with one row for each of {len(x)}.")
        return outputs


def _checked(state: Any, function: str) -> State:
    """A copy whose arrays share nothing and lie in one order, as those of a checkpoint do.

    Sums over another layout have other bits, and a resumed run would not be the same run.
    """
    if not isinstance(state, dict) or not state:
        raise EntryBroken(f"{function} must give a table of arrays by name.")
    for name, array in state.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise EntryBroken(f"{function} gave {name!r}: use small letters, digits and _.")
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            kind = getattr(array, "dtype", type(array).__name__)
            raise EntryBroken(f"{function} gave {name!r} as {kind}, not as an array of numbers.")
    return {name: np.array(state[name], order="C", copy=True) for name in sorted(state)}


def _numbers(metrics: Any, function: str) -> dict[str, float]:
    if not isinstance(metrics, Mapping):
        raise EntryBroken(f"{function} must give a table of metrics by name.")
    for name, value in metrics.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise EntryBroken(f"{function} gave {name!r}: use small letters, digits and _.")
        if not isinstance(value, int | float | np.number):
            raise EntryBroken(f"{function} gave {name!r} as {type(value).__name__}, no number.")
    return {name: float(value) for name, value in metrics.items()}
