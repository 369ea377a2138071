"""One gzip member, unpacked in pieces: no more is made than is asked for."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import BinaryIO

from labpool.readers.limits import BLOCK_BYTES, BadData

MAGIC = b"\x1f\x8b"


class Gunzip:
    """The content of a gzip file. ``most`` bounds it, whatever the file says."""

    def __init__(self, file: str, raw: BinaryIO, most: int) -> None:
        self._file, self._raw, self._left = file, raw, most
        self._most = most
        self._machine = zlib.decompressobj(wbits=31)
        self._pending = b""

    def read(self, most: int) -> bytes:
        """Up to ``most`` bytes; none at the end. Raises BadData."""
        while not self._machine.eof:
            packed = self._pending or self._raw.read(BLOCK_BYTES)
            try:
                piece = self._machine.decompress(packed, most)
            except zlib.error as error:
                raise self._wrong(f"is damaged: {error}.") from None
            self._pending = self._machine.unconsumed_tail
            if piece:
                self._left -= len(piece)
                if self._left < 0:
                    raise self._wrong(f"unpacks to more than {self._most} bytes.")
                return piece
            if not packed and not self._machine.eof:
                raise self._wrong("is cut off.")
        if self._machine.unused_data or self._raw.read(1):
            raise self._wrong("has bytes after the end of its gzip data.")
        return b""

    def _wrong(self, reason: str) -> BadData:
        return BadData(self._file, f"byte {self._raw.tell()}", reason)


def reader_of(file: str, raw: BinaryIO, most: int) -> tuple[Callable[[int], bytes], bool]:
    """What reads the content of a file, and whether it is packed with gzip."""
    packed = raw.read(2) == MAGIC
    raw.seek(0)
    return (Gunzip(file, raw, most).read, True) if packed else (raw.read, False)
