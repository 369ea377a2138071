"""Search every state that a small pool can come to; then without each guard in turn."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from functools import cache

from tests.faults.actors import PROGRESS, Actors
from tests.faults.invariants import broken, wrong
from tests.faults.life import ENDED, GUARDS, PAUSED, QUEUED, Database, State
from tests.faults.moves import Bounds
from tests.faults.symmetry import canonical

BOUNDS = {
    "model_states": "> 0",
    "model_violations": "== 0",
    "model_dead_ends": "== 0",
    "guards_caught": "== guards",
}
FULL_BOUNDS = {"model_states": ">= 100000"}

SEARCHES = {
    "requests": Bounds(trials=1, workers=1, faults=0, asks=4, looks=1, releases=1),
    "a fault": Bounds(trials=1, workers=2, faults=1, asks=1, looks=1, releases=1),
    "two faults": Bounds(trials=1, workers=2, faults=2, asks=0, looks=1, releases=1),
    "a search": Bounds(trials=1, workers=1, faults=0, asks=3, looks=1, releases=1, rungs=True),
    "a search and a fault": Bounds(
        trials=1, workers=2, faults=1, asks=1, looks=1, releases=1, rungs=True
    ),
    "a group": Bounds(trials=3, workers=1, faults=0, asks=1, looks=0, releases=1),
    "a group and a fault": Bounds(trials=3, workers=2, faults=1, asks=0, looks=0, releases=0),
}
# Small ones, to see what goes wrong without a guard, and for the short form.
SMALL = {
    "a look": Bounds(trials=1, workers=2, faults=0, asks=1, looks=1, releases=1),
    "a request": Bounds(trials=1, workers=2, faults=1, asks=1, looks=0, releases=1),
    "a stale sweep": Bounds(trials=1, workers=2, faults=1, asks=0, looks=1, releases=1),
    "losses": Bounds(trials=1, workers=2, faults=2, asks=0, looks=0, releases=0),
    "requests": Bounds(trials=1, workers=1, faults=0, asks=3, looks=1, releases=1),
    "many requests": Bounds(trials=1, workers=1, faults=0, asks=4, looks=1, releases=1),
    "two trials": Bounds(trials=2, workers=1, faults=1, asks=0, looks=0, releases=0),
    "a group": Bounds(trials=3, workers=1, faults=0, asks=0, looks=0, releases=1),
    "a search": Bounds(trials=1, workers=1, faults=1, asks=1, looks=0, releases=1, rungs=True),
    "a stale search": Bounds(
        trials=1, workers=1, faults=0, asks=0, looks=1, releases=1, rungs=True
    ),
    "a search twice": Bounds(
        trials=1, workers=1, faults=0, asks=2, looks=1, releases=1, rungs=True
    ),
}
QUICK = ("a look", "a stale sweep", "losses", "two trials", "a group", "a search", "a stale search")


@dataclass
class Found:
    """What a search came to. ``path`` leads to the violation."""

    states: int = 0
    violation: str | None = None
    path: list[str] = field(default_factory=list)
    dead_ends: int = 0


def figures(quick: bool) -> dict[str, float | int | bool | None]:
    """States, violations and dead ends of the machine as it is; guards whose removal is caught."""
    searches = {name: SMALL[name] for name in QUICK} if quick else SEARCHES
    states = violations = dead_ends = 0
    for name, bounds in searches.items():
        begun = time.monotonic()
        found = search(bounds)
        states += found.states
        dead_ends += found.dead_ends
        violations += found.violation is not None
        print(f"{name}: {found.states} states, {found.dead_ends} dead ends, "
              f"{time.monotonic() - begun:.1f} s")  # fmt: skip
        if found.violation is not None:
            print("VIOLATION", found.violation, *found.path, sep="\n  ")
    caught = 0
    for guard in GUARDS:
        how = catch(guard)
        caught += how is not None
        print(f"without {guard!r}: {how or 'NOT CAUGHT'}")
    return {
        "model_states": states,
        "model_violations": violations,
        "model_dead_ends": dead_ends,
        "guards": len(GUARDS),
        "guards_caught": caught,
    }


def catch(guard: str) -> str | None:
    """How the machine without ``guard`` goes wrong; None when it does not."""
    found = search(SMALL[GUARDS[guard]], frozenset({guard}), liveness=False)
    if found.violation is None:
        return None
    return f"{found.violation}, in {len(found.path)} steps"


def search(
    bounds: Bounds,
    off: frozenset[str] = frozenset(),
    *,
    liveness: bool = True,
    progress: frozenset[str] = PROGRESS,
) -> Found:
    """Breadth first, so that the path to a violation is a shortest one.

    ``liveness``: also count the states from which ``progress`` alone does not bring all to an end.
    """
    actors = Actors(Database(off), bounds)
    beginning = actors.beginning()
    came: dict[State, tuple[State, str] | None] = {beginning: None}
    onward: dict[State, list[State]] = {}
    waiting = deque([beginning])
    while waiting:
        state = waiting.popleft()
        for move in actors.moves(state):
            after = canonical(move.state)
            fresh = after not in came
            amiss = broken(state, move) or (wrong(move.state) if fresh else None)
            if amiss is not None:
                return Found(len(came), amiss, [*_path(came, state), move.name])
            if liveness and _is_any(move.name, progress):
                onward.setdefault(after, []).append(state)
            if fresh:
                came[after] = (state, move.name)
                waiting.append(after)
    return Found(len(came), dead_ends=_dead_ends(came, onward) if liveness else 0)


@cache
def _is_any(name: str, kinds: frozenset[str]) -> bool:
    return any(name.startswith(kind) for kind in kinds)


def _path(came: dict[State, tuple[State, str] | None], state: State) -> list[str]:
    names: list[str] = []
    step = came[state]
    while step is not None:
        state, name = step
        names.append(name)
        step = came[state]
    return names[::-1]


def _dead_ends(
    came: dict[State, tuple[State, str] | None], onward: dict[State, list[State]]
) -> int:
    """States from which, by progress alone, no state is reached in which nothing waits (I15)."""
    good = {state for state in came if _settled(state)}
    waiting = list(good)
    while waiting:
        for earlier in onward.get(waiting.pop(), ()):
            if earlier not in good:
                good.add(earlier)
                waiting.append(earlier)
    return len(came) - len(good)


def _settled(state: State) -> bool:
    """Everything has ended, or waits for people: paused, held, or without any healthy slot."""
    barred = all(worker.ill or worker.draining for worker in state.workers)
    return bool(state.trials) and all(
        trial.state in ENDED
        or trial.state == PAUSED
        or (trial.state == QUEUED and (trial.held or barred))
        for trial in state.trials
    )
