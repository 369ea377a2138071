"""A trial's report that no slot hears."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from worker.runner.report import Report


class Quiet:
    """What was reported, in lists."""

    def __init__(self) -> None:
        self.done: list[float] = []
        self.points: list[Mapping[str, float]] = []

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

    def metrics(self, step: int, epoch: float | None, values: Mapping[str, float]) -> None:
        assert (step, epoch) == (len(self.points) + 1, None)
        self.points.append(values)

    def stop_if_cancelled(self) -> None:
        pass
