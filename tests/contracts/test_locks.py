"""What is locked, in which order, and what becomes of a connection that falls silent."""

from __future__ import annotations

import os
import select as selecting
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import event, text

from db import claims, owner, sweeper
from db.clock import db_now
from db.engine import Database
from db.models import Lease
from labpool.catalog import Catalog
from tests.support.pool import person, slot, step_clock, submitted

TTL_S = 90.0


@contextmanager
def relayed(server: str) -> Iterator[str]:
    """The URL of this Postgres over TCP: it listens on a Unix socket alone."""
    parts = urlsplit(server)
    folder = Path(parse_qs(parts.query)["host"][0])
    [path] = [found for found in folder.glob(".s.PGSQL.*") if found.suffix != ".lock"]
    listening = socket.create_server(("127.0.0.1", 0))
    stopped = threading.Event()

    def pass_on(client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(path))
            while not stopped.is_set():
                ready, _, _ = selecting.select([client, peer], [], [], 0.2)
                for end in ready:
                    try:
                        heard = end.recv(65536)
                    except ConnectionError:
                        heard = b""
                    if not heard:
                        return
                    (peer if end is client else client).sendall(heard)

    def accept() -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            if stopped.is_set():
                client.close()
                return
            threading.Thread(target=pass_on, args=(client,), daemon=True).start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    port = listening.getsockname()[1]
    try:
        yield f"postgresql://{parts.username}@127.0.0.1:{port}/postgres"
    finally:
        stopped.set()
        socket.create_connection(("127.0.0.1", port)).close()
        accepting.join(10)
        listening.close()


def test_a_silent_peer_is_noticed_within_half_a_minute(postgres_server: str) -> None:
    """By the kernel of either side: neither waits for hours with locks in its hands."""
    with relayed(postgres_server) as url:
        database = Database(url)
        with database.engine.connect() as connection:
            held: Any = connection.connection.driver_connection
            with socket.socket(fileno=os.dup(held.fileno())) as seen:
                assert seen.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                idle_s, interval_s, count, unacknowledged_ms = (
                    seen.getsockopt(socket.IPPROTO_TCP, option)
                    for option in (
                        socket.TCP_KEEPIDLE,
                        socket.TCP_KEEPINTVL,
                        socket.TCP_KEEPCNT,
                        socket.TCP_USER_TIMEOUT,
                    )
                )
            assert idle_s + count * interval_s <= 30
            assert 0 < unacknowledged_ms <= 30_000
            asked = {
                name: connection.scalar(text("SELECT reset_val FROM pg_settings WHERE name = :n"),
                                        {"n": name})
                for name in ("tcp_keepalives_idle", "tcp_keepalives_count", "tcp_user_timeout")
            }  # fmt: skip
        database.dispose()
    assert asked == {
        "tcp_keepalives_idle": "10", "tcp_keepalives_count": "3", "tcp_user_timeout": "30000",
    }  # fmt: skip


def test_all_lock_a_trial_before_its_lease(database: Database, catalog: Catalog) -> None:
    """The end of a trial, its heartbeat and the sweeper: else two of them wait for each other."""
    with database.transaction() as session:
        here = slot(session, catalog)
        for _ in range(2):
            submitted(session, catalog, person(session))
    orders = {}
    for name in ("heartbeat", "end", "sweep"):
        with database.transaction() as session:
            claim = claims.claim(session, here, TTL_S)
            assert claim is not None
        [work] = claim.trials
        step_clock(database, TTL_S + 1)
        with locking(database) as order, database.transaction() as session:
            if name == "heartbeat":
                progress = {work.trial_id: (1.0, 2.0, "epoch")}
                owner.heartbeat(
                    session, claim.lease_id, {work.trial_id: work.fence}, TTL_S, progress
                )
            elif name == "end":
                owner.succeed(session, work.trial_id, work.fence, {}, {})
            else:
                [seen] = sweeper._expired(session, None)
                assert sweeper._still(session, seen, Lease.expires_at < db_now()) is not None
        orders[name] = order
        with database.transaction() as session:
            if name == "heartbeat":
                owner.release(session, work.trial_id, work.fence, "The test goes on.")
    for name, order in orders.items():
        assert "leases" in order, name
        assert order.index("trials") < order.index("leases"), name


@contextmanager
def locking(database: Database) -> Iterator[list[str]]:
    """The tables of the rows that are locked meanwhile, in that order."""
    order: list[str] = []

    def note(_connection: object, clause: Any, *_: object) -> None:
        if getattr(clause, "is_update", False):
            order.append(clause.table.name)
        elif getattr(clause, "_for_update_arg", None) is not None:
            order.append(clause.columns_clause_froms[0].name)

    event.listen(database.engine, "before_execute", note)
    try:
        yield order
    finally:
        event.remove(database.engine, "before_execute", note)
