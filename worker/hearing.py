"""Celery's consumer, deaf to everything about a message but that it came.

Celery reads a message in places that trust its form: a body of the wrong length ends the whole
worker, and with it what its slots do. Whoever reaches the broker could end every worker at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery.worker.consumer import Consumer

from worker import bell

logger = logging.getLogger(__name__)


class BellConsumer(Consumer):  # type: ignore[misc]
    """Takes any message on the bell's queue as a ring, and no message as a reason to end."""

    loop: Callable[..., Any]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.loop = self._outliving(self.loop)

    def create_task_handler(self, *_arguments: Any, **_options: Any) -> Callable[[Any], None]:
        """What is called with each message."""

        def hear(_message: Any) -> None:
            bell.ring()

        return hear

    def _outliving(self, loop: Callable[..., Any]) -> Callable[..., Any]:
        """``loop`` whose errors are all taken for a lost connection: Celery connects anew then."""

        def outliving(*arguments: Any, **options: Any) -> Any:
            try:
                return loop(*arguments, **options)
            except (*self.connection_errors, *self.channel_errors):
                raise
            except Exception as error:
                logger.exception("what came from the broker could not be read; connecting anew")
                raise ConnectionResetError("unreadable") from error

        return outliving
