"""Which epoch is the best so far, and for how long nothing has got better."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Standing:
    """How a run stands after some epochs; every epoch counts from 1, 0 means none yet.

    Better is a higher validation accuracy, then a lower validation loss, then the earlier epoch.
    Early stopping watches every epoch; the best is chosen among those that have a checkpoint, so
    that the best can always be handed over.
    """

    best_epoch: int = 0
    best_accuracy: float = 0.0
    best_loss: float = 0.0
    watched_epoch: int = 0
    watched_accuracy: float = 0.0
    watched_loss: float = 0.0

    def watch(self, epoch: int, accuracy: float, loss: float) -> Standing:
        """After an epoch was validated."""
        seen = (self.watched_accuracy, -self.watched_loss)
        if self.watched_epoch and (accuracy, -loss) <= seen:
            return self
        return replace(self, watched_epoch=epoch, watched_accuracy=accuracy, watched_loss=loss)

    def offer(self, epoch: int, accuracy: float, loss: float) -> Standing:
        """When a checkpoint of an epoch is about to be written."""
        if self.best_epoch and (accuracy, -loss) <= (self.best_accuracy, -self.best_loss):
            return self
        return replace(self, best_epoch=epoch, best_accuracy=accuracy, best_loss=loss)

    def should_stop(self, epoch: int, patience: int | None) -> bool:
        """Whether `patience` epochs have gone by without a better one."""
        return patience is not None and epoch - self.watched_epoch >= patience
