"""Who hears the bell in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable

_lock = threading.Lock()
_listeners: list[Callable[[], None]] = []


def listen(listener: Callable[[], None]) -> None:
    """Call ``listener`` at each ring, in the ringing thread: it must return at once."""
    with _lock:
        _listeners.append(listener)


def forget(listener: Callable[[], None]) -> None:
    """Call ``listener`` no longer."""
    with _lock:
        _listeners.remove(listener)


def ring() -> None:
    """Tell every listener."""
    with _lock:
        listeners = tuple(_listeners)
    for listener in listeners:
        listener()
