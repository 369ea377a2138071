"""What is shown of a run beside its numbers: pictures as it trains, its mistakes at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from worker.runner import mistakes
from worker.runner.mistakes import Examined
from worker.runner.network import Network
from worker.runner.pictures import SamplePictures
from worker.runner.report import Report
from worker.runner.resident import ResidentSplits
from worker.wire_types import Json


class Onlooker:
    """Looks on while one run trains, and changes nothing of it."""

    def __init__(
        self, splits: ResidentSplits, network: Network, report: Report, folder: Path
    ) -> None:
        """Files go to `folder`."""
        self._splits, self._network, self._report = splits, network, report
        self._folder = folder
        self.pictures: SamplePictures | None = None
        """What draws as it trains; None draws nothing."""
        self._classifies = mistakes.classifies(network.model, splits.shape, network.objective.names)
        self._outputs: list[Any] = []

    def after_epoch(self, epoch: int, is_last: bool) -> None:
        """Before a checkpoint of `epoch` is announced: a run that resumes there draws it no more.

        Raises EntryBroken, OSError.
        """
        if self.pictures is not None:
            self.pictures.after(epoch, self._network, self._report, is_last)

    def see_test(self, outputs: Any) -> None:
        """The outputs of a part of the test split, with the best epoch's weights."""
        if self._classifies:
            self._outputs.append(outputs.numpy())

    def tell(self, best_epoch: int) -> Json:
        """Publish what the test showed; the part of it that goes into the summary. OSError."""
        if not self._classifies:
            return {}
        test = self._splits.test
        examined = Examined.of(test.y.numpy(), np.concatenate(self._outputs))
        return mistakes.publish(examined, test.x.numpy(), best_epoch, self._folder, self._report)
