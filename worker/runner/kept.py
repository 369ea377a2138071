"""What a warm runner keeps from one trial for the next: traced networks, and data on the device.

Nothing kept may show in a result. A network is kept by everything that is frozen into its trace,
and only when its model draws its weights from what `backend.seed` seeds; data by whatever
made them. The least lately used go first.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import keras
import numpy as np
from keras.src.utils.naming import reset_uids

from worker.runner import backend
from worker.runner.digests import digest_of_weights
from worker.runner.network import Network, arrays_of
from worker.runner.resident import ResidentSplits

MOST_NETWORKS = 32
MOST_GROUPS = 4
MOST_NETWORK_BYTES = 2**29
MOST_DATA_BYTES = 2**28


def key_of(*parts: Any) -> str:
    """One text for JSON values: equal for equal values, whatever the order of their keys."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class Kept:
    """Networks and data of trials that this process has run."""

    def __init__(self) -> None:
        self._networks: OrderedDict[str, Network] = OrderedDict()
        self._splits: OrderedDict[str, ResidentSplits] = OrderedDict()
        self._groups: OrderedDict[str, Any] = OrderedDict()

    def __len__(self) -> int:
        """How many networks can serve another trial."""
        return len(self._networks)

    def splits(self, key: str, make: Callable[[], ResidentSplits]) -> ResidentSplits:
        """The data of `key`, made now if they are not here."""
        found = self._splits.pop(key, None) or make()
        self._splits[key] = found
        # What is in use stays, however large it is.
        while len(self._splits) > 1 and self._bytes() > MOST_DATA_BYTES:
            self._splits.popitem(last=False)
        return found

    def network(
        self,
        key: str,
        seed: int,
        build: Callable[[], keras.Model],
        make: Callable[[keras.Model], Network],
    ) -> Network:
        """A network with the weights that `seed` draws, traced already if one of `key` is here."""
        known = self._networks.pop(key, None)
        if known is not None:
            known.begin_again(built(seed, build)[0])
            self._networks[key] = known
            return known
        model, draws_itself = built(seed, build)
        if draws_itself or not _draws_the_same(model, seed, build):
            backend.reset(seed)
            return make(build())
        self._networks[key] = network = make(model)
        while len(self._networks) > 1 and self._are_too_many():
            self._networks.popitem(last=False)
        return network

    def group(self, key: str, make: Callable[[], Any]) -> Any:
        """A traced group of networks, whose members are all to be put anew."""
        found = self._groups.pop(key, None) or make()
        self._groups[key] = found
        while len(self._groups) > MOST_GROUPS:
            self._groups.popitem(last=False)
        return found

    def forget(self) -> None:
        """Keep nothing of what a failure may have left half done."""
        self._networks.clear()
        self._groups.clear()

    def _are_too_many(self) -> bool:
        total = sum(network.bytes for network in self._networks.values())
        return len(self._networks) > MOST_NETWORKS or total > MOST_NETWORK_BYTES

    def _bytes(self) -> int:
        return sum(splits.bytes for splits in self._splits.values())


@cache
def of_this_process() -> Kept:
    """What this runner keeps."""
    return Kept()


def built(seed: int, build: Callable[[], keras.Model]) -> tuple[keras.Model, bool]:
    """A model with the weights of `seed`, in a process that may have built others before.

    Also whether `build` drew random numbers itself: they may be constants of its trace, which no
    variable shows.
    """
    backend.seed(seed)
    # Layers without a name of their own get that of a fresh process: specs may say it.
    reset_uids()
    before = _states()
    with _keras_draws_apart(seed):
        model = build()
    return model, _states() != before


def _states() -> tuple[Any, ...]:
    """What the generators that anybody may draw from will give next."""
    numbers: Any = np.random.get_state(legacy=False)["state"]
    return random.getstate(), numbers["key"].tobytes(), numbers["pos"]


@contextmanager
def _keras_draws_apart(seed: int) -> Iterator[None]:
    """Give Keras the numbers that `random` seeded with `seed` has, without taking them from it."""
    everybodys = random.randint
    kerass = random.Random(seed).randint  # noqa: S311 - weights, not secrets

    def draw(a: int, b: int) -> int:
        caller = sys._getframe(1).f_globals.get("__name__", "")  # noqa: SLF001
        return (kerass if caller.startswith("keras.") else everybodys)(a, b)

    random.randint = draw
    try:
        yield
    finally:
        random.randint = everybodys


def _draws_the_same(model: keras.Model, seed: int, build: Callable[[], keras.Model]) -> bool:
    """Whether `build` gives `model` again, so that what came before it cannot matter.

    What draws from TensorFlow's or Keras's own generators goes on from where they were.
    """
    first, second = (arrays_of(one.variables) for one in (model, built(seed, build)[0]))
    return digest_of_weights(first) == digest_of_weights(second)
