"""What the database's rules refuse."""

from __future__ import annotations

from labpool.errors import LabpoolError


class FencedOff(LabpoolError):
    """This trial belongs to somebody else by now; what was done for it must be thrown away."""


class TracedElsewhere(LabpoolError):
    """What is next is left to another idle slot, which has traced its like.

    ``detail`` is its trace key.
    """


class IdempotencyConflict(LabpoolError):
    """This Idempotency-Key was used for another request."""


class QueueFull(LabpoolError):
    """Too many of your trials are waiting."""

    permanent = False


class TooManyQuestions(LabpoolError):
    """That are too many predictions at once."""

    permanent = False


class NotPossible(LabpoolError):
    """That cannot be done now."""

    def __str__(self) -> str:
        """The detail is the whole sentence, where there is one."""
        if not self.detail:
            return super().__str__()
        stop = "" if self.detail.endswith((".", "!", "?")) else "."
        return self.detail[0].upper() + self.detail[1:] + stop


class NothingToKeep(NotPossible):
    """What is to be stopped waits and has no checkpoint, so there is nothing to keep."""


class NotAllowed(LabpoolError):
    """That is not for you to do."""


class NameTaken(LabpoolError):
    """A user of this name exists."""


class SecondHost(LabpoolError):
    """SQLite serves the workers of one host only; move the pool to Postgres for more."""


class ForeignStore(LabpoolError):
    """This worker's artifact folder is not the one that the pool's results are in."""


class DatabaseNewer(LabpoolError):
    """The database was written by a newer labpool; update this one."""


class DatabaseOlder(LabpoolError):
    """The database is older than this labpool; run `labpool up`, or `python -m deploy.migrate`."""
