"""An administrator at work during a chaos run: caps, drains, classes, and GPUs put back to work."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import httpx

from tests.faults.cluster import Ledger
from tests.faults.failing_gpus import fault_of
from tests.faults.people import UNANSWERED, send, trials_in

LOOK_EVERY_S = 0.3
# What finds nothing to be done to is tried again, for so long.
PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Deed:
    """``at_s`` after the beginning: a cap of ``value`` slots, a drain of ``lasts_s``, a class."""

    at_s: float
    what: str
    pick: float
    value: int = 0
    lasts_s: float = 0.0


def plan_deeds(source: random.Random, count: int, span_s: float) -> list[Deed]:
    """As many of each over ``span_s``, drawn from ``source``; a cap from the beginning on."""
    deeds = [Deed(0.0, "cap", 0.0, value=2)]
    for _ in range(count):
        at_s = [source.uniform(0.1, 0.7) * span_s for _ in range(3)]
        deeds += [
            Deed(at_s[0], "cap", source.random(), value=source.randint(1, 2)),
            Deed(
                at_s[1], "drain", source.random(), lasts_s=1.3 + source.uniform(0.0, 0.12) * span_s
            ),
            Deed(at_s[2], "high", source.random()),
        ]
    return sorted(deeds, key=lambda deed: deed.at_s)


class Keeper:
    """A thread that does its deeds in time, ends every drain and clears every quarantine.

    Within the context until the pool has settled: what is out of service must come back.
    """

    def __init__(
        self, url: str, token: str, capped: str, deeds: Sequence[Deed], ledgers: Path
    ) -> None:
        self._url, self._token, self._capped = url, token, capped
        self._deeds = list(deeds)
        self._folder = ledgers
        self._kept = Ledger(ledgers / "kept.jsonl")
        self._drained: dict[str, tuple[float, Deed]] = {}
        self._seen_broken: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def __enter__(self) -> Self:
        with self._client() as client:
            # In force before anybody's first trial.
            while self._deeds and self._deeds[0].at_s <= 0.0:
                if self._do(client, self._deeds[0]):
                    self._deeds.pop(0)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(30.0)
        self._kept.close()

    def _client(self) -> httpx.Client:
        return httpx.Client(
            base_url=self._url, headers={"Authorization": f"Bearer {self._token}"},
            timeout=10.0, trust_env=False,
        )  # fmt: skip

    def _run(self) -> None:
        begun = time.monotonic()
        with self._client() as client:
            while not self._stop.wait(LOOK_EVERY_S):
                passed_s = time.monotonic() - begun
                for deed in [one for one in self._deeds if one.at_s <= passed_s]:
                    if self._do(client, deed) or passed_s > deed.at_s + PATIENCE_S:
                        self._deeds.remove(deed)
                again = self._put_right(client)
                self._deeds += [replace(deed, at_s=passed_s) for deed in again]
            # So that each drain has its end, which is what it is judged by.
            while self._drained:
                self._put_right(client)
                time.sleep(LOOK_EVERY_S)

    def _do(self, client: httpx.Client, deed: Deed) -> bool:
        """Whether it was done."""
        doers: dict[str, Callable[[httpx.Client, Deed], bool]] = {
            "cap": self._cap, "drain": self._drain, "high": self._raise,
        }  # fmt: skip
        return doers[deed.what](client, deed)

    def _cap(self, client: httpx.Client, deed: Deed) -> bool:
        told = {"user": self._capped, "value": deed.value}
        path, change = f"/api/v1/users/{self._capped}", {"max_running": deed.value}
        return self._ask(client, "PATCH", path, told, "cap", json=change) == httpx.codes.OK

    def _drain(self, client: httpx.Client, deed: Deed) -> bool:
        workers = [
            one["id"] for one in self._pool(client).get("workers", [])
            if one["alive"] and not one["draining"]
        ]  # fmt: skip
        if not workers:
            return False
        worker = sorted(workers)[int(deed.pick * len(workers))]
        path = f"/api/v1/pool/workers/{worker}/drain"
        if self._ask(client, "POST", path, {"worker": worker}, "drain") != httpx.codes.OK:
            return False
        self._drained[worker] = (time.monotonic() + deed.lasts_s, deed)
        return True

    def _raise(self, client: httpx.Client, deed: Deed) -> bool:
        waiting = trials_in(client, "queued")
        if not waiting:
            return False
        trial = waiting[int(deed.pick * len(waiting))]
        path, change = f"/api/v1/trials/{trial}", {"priority": "high"}
        return self._ask(client, "PATCH", path, {"trial": trial}, "high", json=change) == 200

    def _put_right(self, client: httpx.Client) -> list[Deed]:
        """End the drains that are over, and clear what was seen to be broken a look ago.

        Returns the drains to do again: their worker was ended or killed before they were over.
        """
        pool = self._pool(client)
        if not pool:
            return []
        draining = {one["id"] for one in pool["workers"] if one["alive"] and one["draining"]}
        for name in sorted(draining):
            # A drain whose answer was lost may show late.
            until_s, _ = self._drained.get(name, (0.0, None))
            if until_s <= time.monotonic() or self._stop.is_set():
                path = f"/api/v1/pool/workers/{name}/undrain"
                if self._ask(client, "POST", path, {"worker": name}, "undrain") == httpx.codes.OK:
                    self._drained.pop(name, None)
        again = [self._drained.pop(name)[1] for name in self._drained.keys() - draining]
        broken = {row["device"] for row in pool["quarantines"]}
        for device in broken & self._seen_broken:
            fault_of(self._folder, device).unlink(missing_ok=True)
            path = f"/api/v1/pool/quarantines/{device}/clear"
            self._ask(client, "POST", path, {"device": device}, "clear")
        self._seen_broken = broken
        return again

    def _pool(self, client: httpx.Client) -> dict[str, Any]:
        answer = send(client, "GET", "/api/v1/pool")
        if answer is None or answer.status_code != httpx.codes.OK:
            return {}
        found: dict[str, Any] = answer.json()
        return found

    def _ask(
        self, client: httpx.Client, method: str, path: str, told: dict[str, Any], what: str,
        **content: Any,
    ) -> int:  # fmt: skip
        """Ask once, and note from when to when; the status, UNANSWERED when there was none."""
        at = time.time()
        answer = send(client, method, path, **content)
        status = UNANSWERED if answer is None else answer.status_code
        self._kept.note(at=at, what=what, status=status, answered=time.time(), **told)
        return status
