"""Work on the artifact store, which may hang: a network file system whose server is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from worker.aside import aside
from worker.files import StoreSilent

T = TypeVar("T")

# The largest file on the slowest share takes minutes; a lease is not for ever.
LIMIT_S = 600.0
# Somebody waits for the slot, or nothing runs there any more.
LIMIT_IN_A_HURRY_S = 30.0


class PatientStore:
    """What one lease's holder does with the store. Once it was given up, it is not asked again."""

    def __init__(
        self,
        beat: Callable[[], None],
        is_in_a_hurry: Callable[[], bool],
        must_give_up: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        """``beat`` is called all along; with ``must_give_up`` there is no more waiting at all."""
        self.is_silent = False
        self._beat = beat
        self._is_in_a_hurry = is_in_a_hurry
        self._must_give_up = must_give_up
        self._clock = clock

    def do(self, work: Callable[[], T]) -> T:
        """The result of ``work``, which goes on by itself if it is given up. Raises StoreSilent."""
        began_s = self._clock()
        hurried_s: float | None = None

        def between() -> None:
            nonlocal hurried_s
            self._beat()
            now = self._clock()
            if hurried_s is None and self._is_in_a_hurry():
                hurried_s = now
            if (
                self._must_give_up()
                or now - began_s >= LIMIT_S
                or (hurried_s is not None and now - hurried_s >= LIMIT_IN_A_HURRY_S)
            ):
                self.is_silent = True
                raise StoreSilent(f"the artifact store did not answer for {now - began_s:.0f} s")

        if self.is_silent:
            raise StoreSilent("the artifact store does not answer")
        return aside(work, between)
