"""A trial's report that no slot hears."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from worker.runner.report import Report


class Quiet:
    """What was reported, in lists."""

    def __init__(self) -> None:
        self.done: list[float] = []
        self.curves: list[Mapping[str, Sequence[float]]] = []

    @classmethod
    def of(cls) -> Report:
        """One as what it stands for."""
        return cls().report

    @property
    def report(self) -> Report:
        """This as what it stands for."""
        return cast("Report", self)

    def progress(self, done: float, at_once: bool = False) -> None:
        del at_once
        self.done.append(done)

    def points(
        self,
        steps: Sequence[int],
        epochs: Sequence[float | None],
        values: Mapping[str, Sequence[float]],
        at_once: bool = False,
    ) -> None:
        assert at_once
        assert list(steps) == list(range(1, len(steps) + 1))
        assert list(epochs) == [None] * len(steps)
        assert {len(column) for column in values.values()} == {len(steps)}
        self.curves.append(values)

    def stop_if_cancelled(self) -> None:
        pass
