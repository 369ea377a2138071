"""Which epoch is the best so far, and for how long nothing has got better."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Standing:
    """How a run stands after some epochs; every epoch counts from 1, 0 means none yet.

    Better is a higher score, then a lower validation loss, then the earlier epoch. The score is the
    validation metric that the model selects by, negated where less is better.
    Early stopping watches every epoch; the best is chosen among those that have a checkpoint, so
    that the best can always be handed over.
    """

    best_epoch: int = 0
    best_score: float = 0.0
    best_loss: float = 0.0
    watched_epoch: int = 0
    watched_score: float = 0.0
    watched_loss: float = 0.0

    def watch(self, epoch: int, score: float, loss: float) -> Standing:
        """After an epoch was validated."""
        seen = (self.watched_score, -self.watched_loss)
        if self.watched_epoch and (score, -loss) <= seen:
            return self
        return replace(self, watched_epoch=epoch, watched_score=score, watched_loss=loss)

    def offer(self, epoch: int, score: float, loss: float) -> Standing:
        """When a checkpoint of an epoch is about to be written."""
        if self.best_epoch and (score, -loss) <= (self.best_score, -self.best_loss):
            return self
        return replace(self, best_epoch=epoch, best_score=score, best_loss=loss)

    def should_stop(self, epoch: int, patience: int | None) -> bool:
        """Whether `patience` epochs have gone by without a better one."""
        return patience is not None and epoch - self.watched_epoch >= patience
