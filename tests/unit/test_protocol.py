"""The wire between a slot and its runner: what passes, what is refused, what is bounded."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker import protocol
from worker.protocol import LineBuffer, ProtocolError, encode, parse_from_runner, parse_from_slot
from worker.wire_types import LINE_LIMIT_BYTES

DIGEST = "0" * 64
FROM_RUNNER: list[protocol.FromRunner] = [
    protocol.Hello(pid=12, versions={"python": "3.11.7"}),
    protocol.Ready(),
    protocol.Started(
        trial=1, fence=2, environment={"device": "cpu", "threads": 1}, total=3, unit="epoch"
    ),
    protocol.Points(
        trial=1,
        fence=2,
        steps=(48, 96),
        epochs=(1.0, None),
        times_s=(0.5, 0.5),
        values={"loss": (None, 2.5), "accuracy": (0.5, 0.75)},
    ),
    protocol.Progress(trial=1, fence=2, done=1, total=3, unit="epoch"),
    protocol.Checkpoint(
        trial=1,
        fence=2,
        file="epoch-0001.npz",
        epoch=1,
        bytes=10,
        sha256=DIGEST,
        value=None,
        best=True,
    ),
    protocol.Artifact(
        trial=1,
        fence=2,
        file="samples.csv",
        name="samples.csv",
        media_type="text/csv",
        bytes=3,
        sha256=DIGEST,
    ),
    protocol.Result(
        trial=1, fence=2, metrics={"test_accuracy": 0.9}, summary={"a": [1]}, ended_early=False
    ),
    protocol.Failed(trial=1, fence=2, reason_kind="diverged", reason="the loss is NaN"),
    protocol.Cancelled(trial=1, fence=2),
    protocol.Idle(),
    protocol.Paused(trial=1, fence=2, epoch=3),
    protocol.Apart(trial=1, fence=2, reason="A layer has no form for several.", for_good=True),
]
CODE = protocol.CodeReference(name="mlp", path="/catalog/models/mlp", digest=DIGEST)
FROM_SLOT: list[protocol.FromSlot] = [
    protocol.Run(
        trials=(
            protocol.TrialToRun(
                trial=1,
                fence=2,
                kind="train",
                spec={"model": "mlp"},
                code=CODE,
                data=CODE,
                scratch="/scratch/1",
                log="/scratch/1/log.txt",
                resume=protocol.Resume(file="epoch-0001.npz", epoch=1, sha256=DIGEST),
            ),
        )
    ),
    protocol.Cancel(trial=1, fence=2),
    protocol.Pause(trial=1, fence=2),
    protocol.Stop(trial=1, fence=2),
    protocol.GoOn(trial=1, fence=2),
    protocol.Kept(trial=1, fence=2, epoch=3),
    protocol.Bye(),
]


@pytest.mark.parametrize("message", FROM_RUNNER, ids=lambda message: message.type)
def test_runner_messages_survive_the_wire(message: protocol.FromRunner) -> None:
    line = encode(message)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert parse_from_runner(line) == message


@pytest.mark.parametrize("message", FROM_SLOT, ids=lambda message: message.type)
def test_slot_messages_survive_the_wire(message: protocol.FromSlot) -> None:
    assert parse_from_slot(encode(message)) == message


def line_of(index: int, **changes: Any) -> bytes:
    fields = json.loads(encode(FROM_RUNNER[index]))
    fields.update(changes)
    return json.dumps(fields).encode()


HOSTILE = {
    "not JSON": b"hello",
    "empty": b"",
    "a list": b"[]",
    "bad UTF-8": b'{"type":"idle\xff"}',
    "no type": b"{}",
    "unknown type": b'{"type":"exec"}',
    "a slot's message": b'{"type":"bye"}',
    "unknown key": line_of(10, extra=1),
    "other protocol": line_of(0, protocol=1),
    "trial as text": line_of(3, trial="1"),
    "trial as a boolean": line_of(3, trial=True),
    "trial zero": line_of(3, trial=0),
    "trial of 70 bits": line_of(3, trial=2**70),
    "one step, no list": line_of(3, steps=48),
    "step as a fraction": line_of(3, steps=[1.5, 2]),
    "negative step": line_of(3, steps=[-1, 1]),
    "step of 70 bits": line_of(3, steps=[1, 2**70]),
    "steps that stand": line_of(3, steps=[48, 48]),
    "steps that go down": line_of(3, steps=[96, 48]),
    "a step too few": line_of(3, steps=[48]),
    "an epoch too many": line_of(3, epochs=[1.0, 2.0, 3.0]),
    "negative epoch": line_of(3, epochs=[-1.0, 1.0]),
    "a time too few": line_of(3, times_s=[0.5]),
    "no time": line_of(3, times_s=[0.5, None]),
    "no points": line_of(3, steps=[], epochs=[], times_s=[], values={"loss": []}),
    "bare NaN": line_of(3, values={"loss": [0.5, float("nan")]}),
    "bare infinity": line_of(3, times_s=[0.5, float("inf")]),
    "infinity by exponent": line_of(3, times_s=[0, 0]).replace(b"[0, 0]", b"[0, 1e999]"),
    "value as text": line_of(3, values={"loss": [0.5, "0.5"]}),
    "value as a boolean": line_of(3, values={"loss": [0.5, True]}),
    "one value, no list": line_of(3, values={"loss": 0.5}),
    "a value too few": line_of(3, values={"loss": [0.5], "accuracy": [0.5, 0.5]}),
    "no values": line_of(3, values={}),
    "metric in capitals": line_of(3, values={"Loss": [0.5, 0.5]}),
    "metric with a newline": line_of(3, values={"loss\n": [0.5, 0.5]}),
    "metric with a slash": line_of(3, values={"../loss": [0.5, 0.5]}),
    "65 metrics": line_of(3, values={f"m{i}": [0.5, 0.5] for i in range(65)}),
    "unknown unit": line_of(4, unit="step"),
    "file with a path": line_of(5, file="../../etc/passwd"),
    "absolute file": line_of(5, file="/etc/passwd"),
    "hidden file": line_of(5, file=".ssh"),
    "file with NUL": line_of(5, file="a\x00b"),
    "digest too short": line_of(5, sha256="0" * 63),
    "digest in capitals": line_of(5, sha256="A" * 64),
    "HTML artifact": line_of(6, media_type="text/html"),
    "name with NUL": line_of(6, name="a\x00"),
    "result that is null": line_of(7, metrics={"test_accuracy": None}),
    "summary too large": line_of(7, summary={"a": "x" * 40_000}),
    "summary too deep": line_of(7, summary={"a": json.loads("[" * 20 + "]" * 20)}),
    "summary with NUL": line_of(7, summary={"a": ["\x00"]}),
    "summary key with NUL": line_of(7, summary={"\x00": 1}),
    "summary with a huge integer": line_of(7, summary={"a": 10**30}),
    "summary with NaN": line_of(7, summary={"a": float("nan")}),
    "unknown reason": line_of(8, reason_kind="because"),
    "endless reason": line_of(8, reason="x" * 5000),
    "lone surrogate": b'{"type":"failed","trial":1,"fence":2,"reason_kind":"internal",'
    b'"reason":"\\ud800"}',
    "nested for ever": b'{"type":' + b"[" * 60_000,
    "a line too long": b'{"type":"idle"}' + b" " * LINE_LIMIT_BYTES,
}


@pytest.mark.parametrize("line", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_lines_are_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_from_runner(line)
    assert len(str(caught.value)) < 1500


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_from_runner(line)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FROM_RUNNER), st.data())
def test_one_changed_field_never_raises_anything_else(
    message: protocol.FromRunner, data: st.DataObject
) -> None:
    fields = json.loads(encode(message))
    key = data.draw(st.sampled_from(sorted(fields)) | st.text(max_size=5))
    fields[key] = data.draw(JSON_VALUES)
    try:
        parsed = parse_from_runner(json.dumps(fields).encode())
    except ProtocolError:
        return
    # What passes can be stored: no NUL, no NaN, and it can be said again.
    again = encode(parsed)
    assert b"\\u0000" not in again
    assert parse_from_runner(again) == parsed


@settings(deadline=None)
@given(st.lists(st.binary(max_size=50).map(lambda line: line.replace(b"\n", b""))), st.data())
def test_lines_are_cut_however_the_reads_fall(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    buffer, found = LineBuffer(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += buffer.feed(stream[:size])
        stream = stream[size:]
    assert found == lines


def test_a_stream_without_newlines_is_bounded() -> None:
    buffer = LineBuffer()
    with pytest.raises(ProtocolError):
        for _ in range(100):
            buffer.feed(b"x" * 1000)


def test_the_longest_line_passes_and_one_byte_more_does_not() -> None:
    assert LineBuffer().feed(b"x" * (LINE_LIMIT_BYTES - 1) + b"\n")
    with pytest.raises(ProtocolError):
        LineBuffer().feed(b"x" * LINE_LIMIT_BYTES + b"\n")


def test_a_message_too_long_is_refused_before_it_is_sent() -> None:
    trial = FROM_SLOT[0].model_dump()["trials"][0] | {"spec": {"notes": "x" * LINE_LIMIT_BYTES}}
    with pytest.raises(ProtocolError):
        encode(protocol.Run.model_validate({"trials": (trial,)}))


@settings(deadline=None)
@given(st.text() | st.binary().map(os.fsdecode))
def test_cleaned_text_always_passes(text: str) -> None:
    reason = protocol.clean_text(text + "\x00") or "?"
    line = encode(protocol.Failed(trial=1, fence=1, reason_kind="internal", reason=reason))
    parse_from_runner(line)
