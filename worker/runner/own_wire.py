"""What a referee and the process of a user's kernel say to each other, with bounds.

A message is the length of its head, the head in JSON, and bytes whose number the reader knows
before: of what comes from the user's side, nothing decides how much is read.
"""

from __future__ import annotations

import json
import math
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from labpool.errors import LabpoolError
from labpool.sdk import Arrays

HEAD_BYTES: Final = 64 * 1024
PIECE_BYTES: Final = 4 * 1024**2
_LENGTH: Final = struct.Struct("<I")


class Broken(LabpoolError):
    """The process of the kernel broke off or said what it must not say."""


class Late(LabpoolError):
    """The process of the kernel did not answer in time."""


def send(stream: socket.socket, head: Mapping[str, Any], parts: Sequence[memoryview] = ()) -> None:
    """One message. Raises OSError."""
    text = json.dumps(head).encode()
    stream.sendall(_LENGTH.pack(len(text)) + text)
    for part in parts:
        stream.sendall(part)


def bytes_of(array: NDArray[Any]) -> memoryview:
    """An array as `send` takes it, not copied where it lies in one piece."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def receive(stream: socket.socket, limit_s: float) -> dict[str, Any]:
    """The head of the next message. Raises Broken, Late."""
    until = time.monotonic() + limit_s
    length = _LENGTH.unpack(_exactly(stream, _LENGTH.size, until))[0]
    if not 2 <= length <= HEAD_BYTES:
        raise Broken(f"a message of {length} bytes")
    try:
        head = json.loads(_exactly(stream, length, until))
    except (ValueError, RecursionError):
        raise Broken("a message that is no JSON") from None
    if not isinstance(head, dict):
        raise Broken("a message that is no table")
    return head


def receive_array(
    stream: socket.socket, shape: tuple[int, ...], dtype: np.dtype[Any], limit_s: float
) -> NDArray[Any]:
    """The bytes that follow a head, as an array of the reader's own. Raises Broken, Late."""
    array = np.empty(math.prod(shape), dtype)
    _fill(stream, array.view(np.uint8).data, time.monotonic() + limit_s)
    return array.reshape(shape)


def receive_bytes(stream: socket.socket, count: int, limit_s: float) -> bytes:
    """`count` bytes. Raises Broken, Late."""
    return _exactly(stream, count, time.monotonic() + limit_s)


def described(arrays: Arrays) -> list[list[Any]]:
    """Names, types and shapes: what a head says of the arrays that follow it."""
    return [[name, str(array.dtype), list(array.shape)] for name, array in arrays.items()]


def number(head: Mapping[str, Any], name: str) -> float:
    """A number above nought that a head has to hold. Raises Broken."""
    value = head.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Broken(f"{name} is no number")
    try:
        told = float(value)
    except OverflowError:
        told = math.inf
    if not math.isfinite(told) or told <= 0:
        raise Broken(f"{name} is {told:g}")
    return told


def _exactly(stream: socket.socket, count: int, until: float) -> bytes:
    data = bytearray(count)
    _fill(stream, memoryview(data), until)
    return bytes(data)


def _fill(stream: socket.socket, into: memoryview, until: float) -> None:
    got = 0
    while got < len(into):
        left = until - time.monotonic()
        if left <= 0:
            raise Late
        stream.settimeout(left)
        try:
            count = stream.recv_into(into[got : got + PIECE_BYTES])
        except TimeoutError:
            raise Late from None
        except OSError as error:
            raise Broken(str(error)) from None
        if count == 0:
            raise Broken("it ended")
        got += count
