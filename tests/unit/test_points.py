"""Points of curves on their way: gathered in a runner, sent many at a time, checked by the slot."""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.support.heard import Slot
from worker import protocol
from worker.curves import Curves
from worker.protocol import ProtocolError, encode, parse_from_runner
from worker.runner.files import Written
from worker.runner.gathered import Gathered
from worker.wire_types import LINE_LIMIT_BYTES, POINTS_LIMIT_NUMBERS

FINITE = st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.sampled_from(["loss", "accuracy", "val_loss", "step_loss"])
ADDED = st.lists(st.tuples(st.sets(NAMES, min_size=1), st.integers(1, 9)), max_size=12)


def points(count: int, names: int = 1) -> dict[str, Any]:
    """The fields of a message."""
    return {
        "type": "points",
        "trial": 1,
        "fence": 2,
        "steps": list(range(count)),
        "epochs": [0.5] * count,
        "times_s": [0.5] * count,
        "values": {f"m{number}": [0.5] * count for number in range(names)},
    }


def parse(fields: dict[str, Any]) -> protocol.FromRunner:
    return parse_from_runner(json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"epochs": [0.5]}, "epochs is of 1, steps of 3"),
        ({"times_s": [0.5] * 4}, "times_s is of 4, steps of 3"),
        ({"values": {"loss": [0.5] * 2}}, "loss is of 2, steps of 3"),
        ({"steps": [1, 3, 3]}, "steps do not go up"),
        ({"values": {"loss": [0.5, 0.5, "x"]}}, "values/loss/2: Input should be a valid number"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], says: str) -> None:
    parse(points(3))
    with pytest.raises(ProtocolError) as caught:
        parse({**points(3), **changes})
    assert says in str(caught.value)


@pytest.mark.parametrize("names", [1, 2, 64])
def test_a_message_holds_so_many_numbers_and_no_more(names: int) -> None:
    most = POINTS_LIMIT_NUMBERS // (3 + names)
    parse(points(most, names))
    with pytest.raises(ProtocolError, match=f"numbers, more than {POINTS_LIMIT_NUMBERS}"):
        parse(points(most + 1, names))


@settings(deadline=None)
@given(st.data())
def test_what_passes_is_a_table_whose_steps_go_up(data: st.DataObject) -> None:
    column = st.lists(st.none() | FINITE | st.integers(-2, 9), max_size=4)
    steps = data.draw(st.lists(st.integers(-1, 2**64), max_size=4).map(sorted))
    values = data.draw(st.dictionaries(NAMES, column, max_size=3))
    fields = {**points(3), "steps": steps, "values": values}
    fields["epochs"], fields["times_s"] = data.draw(column), data.draw(column)
    try:
        message = parse(fields)
    except ProtocolError:
        return
    assert isinstance(message, protocol.Points)
    columns = [message.epochs, message.times_s, *message.values.values()]
    assert message.values and {len(one) for one in columns} == {len(message.steps)} != {0}
    assert all(0 <= a < b < 2**63 for a, b in itertools.pairwise((*message.steps, 2**63 - 1)))
    assert all(second is not None and second >= 0 for second in message.times_s)
    assert list(message.steps) == steps and message.values.keys() == values.keys()


@settings(deadline=None)
@given(ADDED, st.sets(st.integers(0, 12)))
def test_each_curve_arrives_whole_and_in_its_order(
    added: list[tuple[set[str], int]], sent_before: set[int]
) -> None:
    """Whatever shares a message, and whenever they are sent."""
    gathered, curves = Gathered(1, 2), Curves()
    wanted: dict[str, list[tuple[int, float, float, float | None]]] = {}
    messages: list[protocol.Points] = []
    first = 0
    for number, (names, count) in enumerate(added):
        if number in sent_before:
            messages += gathered.take()
        steps = range(first, first + count)
        first += count
        # Every curve has a number that is none.
        values = {
            name: [math.nan if step % 7 == 6 else step + 0.1 for step in steps] for name in names
        }
        gathered.add(steps, [step / 2 for step in steps], float(number), values)
        for name in names:
            wanted.setdefault(name, []).extend(
                (step, step / 2, float(number), None if step % 7 == 6 else step + 0.1)
                for step in steps
            )
    messages += gathered.take()
    assert not gathered and not list(gathered.take())
    for message in messages:
        heard = parse_from_runner(encode(message))
        assert isinstance(heard, protocol.Points)
        curves.add(heard)
    found = {
        one.name: list(zip(one.steps, one.epochs, one.times_s, one.values, strict=True))
        for one in curves.take()
    }
    assert found == wanted


@pytest.mark.parametrize("names", [1, 6, 64])
def test_the_longest_numbers_fit_into_lines(names: int) -> None:
    gathered, longest = Gathered(2**63 - 1, 2**63 - 1), -1.7976931348623157e308
    steps = range(2**63 - 5000, 2**63 - 1)
    count = len(steps)
    values = {f"m{number:063}": [longest] * count for number in range(names)}
    gathered.add(steps, [-longest] * count, -longest, values)
    messages = list(gathered.take())
    assert sum(len(message.steps) for message in messages) == count
    lengths = [len(encode(message)) for message in messages]
    assert max(lengths) <= LINE_LIMIT_BYTES
    # Not needlessly many either.
    per_message = POINTS_LIMIT_NUMBERS // (3 + names)
    assert len(messages) == math.ceil(count / per_message)


@pytest.mark.parametrize("name", ["Loss", "a b", "", "x" * 65])
def test_a_name_that_is_none_is_refused_when_it_is_reported(name: str) -> None:
    gathered = Gathered(1, 2)
    with pytest.raises(ValidationError):
        gathered.add([1], [1.0], 0.5, {name: [0.5]})
    with pytest.raises(ValidationError):
        gathered.add([1], [1.0], 0.5, {})
    assert not gathered


@pytest.fixture
def slot() -> Iterator[Slot]:
    slot = Slot()
    yield slot
    slot.close()


def test_a_runner_sends_few_messages_for_many_points(slot: Slot) -> None:
    began = time.monotonic()
    for step in range(1, 2001):
        slot.report.metrics(step, step / 4, {"loss": 1 / step})
    # The last word on a trial comes after all that was measured.
    slot.report.artifact(Written("a.csv", 3, "0" * 64), "a", "text/csv")
    most = 2000 // (POINTS_LIMIT_NUMBERS // 4) + 1 + (time.monotonic() - began) / 0.4
    messages = slot.heard(protocol.FromRunner)
    assert isinstance(messages[-1], protocol.Artifact)
    steps = [step for message in messages[:-1] for step in message.steps]
    assert steps == list(range(1, 2001))
    assert len(messages) - 1 <= most


def test_points_do_not_wait_for_another_message(slot: Slot) -> None:
    slot.report.metrics(1, 1.0, {"loss": 0.5})
    slot.report.progress(0.1)
    time.sleep(1.5)
    # Nothing else was said since; a progress before them is no harm.
    kinds = [type(message) for message in slot.heard(protocol.FromRunner)]
    assert kinds == [protocol.Progress, protocol.Points]


def test_what_is_to_be_sent_at_once_is(slot: Slot) -> None:
    slot.report.points([1, 2], [None, None], {"sample_ms": [0.5, 0.25]}, at_once=True)
    slot.report.progress(1)
    kinds = [type(message) for message in slot.heard(protocol.FromRunner)]
    assert kinds == [protocol.Points, protocol.Progress]
