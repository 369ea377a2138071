"""The parts of the event stream, without a server: topics, order of events, the hub, messages."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Collection, Iterator
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from api.problems import ApiProblem
from api.stream import hub as hub_module
from api.stream.hub import Full, Hub, Subscription
from api.stream.messages import HEARTBEAT_S, disconnection, messages
from api.stream.reader import GAP_PATIENCE_S, EventOrder
from api.stream.topics import Changes, Topics, parse_topics
from db.reads.changes import News, Position, Touched

ONE = Touched(trial_id=57, experiment_id=12, owner_id=1)
OTHER = Touched(trial_id=58, experiment_id=13, owner_id=2)


class Steps:
    """A reader whose looks a test lets happen one by one."""

    def __init__(self) -> None:
        self.begun = 0
        self.looks = 0
        self.threads: set[int] = set()
        self.answers: list[Changes | Exception] = []
        self.good: set[int] = {1}
        self.asked: list[set[int]] = []

    def begin(self) -> Steps:
        self.begun += 1
        self.threads.add(threading.get_ident())
        return self

    @property
    def position(self) -> Position:
        return Position(self.looks, 0)

    def look(self) -> Changes:
        self.looks += 1
        self.threads.add(threading.get_ident())
        answer = self.answers.pop(0) if self.answers else Changes()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def valid(self, token_ids: Collection[int]) -> set[int]:
        self.asked.append(set(token_ids))
        return self.good & set(token_ids)


@pytest.fixture
def steps() -> Steps:
    return Steps()


@pytest.fixture
def hub(steps: Steps) -> Iterator[Hub]:
    made = Hub(steps.begin, most=20, look_every_s=0.001)
    yield made
    made.stop_when(lambda: True)


def trial(row_id: int = 57, owner_id: int | None = None) -> Topics:
    return Topics(trials=frozenset({row_id}), owner_id=owner_id)


def heard(listener: Subscription) -> frozenset[str]:
    found = listener.wait(10.0)
    assert found, "nothing was heard"
    return found


def test_it_works(hub: Hub, steps: Steps) -> None:
    listener = hub.subscribe(trial(), 1)
    assert hub.wait_for_first_look(10.0)
    steps.answers.append(Changes(happened=frozenset({ONE, OTHER})))
    assert heard(listener) == {"trial:57"}
    listener.close()
    assert hub.count == 0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (Changes(), set()),
        (
            Changes(happened=frozenset({ONE})),
            {"trial:57", "experiment:12", "experiments", "boards", "pool"},
        ),
        (Changes(moved=frozenset({ONE})), {"trial:57", "experiment:12", "experiments", "pool"}),
        (Changes(happened=frozenset({OTHER})), {"experiments", "boards", "pool"}),
        (Changes(pool=True), {"pool"}),
    ],
)
def test_changes_concern_their_topics(changes: Changes, expected: set[str]) -> None:
    topics = parse_topics("trial:57,experiment:12,experiments,boards,pool", None)
    assert topics.of(changes) == expected


def test_others_private_trials_are_no_news() -> None:
    topics = parse_topics("experiments,boards", 1)
    assert topics.of(Changes(happened=frozenset({OTHER}))) == set()
    assert topics.of(Changes(happened=frozenset({ONE}))) == {"experiments", "boards"}


@pytest.mark.parametrize(
    "text",
    [
        *("", ",", "trial:", "trial:0", "trial:-1", "trial:1e3", "trials:1", "all", "trial:57 "),
        "trial:" + "9" * 30,
        ",".join(f"trial:{number}" for number in range(1, 102)),
    ],
)
def test_bad_topics_are_refused(text: str) -> None:
    with pytest.raises(ApiProblem) as caught:
        parse_topics(text, None)
    assert caught.value.status == 422


def news(*ids: int, complete: bool = True) -> News:
    return News({row_id: Touched(row_id, 1, 1) for row_id in ids}, complete)


def ids(found: list[Touched | None]) -> list[int]:
    return [one.trial_id for one in found if one is not None]


def test_a_late_commit_of_a_lower_number_is_not_missed() -> None:
    order = EventOrder([1, 2, 3], 0, lambda: 0.0)
    assert order.floor == 3
    assert ids(order.take(news(4, 6))) == [4, 6]
    assert order.floor == 4, "5 may still come"
    assert ids(order.take(news(5, 6, 7))) == [5, 7]
    assert order.floor == 7


def test_a_number_that_never_comes_is_given_up() -> None:
    now = [0.0]
    order = EventOrder([], 0, lambda: now[0])
    order.take(news(2, 3))
    assert order.floor == 0
    now[0] = GAP_PATIENCE_S + 1
    assert ids(order.take(news(2, 3, 5))) == [5]
    assert order.floor == 3
    now[0] += GAP_PATIENCE_S - 1
    order.take(news(5))
    assert order.floor == 3, "a new gap has its own patience"


def test_a_flood_is_not_read_again() -> None:
    order = EventOrder([], 0, lambda: 0.0)
    assert len(order.take(news(*range(2, 50), complete=False))) == 48
    assert order.floor == 49


def test_twenty_listeners_cost_one_reader(hub: Hub, steps: Steps) -> None:
    listeners = [hub.subscribe(trial(), 1) for _ in range(20)]
    hub.wait_for_first_look(10.0)
    steps.answers.append(Changes(happened=frozenset({ONE})))
    for listener in listeners:
        assert heard(listener) == {"trial:57"}
    assert steps.begun == 1
    assert len(steps.threads) == 1


def test_there_is_a_bound_and_places_come_back(hub: Hub) -> None:
    listeners = [hub.subscribe(trial(), 1) for _ in range(20)]
    with pytest.raises(Full):
        hub.subscribe(trial(), 1)
    listeners[0].close()
    listeners[0].close()
    hub.subscribe(trial(), 1)
    with pytest.raises(Full):
        hub.subscribe(trial(), 1)


def test_who_signed_out_is_shut_out(hub: Hub, steps: Steps) -> None:
    stays, goes = hub.subscribe(trial(), 1), hub.subscribe(trial(), 2)
    goes.wait(10.0)
    assert goes.ended == "access"
    assert stays.ended is None
    assert hub.count == 1
    assert steps.asked[0] == {1, 2}


def test_a_database_that_stays_away_ends_the_streams(
    hub: Hub, steps: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    listener = hub.subscribe(trial(), 1)
    hub.wait_for_first_look(10.0)
    away = OperationalError("SELECT", {}, Exception("away"))
    steps.answers += [away, Changes(happened=frozenset({ONE})), away, away, away]
    assert heard(listener) == {"trial:57"}, "one failure is nothing"
    listener.wait(10.0)
    assert listener.ended == "trouble"
    assert hub.count == 0
    again = hub.subscribe(trial(), 1)
    assert hub.wait_for_first_look(10.0)
    assert steps.begun == 2
    assert again.ended is None


def test_stopping_ends_the_streams_and_lets_nobody_in(hub: Hub) -> None:
    listener = hub.subscribe(trial(), 1)
    hub.wait_for_first_look(10.0)
    hub.stop_when(lambda: True)
    listener.wait(10.0)
    assert listener.ended == "stopping"
    with pytest.raises(Full):
        hub.subscribe(trial(), 1)


def test_the_thread_leaves_after_the_last_listener(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "LINGER_S", 0.0)
    listener = hub.subscribe(trial(), 1)
    hub.wait_for_first_look(10.0)
    [thread] = [one for one in threading.enumerate() if one is hub._thread]
    listener.close()
    thread.join(10.0)
    assert not thread.is_alive()
    assert hub.position is None


def parsed(text: str) -> dict[str, Any]:
    fields = dict(line.split(": ", 1) for line in text.strip().splitlines())
    return {**fields, "data": json.loads(fields["data"])} if "data" in fields else fields


def test_what_a_stream_says(hub: Hub, steps: Steps) -> None:
    now = [0.0]
    listener = hub.subscribe(trial(), 1)
    missed = lambda: frozenset({"trial:57"})  # noqa: E731
    lines = messages(hub, listener, missed, 300.0, lambda: False, lambda: now[0])
    assert next(lines) == "retry: 2000\n\n"
    hello = parsed(next(lines))
    assert (hello["event"], hello["data"]) == ("hello", {"topics": ["trial:57"]})
    assert parsed(next(lines))["event"] == "changed", "what was missed comes first"
    steps.answers.append(Changes(happened=frozenset({ONE})))
    changed = parsed(next(lines))
    assert changed["data"] == {"topics": ["trial:57"]}
    assert changed["id"].endswith(".0")
    now[0] = HEARTBEAT_S
    assert next(lines) == ": beat\n\n"
    now[0] = 300.0
    rest = list(lines)
    assert parsed(rest[-1])["data"] == {"reason": "time"}


def test_a_stream_notices_that_nobody_reads(hub: Hub) -> None:
    ours, theirs = socket.socketpair()
    is_gone = disconnection(ours)
    assert not is_gone()
    theirs.sendall(b"more")
    assert not is_gone(), "something to read is no end"
    ours.recv(10)
    theirs.close()
    assert is_gone()
    ours.close()
    assert is_gone()
    assert not disconnection(None)()
    lines = messages(hub, hub.subscribe(trial(), 1), frozenset, 300.0, is_gone)
    assert len(list(lines)) == 2
