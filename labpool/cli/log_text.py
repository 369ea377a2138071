"""A log on its way to a person."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from labpool.cli.output import say

# Python ends the trace of a crash with one line of all compiled modules, which hides the trace.
NOISE = "Extension modules:"


def without_modules(parts: Iterable[str]) -> Iterator[str]:
    """The parts without lines that list extension modules; no other text is kept waiting."""
    held = ""
    for part in parts:
        lines = (held + part).splitlines(keepends=True)
        held = ""
        if lines and _may_be_noise(lines[-1]):
            held = lines.pop()
        text = "".join(line for line in lines if not line.startswith(NOISE))
        if text:
            yield text
    if held and not held.startswith(NOISE):
        yield held


def _may_be_noise(line: str) -> bool:
    """Whether a line that is not whole yet can become one of those."""
    return not line.endswith("\n") and (line.startswith(NOISE) or NOISE.startswith(line))


def once(text: str) -> Callable[[], None]:
    """Says `text` the first time that it is called."""
    said = False

    def say_it() -> None:
        nonlocal said
        if not said:
            said = True
            say(text)

    return say_it
