"""Many clients submit at once and repeat themselves: each key makes one experiment, none is lost.

A fifth of all requests are replays. Some come after the answer; some after a client hung up before
it, so that it cannot know; some at the same moment as their original, from another client. All goes
over HTTP to the API as it is started for people, each client on a connection of its own.
"""

from __future__ import annotations

import http.client
import json
import random
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import func, select

from db.engine import Database
from db.models import Base, Experiment, IdempotencyKey, Trial
from tests.faults.service import percentile, service, token_of
from tests.support.databases import KINDS, Fresh, fresh_database

REQUESTS, REQUESTS_QUICK = 10_000, 60
CLIENTS, CLIENTS_QUICK = 64, 8
USERS = 8
REPLAYED = 0.2
PATIENCE_S = 120.0
OK, CREATED, SERVER_ERROR = 200, 201, 500

How = Literal["once", "again", "unheard", "twins"]

BOUNDS = {
    "submissions_wrong": "== 0",
    "submissions_5xx": "== 0",
    "submissions_unanswered": "== 0",
    "experiments_made": "== experiments_wanted",
}
FULL_BOUNDS = {"submissions": ">= 20000"}


def figures(quick: bool, fresh: Fresh = fresh_database) -> dict[str, float | int | bool | None]:
    """Of both databases together; times of each."""
    totals: Counter[str] = Counter()
    times: dict[str, float] = {}
    for kind in KINDS:
        counts, times_ms = _load(kind, quick, fresh)
        totals.update(counts)
        times[f"submission_ms_p50_{kind}"] = round(percentile(times_ms, 0.5), 1)
        times[f"submission_ms_p99_{kind}"] = round(percentile(times_ms, 0.99), 1)
    return {**{name: totals[name] for name in (*BOUNDS, "experiments_wanted", "submissions")},
            **times}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Submission:
    """One key with its spec, and how often and how it is sent."""

    key: str
    body: bytes
    trials: int
    how: How
    together: threading.Barrier | None = None


