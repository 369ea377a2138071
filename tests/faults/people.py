"""Members who submit and change their minds, over HTTP, whatever happens to the service."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.faults.cluster import Ledger

TRY_AGAIN_S = 0.3
# Asked of a trial at random; what does not fit its state is refused, and that is an answer too.
ASKS = ("cancel", "pause", "resume", "stop", "retry", "low", "normal")
WEIGHTS = (2, 6, 4, 1, 1, 3, 3)
# Most would meet a waiting trial; it is the running ones that have to heed these.
OF_RUNNING = frozenset({"pause", "stop"})
# Classes: a waiting trial is given another one.
PRIORITIES = frozenset({"low", "normal", "high"})
# Asked of a whole sweep that decides as it goes.
SWEEP_ASKS = ("pause_sweep", "resume_sweep", "stop_sweep", "extend")
SWEEP_WEIGHTS = (3, 3, 1, 2)
MOST_ADDED = 3
UNANSWERED = -1


@dataclass(frozen=True, slots=True)
class Submission:
    """A spec to send at ``at_s``, and again when ``again``."""

    at_s: float
    key: str
    spec: Mapping[str, Any]
    again: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """A wish at ``at_s``; ``pick`` in [0, 1) chooses the trial."""

    at_s: float
    pick: float
    wish: str


@dataclass
class Person:
    """One member: a thread that sends submissions in time, and asks in between."""

    name: str
    url: str
    token: str
    submissions: Sequence[Submission]
    asks: Sequence[Ask]
    acknowledged: Ledger
    asked: Ledger
    can_ask: frozenset[str]
    trials: list[int] = field(default_factory=list)
    sweeps: list[int] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    give_up: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Whether everything was sent and answered."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        begun = time.monotonic()
        todo: list[tuple[float, Submission | Ask]] = [(one.at_s, one) for one in self.submissions]
        todo += [(ask.at_s, ask) for ask in self.asks]
        with httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.token}"},
            timeout=10.0, trust_env=False,
        ) as client:  # fmt: skip
            for at_s, what in sorted(todo, key=lambda entry: entry[0]):
                while (left_s := begun + at_s - time.monotonic()) > 0:
                    time.sleep(min(left_s, 0.2))
                if self.give_up.is_set():
                    return
                if isinstance(what, Submission):
                    self._submit(client, what)
                elif what.wish in SWEEP_ASKS:
                    if self.sweeps:
                        sweep = self.sweeps[int(what.pick * len(self.sweeps))]
                        self.ask_sweep(client, sweep, what.wish)
                elif self.trials:
                    among = self._among(client, what.wish)
                    # Else of late ones rather than of those that ended long ago.
                    among = among or self.trials[-60:]
                    self.ask(client, among[int(what.pick * len(among))], what.wish)

    def _submit(self, client: httpx.Client, one: Submission) -> None:
        """Until there is an answer; then perhaps once more, as a client that saw none would."""
        body = json.dumps(one.spec).encode()
        headers = {"Idempotency-Key": one.key, "Content-Type": "application/json"}
        for _ in range(2 if one.again else 1):
            while not self.give_up.is_set():
                answer = send(client, "POST", "/api/v1/experiments", content=body, headers=headers)
                if answer is not None and answer.status_code < 500:
                    self._acknowledge(one, answer)
                    break
                time.sleep(TRY_AGAIN_S)

    def _acknowledge(self, one: Submission, answer: httpx.Response) -> None:
        if answer.status_code not in (200, 201):
            self.refusals.append(f"{answer.status_code}: {answer.text[:300]}")
            return
        told = answer.json()
        trials = [trial["id"] for trial in told["trials"]]
        self.acknowledged.note(
            user=self.name, key=one.key, experiment=told["experiment"]["id"], trials=trials,
            status=answer.status_code,
        )  # fmt: skip
        self.trials += [trial for trial in trials if trial not in self.trials[-200:]]
        experiment = told["experiment"]["id"]
        if "objective" in one.spec and experiment not in self.sweeps:
            self.sweeps.append(experiment)

    def _among(self, client: httpx.Client, wish: str) -> list[int]:
        """This member's trials that could heed it, as far as the service tells."""
        if wish in OF_RUNNING:
            return trials_in(client, "running", owner=self.name)
        return trials_in(client, "queued", owner=self.name) if wish in PRIORITIES else []

    def ask(self, client: httpx.Client, trial: int, what: str) -> int:
        """Ask once; the status, UNANSWERED when there was none."""
        if what in PRIORITIES:
            answer = send(client, "PATCH", f"/api/v1/trials/{trial}", json={"priority": what})
        elif what in self.can_ask:
            answer = send(client, "POST", f"/api/v1/trials/{trial}/{what}")
        else:
            return UNANSWERED
        status = UNANSWERED if answer is None else answer.status_code
        new = None
        if what == "retry" and answer is not None and answer.status_code in (200, 201):
            new = answer.json()["trial_id"]
            self.trials.append(new)
        self.asked.note(user=self.name, what=what, trial=trial, status=status, new=new)
        return status

    def ask_sweep(self, client: httpx.Client, experiment: int, what: str) -> None:
        """Ask once something of a whole sweep."""
        path = f"/api/v1/experiments/{experiment}"
        if what == "extend":
            answer = send(client, "POST", f"{path}/trials", json={"trials": MOST_ADDED})
        else:
            answer = send(client, "POST", f"{path}/{what.partition('_')[0]}")
        status = UNANSWERED if answer is None else answer.status_code
        self.asked.note(user=self.name, what=what, trial=None, experiment=experiment, status=status)


def plan_asks(
    source: random.Random, count: int, span_s: float, of_sweeps: int = 0
) -> list[Ask]:  # fmt: skip
    """Wishes over ``span_s``, drawn from ``source``; so many more are of whole sweeps."""
    wishes = source.choices(ASKS, WEIGHTS, k=count)
    wishes += source.choices(SWEEP_ASKS, SWEEP_WEIGHTS, k=of_sweeps)
    return [Ask(source.uniform(1.0, span_s), source.random(), wish) for wish in wishes]


def trials_in(client: httpx.Client, state: str, **of: str) -> list[int]:
    """The trials of a state; none when the service does not answer."""
    answer = send(client, "GET", "/api/v1/trials", params={"state": state, **of})
    if answer is None or answer.status_code != httpx.codes.OK:
        return []
    return sorted(trial["id"] for trial in answer.json()["trials"])


def send(client: httpx.Client, method: str, path: str, **content: Any) -> httpx.Response | None:
    try:
        return client.request(method, path, **content)
    except httpx.HTTPError:
        return None
