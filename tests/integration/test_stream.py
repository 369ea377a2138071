"""The event stream of a real server: what is heard, resumed, refused, and what it costs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, text

from db import claims, findings, owner, users
from db.commands import cancel_trial
from db.engine import Database
from db.models import Trial, User
from labpool.catalog import Catalog
from tests.support import pool
from tests.support.processes import Api, Processes, assert_gone, family, wait_until
from tests.support.streams import Listener

CHANGED = "changed"


@dataclass
class Lab:
    """A server under gunicorn over one database, and its people."""

    database: Database
    catalog: Catalog
    processes: Processes
    url: str
    api: Api | None = None
    tokens: dict[str, str] = field(default_factory=dict)
    listeners: list[Listener] = field(default_factory=list)

    def serve(self, **settings: str) -> Lab:
        environment = self.processes.environment(
            LABPOOL_DATABASE_URL=self.url, LABPOOL_BROKER_URL="redis://127.0.0.1:1/0", **settings
        )
        self.api = self.processes.api(environment)
        with self.database.transaction() as session:
            for name in ("ada", "bob"):
                user = users.add_user(session, name)
                self.tokens[name] = users.issue_token(session, user, "api")[1]
        return self

    @property
    def server(self) -> Api:
        assert self.api is not None
        return self.api

    def get(self, path: str, name: str = "ada") -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.tokens[name]}"}
        return httpx.get(self.server.url + path, headers=headers, timeout=30.0, trust_env=False)

    def listen(self, topics: str, name: str = "ada", **headers: str) -> Listener:
        listener = Listener(
            self.server.url, topics, Authorization=f"Bearer {self.tokens[name]}", **headers
        )
        self.listeners.append(listener)
        return listener

    def listening(self, topics: str, name: str = "ada", **headers: str) -> Listener:
        """A listener that misses nothing from now on."""
        listener = self.listen(topics, name, **headers)
        assert listener.answer.status_code == 200, listener.answer.text
        listener.until("hello")
        return listener

    def submit(self, raw: dict[str, Any] | None = None) -> int:
        with self.database.transaction() as session:
            ada = users.find_user(session, "ada")
            assert ada is not None
            return pool.submitted(session, self.catalog, ada, raw)[0]

    def cancel(self, trial_id: int) -> None:
        with self.database.transaction() as session:
            trial = session.get_one(Trial, trial_id)
            cancel_trial(session, trial, session.get_one(User, trial.owner_id))


@pytest.fixture
def lab(database: Database, catalog: Catalog, tmp_path: Path) -> Iterator[Lab]:
    """On each kind of database."""
    yield from _lab(database, catalog, tmp_path)


@pytest.fixture
def quick_lab(sqlite_url: str, catalog: Catalog, tmp_path: Path) -> Iterator[Lab]:
    database = Database(sqlite_url)
    yield from _lab(database, catalog, tmp_path)
    database.dispose()


def _lab(database: Database, catalog: Catalog, folder: Path) -> Iterator[Lab]:
    url = database.url.render_as_string(hide_password=False)
    with Processes(folder / "processes") as processes:
        lab = Lab(database, catalog, processes, url)
        yield lab
        for listener in lab.listeners:
            listener.leave()


def test_it_works(lab: Lab) -> None:
    lab.serve()
    trial_id = lab.submit()
    with lab.database.snapshot() as session:
        experiment_id = session.get_one(Trial, trial_id).experiment_id
    listener = lab.listening(f"trial:{trial_id},experiment:{experiment_id},pool")
    assert listener.answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    both = {f"trial:{trial_id}", f"experiment:{experiment_id}"}

    with lab.database.transaction() as session:
        claim = claims.claim(session, pool.slot(session, lab.catalog), 90.0)
        assert claim is not None
        [work] = claim.trials
    assert both <= set(listener.until(CHANGED).data["topics"])

    with lab.database.transaction() as session:
        chunk = findings.Chunk("loss", [1], [1.0], [0.5], [2.0])
        findings.record_metrics(session, trial_id, work.fence, [chunk])
    assert both <= set(listener.until(CHANGED).data["topics"])

    with lab.database.transaction() as session:
        owner.succeed(session, trial_id, work.fence, {"loss": 1.0}, {})
    assert both <= set(listener.until(CHANGED).data["topics"])


def test_a_submission_is_heard_where_it_shows(quick_lab: Lab) -> None:
    quick_lab.serve()
    listener = quick_lab.listening("experiments,boards,pool")
    other = quick_lab.listening("experiments", "bob")
    quick_lab.submit()
    assert set(listener.until(CHANGED).data["topics"]) == {"experiments", "boards", "pool"}
    assert other.until(CHANGED).data["topics"] == ["experiments"]


def test_others_changes_are_not_heard(quick_lab: Lab) -> None:
    quick_lab.serve()
    mine, other = quick_lab.submit(), quick_lab.submit()
    listener = quick_lab.listening(f"trial:{mine}")
    quick_lab.cancel(other)
    quick_lab.cancel(mine)
    assert listener.until(CHANGED).data["topics"] == [f"trial:{mine}"]


def test_what_was_missed_is_told_after_coming_back(lab: Lab) -> None:
    lab.serve()
    changed, unchanged = lab.submit(), lab.submit()
    topics = f"trial:{changed},trial:{unchanged}"
    first = lab.listen(topics)
    place = first.until("hello").id
    first.leave()
    lab.cancel(changed)

    again = lab.listening(topics, Last_Event_ID=place)
    assert again.until(CHANGED).data["topics"] == [f"trial:{changed}"]
    # Whoever has seen all is told nothing, until something happens.
    wait_until(lambda: lab.listen(topics).until("hello").id != place, 30.0, "the next look")
    later = lab.listen(topics)
    caught_up = lab.listening(topics, Last_Event_ID=later.until("hello").id)
    lab.cancel(unchanged)
    assert caught_up.until(CHANGED).data["topics"] == [f"trial:{unchanged}"]


def test_who_may_listen(quick_lab: Lab) -> None:
    quick_lab.serve(LABPOOL_PRIVATE_RESULTS="true")
    trial_id = quick_lab.submit()
    assert quick_lab.listen(f"trial:{trial_id}", "bob").answer.status_code == 404
    assert quick_lab.listen("trial:999").answer.status_code == 404
    assert quick_lab.listen("rubbish").answer.status_code == 422
    assert Listener(quick_lab.server.url, "pool").answer.status_code == 401
    head = httpx.head(
        f"{quick_lab.server.url}/api/v1/stream?topics=pool",
        headers={"Authorization": f"Bearer {quick_lab.tokens['ada']}"},
        trust_env=False,
    )
    assert head.status_code == 200
    theirs = quick_lab.listening("experiments,boards,pool", "bob")
    quick_lab.submit()
    assert theirs.until(CHANGED).data["topics"] == ["pool"]


def test_a_revoked_token_ends_its_stream(quick_lab: Lab) -> None:
    quick_lab.serve()
    listener, other = quick_lab.listening("pool"), quick_lab.listening("pool", "bob")
    with quick_lab.database.transaction() as session:
        users.revoke_text(session, quick_lab.tokens["ada"])
    assert listener.until("end").data == {"reason": "access"}
    assert listener.next() is None
    quick_lab.submit()
    other.until(CHANGED)


def test_full_is_full_and_everything_else_goes_on(quick_lab: Lab) -> None:
    quick_lab.serve(LABPOOL_MAX_STREAMS="3")
    open_ones = [quick_lab.listening("pool") for _ in range(3)]
    refused = quick_lab.listen("pool")
    assert refused.answer.status_code == 503
    assert int(refused.answer.headers["Retry-After"]) > 0
    assert refused.answer.json()["type"] == "urn:labpool:problem:streams-full"
    # More at once than there are threads beyond those that the streams hold.
    assert {quick_lab.get("/api/v1/pool").status_code for _ in range(20)} == {200}
    open_ones[0].leave()
    wait_until(
        lambda: quick_lab.listen("pool").answer.status_code == 200, 30.0, "a place that came back"
    )


def test_streams_can_be_turned_off(quick_lab: Lab) -> None:
    quick_lab.serve(LABPOOL_MAX_STREAMS="0")
    assert quick_lab.listen("pool").answer.status_code == 503
    assert quick_lab.get("/api/v1/pool").status_code == 200


def test_a_stream_ends_by_itself_and_says_when_to_come_back(quick_lab: Lab) -> None:
    quick_lab.serve(LABPOOL_STREAM_LIFETIME_S="1")
    listener = quick_lab.listen("pool")
    assert listener.until("end").data == {"reason": "time"}
    assert listener.next() is None


def test_streams_end_when_the_server_stops(quick_lab: Lab) -> None:
    quick_lab.serve()
    listeners = [quick_lab.listening("pool") for _ in range(5)]
    quick_lab.server.signal(15)
    for listener in listeners:
        assert listener.until("end").data == {"reason": "stopping"}
        assert listener.next() is None
    wait_until(lambda: not quick_lab.server.running, 30.0, "the server's end")
    assert quick_lab.server.status == 0


def test_streams_do_not_keep_an_orphan_alive(quick_lab: Lab) -> None:
    quick_lab.serve()
    listener = quick_lab.listening("pool")
    workers = family(quick_lab.server.pid)
    assert workers
    quick_lab.server.kill()
    assert listener.until("end").data == {"reason": "stopping"}
    assert_gone(workers, 30.0)


def transactions(server: str, name: str) -> int:
    """How many transactions a Postgres database has seen."""
    url = server.replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(url)
    with engine.connect() as connection:
        found = connection.execute(
            text("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = :name"),
            {"name": name},
        ).scalar_one()
    engine.dispose()
    return int(found)


def test_twenty_listeners_cost_one_poller(
    postgres_server: str, postgres_url: str, catalog: Catalog, tmp_path: Path
) -> None:
    database = Database(postgres_url)
    name = str(database.url.database)
    for lab in _lab(database, catalog, tmp_path):
        lab.serve()
        for _ in range(20):
            lab.listening("pool")
        # Counters arrive late: what the requests themselves asked is waited out.
        time.sleep(3.0)
        began, before, found = time.monotonic(), transactions(postgres_server, name), 0
        while found < 8 and time.monotonic() < began + 60:
            time.sleep(0.5)
            found = transactions(postgres_server, name) - before
        elapsed_s = time.monotonic() - began
        # One look a second, and a look at the tokens now and then. A slow machine looks less often;
        # a poll for each listener would be twenty a second and more.
        assert 8 <= found < 10 * elapsed_s, f"{found} transactions in {elapsed_s:.1f} s"
    database.dispose()