@dataclass(slots=True)
class Client:
    """One connection, one thread, and what it was answered."""

    port: int
    token: str
    work: list[Submission]
    answers: list[tuple[str, int, Any]] = field(default_factory=list)
    times_ms: list[float] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    _connection: http.client.HTTPConnection | None = None

    def run(self) -> None:
        """Everything that there is to send, one after another; what comes again comes later."""
        later: list[Submission] = []
        for submission in self.work:
            if submission.how == "unheard":
                self._send_and_hang_up(submission)
                later.append(submission)
                continue
            if submission.together is not None:
                # The server ends a connection that idles for seconds.
                self._close()
                with suppress(threading.BrokenBarrierError):
                    submission.together.wait(PATIENCE_S)
            self._send(submission)
            if submission.how == "again":
                later.append(submission)
        for submission in later:
            self._send(submission)
        self._close()

    def _send(self, submission: Submission) -> None:
        began_s = time.perf_counter()
        try:
            answer = self._request(submission).getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._close()
            self.unanswered.append(repr(error))
            return
        self.times_ms.append(1000 * (time.perf_counter() - began_s))
        body = json.loads(text) if answer.status in (OK, CREATED) else None
        self.answers.append((submission.key, answer.status, body))

    def _send_and_hang_up(self, submission: Submission) -> None:
        self._request(submission)
        self._close()

    def _request(self, submission: Submission) -> http.client.HTTPConnection:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, PATIENCE_S)
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "Idempotency-Key": submission.key,
        }
        self._connection.request("POST", "/api/v1/experiments", submission.body, headers)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def _load(kind: str, quick: bool, fresh: Fresh) -> tuple[Counter[str], list[float]]:
    requests = REQUESTS_QUICK if quick else REQUESTS
    number = CLIENTS_QUICK if quick else CLIENTS
    with (
        tempfile.TemporaryDirectory(prefix="lp-") as folder,
        fresh(kind) as database,
        service(Path(folder), database) as running,
    ):
        tokens = [token_of(database, f"user{one}") for one in range(USERS)]
        # Twins are neighbours and share a user: a key belongs to one.
        clients = [Client(running.api.port, tokens[one // 2 % USERS], []) for one in range(number)]
        wanted = _share_out(clients, requests)
        began_s = time.monotonic()
        threads = [threading.Thread(target=client.run) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - began_s
        _let_the_unheard_end(database, len(wanted))
        counts = _count(clients, wanted, database)
    times_ms = [one for client in clients for one in client.times_ms]
    print(f"  {kind}: {counts['submissions']} requests of {number} clients in {seconds:.1f} s,"
          f" {dict(counts)}")  # fmt: skip
    for error, times in Counter(one for client in clients for one in client.unanswered).items():
        print(f"  {times} × {error}")
    return counts, times_ms


def _share_out(clients: Sequence[Client], requests: int) -> dict[str, Submission]:
    """Give the clients their work; every submission by its key."""
    rng = random.Random(requests)
    replays = round(requests * REPLAYED)
    again, unheard = replays // 2, replays // 4
    numbers: dict[How, int] = {
        "again": again,
        "unheard": unheard,
        "twins": replays - again - unheard,
        # The others are sent twice.
        "once": requests - 2 * replays,
    }
    ways = [how for how, number in numbers.items() for _ in range(number)]
    rng.shuffle(ways)
    wanted = {}
    for number, how in enumerate(ways):
        first = rng.randrange(len(clients))
        together = threading.Barrier(2) if how == "twins" else None
        submission = Submission(f"key-{number}", *_spec(rng, number), how, together)
        wanted[submission.key] = submission
        for client in (first, first ^ 1) if how == "twins" else (first,):
            clients[client].work.append(submission)
    return wanted


def _spec(rng: random.Random, number: int) -> tuple[bytes, int]:
    """A run, or now and then a small sweep; and how many trials it makes."""
    run = {"kind": "train", "model": "mlp", "dataset": "digits", "seed": number}
    if rng.random() < 0.9:
        return json.dumps(run).encode(), 1
    rates = [0.1, 0.01, 0.001]
    sweep = {"kind": "sweep", "base": run, "strategy": {"method": "grid"},
             "space": {"learning_rate": rates}}  # fmt: skip
    return json.dumps(sweep).encode(), len(rates)


def _let_the_unheard_end(database: Database, wanted: int) -> None:
    """Requests whose clients hung up may still be at work; they end at once or not at all."""
    deadline_s = time.monotonic() + 10.0
    while _rows(database, Experiment) < wanted and time.monotonic() < deadline_s:
        time.sleep(0.1)
    time.sleep(0.5)


def _count(
    clients: Sequence[Client], wanted: dict[str, Submission], database: Database
) -> Counter[str]:
    answers: dict[str, list[tuple[int, Any]]] = defaultdict(list)
    for client in clients:
        for key, status, body in client.answers:
            answers[key].append((status, body))
    statuses = Counter(status for found in answers.values() for status, _ in found)
    made = _rows(database, Experiment)
    wrong = sum(not _is_right(wanted[key], found, database) for key, found in answers.items())
    wrong += abs(_rows(database, Trial) - sum(one.trials for one in wanted.values()))
    wrong += abs(_rows(database, IdempotencyKey) - len(wanted))
    # A hung-up request counts as sent though nobody heard its answer.
    sent = sum(statuses.values()) + sum(one.how == "unheard" for one in wanted.values())
    return Counter(
        {
            "submissions": sent,
            "submissions_5xx": sum(n for code, n in statuses.items() if code >= SERVER_ERROR),
            "submissions_unanswered": sum(len(client.unanswered) for client in clients),
            "submissions_wrong": wrong,
            "experiments_made": made,
            "experiments_wanted": len(wanted),
        }
    )


def _is_right(
    submission: Submission, answers: Sequence[tuple[int, Any]], database: Database
) -> bool:
    """One 201 at most, every other answer a 200, all of one experiment that is still there."""
    statuses = Counter(status for status, _ in answers)
    times = {"once": 1, "again": 2, "unheard": 1, "twins": 2}[submission.how]
    created = {statuses[CREATED]} <= ({0, 1} if submission.how == "unheard" else {1})
    if not created or statuses[OK] + statuses[CREATED] != times:
        return False
    experiments = {body["experiment"]["id"] for _, body in answers}
    trials = {trial["id"] for _, body in answers for trial in body["trials"]}
    with database.snapshot() as session:
        stored = set(session.scalars(select(Trial.id).where(Trial.experiment_id.in_(experiments))))
    return len(experiments) == 1 and trials == stored and len(trials) == submission.trials


def _rows(database: Database, table: type[Base]) -> int:
    with database.snapshot() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0
