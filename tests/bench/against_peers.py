"""Whole sweeps by labpool, fused and not, and by its peers: from the submission to the last result.

96 trials of an MLP and 48 of a small CNN on 8 x 8 images (`rivals/specs`), on two CPU slots or two
processes of one thread each. Every peer does a small part of them; the two that are fastest there
do all of them, and so do Ray Tune and Optuna given labpool's own loop. Rounds are interleaved, so
that a busy machine slows everybody; the figures are medians of the rounds' ratios to the fused
sweep. Each round's networks are a neuron wider: no service has seen them.

What was measured is kept in `.labpool-bench`, and a run that was ended goes on from there. No round
begins that would end after an hour, as far as the one before tells.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import mean, median
from typing import Any

from labpool.client import Client
from tests.bench import programs
from tests.bench.rivals import kept, sweeps, ways

ROUNDS, EPOCHS_QUICK = 3, 2
BUDGET_S = 3600.0
FASTEST = 2
WARM_UP_EPOCHS = 2

BOUNDS = {"against_peers_trials": "> 0"}
FULL_BOUNDS = {
    "mlp_vs_peer": ">= 30",
    "mlp_vs_peer_loop": ">= 3",
    "cnn_vs_peer": ">= 8",
    "cnn_vs_peer_loop": ">= 1.7",
    "mlp_peers_accuracy_difference": "<= 0.005",
    "cnn_peers_accuracy_difference": "<= 0.005",
    "mlp_trials": "== 96",
    "cnn_trials": "== 48",
}

Round = dict[str, kept.Part]
Figures = dict[str, float | int | bool | None]


def figures(quick: bool) -> Figures:
    """Ratios, seconds and accuracies; quick: every way once, on a small sweep of few epochs."""
    store = kept.Kept.of(kept.FOLDER / ("quick" if quick else "full"), kept.identity(quick))
    with ExitStack() as stack:
        measure = _Measure(store, programs.peers_python(), stack, EPOCHS_QUICK if quick else None)
        found: Figures = {}
        for name in sweeps.LARGE:
            small = measure.round(sweeps.SMALL[name], 1, (*ways.AS_PEOPLE_USE_THEM, *ways.OURS))
            # In the long form these need only the large sweeps.
            loops = ways.GIVEN_OUR_LOOP
            if quick:
                small |= measure.round(sweeps.SMALL[name], 1, loops)
                found |= _figures(name, [small], ways.AS_PEOPLE_USE_THEM)
                continue
            fastest = fastest_of(small)
            rounds = [
                measure.round(name, number, (*ways.OURS, *loops, *fastest))
                for number in measure.rounds()
            ]
            found |= _figures(name, rounds, fastest)
        found["against_peers_trials"] = sum(one["trials"] for one in store.parts.values())
        found["against_peers_load"] = round(mean(_loads(store.parts.values())), 2)
        print(f"  Raw numbers: {store.finish(dict(found))}", flush=True)
    return found


def fastest_of(small: Round) -> tuple[str, ...]:
    """The peers as people use them that were fastest on a small sweep, the fastest first."""
    there = [name for name in ways.AS_PEOPLE_USE_THEM if name in small]
    return tuple(sorted(there, key=lambda name: float(small[name]["seconds"])))[:FASTEST]


class _Measure:
    """Measures what is not kept; the service starts when it is first needed."""

    def __init__(
        self, store: kept.Kept, python: Path | None, stack: ExitStack, epochs: int | None
    ) -> None:
        self._store, self._python, self._stack, self._epochs = store, python, stack, epochs
        self._client: Client | None = None
        self._began_s = time.monotonic()

    def rounds(self) -> Iterator[int]:
        """The numbers of a large sweep's rounds, as many as its half of the time allows."""
        began_s = time.monotonic()
        for number in range(1, ROUNDS + 1):
            yield number
            each_s = (time.monotonic() - began_s) / number
            if time.monotonic() + each_s > self._began_s + BUDGET_S:
                print(f"  No round after {number}: an hour is all there is.", flush=True)
                return

    def round(self, sweep: str, number: int, names: Sequence[str]) -> Round:
        """Every way of a sweep in turn; peers are left out without their environment."""
        spec = sweeps.spec_of(sweep, number, self._epochs)
        found: Round = {}
        for name in names:
            if name in ways.PEERS and self._python is None:
                continue
            part, is_new = self._store.part(
                f"{sweep}/{name}/{number}",
                lambda name=name: self._taken(name, spec).as_json(),  # type: ignore[misc]
            )
            found[name] = part
            print(
                f"  {sweep}, round {number}: {name} {part['seconds']:.2f} s, accuracy "
                f"{part['accuracy']:.4f}, load {part['load'][1]:.1f}{'' if is_new else ' (kept)'}",
                flush=True,
            )
        return found

    def _taken(self, name: str, spec: dict[str, Any]) -> ways.Taken:
        if name in ways.PEERS:
            assert self._python is not None
            return ways.by_peer(self._python, name, sweeps.trials_of(spec))
        return ways.by_labpool(self._service(), ways.OURS[name], spec)

    def _service(self) -> Client:
        if self._client is None:
            self._client = self._stack.enter_context(ways.pool())
            # Once unmeasured: the first trials of a pool find its runners still importing.
            for name in sweeps.SMALL.values():
                for fuse in ways.OURS.values():
                    ways.by_labpool(self._client, fuse, sweeps.spec_of(name, 0, WARM_UP_EPOCHS))
        return self._client


def _figures(name: str, rounds: Sequence[Round], fastest: Sequence[str]) -> Figures:
    found: Figures = {
        f"{name}_trials": int(rounds[0]["fused"]["trials"]),
        f"{name}_rounds": len(rounds),
    }
    for way in rounds[0]:
        found[f"{name}_{way}_s"] = round(median(one[way]["seconds"] for one in rounds), 2)
    for figure, names in (
        (f"{name}_vs_peer", fastest),
        (f"{name}_vs_peer_loop", ways.GIVEN_OUR_LOOP),
        (f"{name}_vs_unfused", ("unfused",)),
    ):
        found |= ratios(figure, rounds, [one for one in names if one in rounds[0]])
    means = {way: mean(one[way]["accuracy"] for one in rounds) for way in rounds[0]}
    differences = [abs(one - means["unfused"]) for one in means.values()]
    found[f"{name}_accuracy"] = round(means["unfused"], 4)
    found[f"{name}_peers_accuracy_difference"] = round(max(differences), 4)
    return found


def ratios(figure: str, rounds: Sequence[Round], names: Sequence[str]) -> Figures:
    """How many times as fast as the fastest of these the fused sweep is, each round by itself."""
    if not names:
        return {figure: None}
    each = [min(one[name]["seconds"] for name in names) / one["fused"]["seconds"] for one in rounds]
    return {
        figure: round(median(each), 2),
        f"{figure}_least": round(min(each), 2),
        f"{figure}_most": round(max(each), 2),
    }


def _loads(parts: Any) -> list[float]:
    return [load for part in parts for load in part["load"]]
