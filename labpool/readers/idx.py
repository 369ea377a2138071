"""IDX, the format of MNIST: a magic number, the shape, and the numbers in big-endian order."""

from __future__ import annotations

import struct
from pathlib import Path

from labpool.readers.gz import reader_of
from labpool.readers.limits import MOST_DEFLATED, Limits
from labpool.readers.raw import RawArray, Source, opened, refuse_not_finite, refuse_shape

KINDS = {0x08: "u1", 0x09: "i1", 0x0B: "i2", 0x0C: "i4", 0x0D: "f4", 0x0E: "f8"}


def read_idx(path: Path, limits: Limits = Limits()) -> RawArray:  # noqa: B008 - it is frozen
    """The array of an IDX file, plain or packed with gzip. Raises BadData."""
    with opened(path, limits) as (file, size):
        read, packed = reader_of(path.name, file, limits.array_bytes + 4096)
        source = Source(path.name, read)
        magic = source.take(4, "the magic number")
        if magic[:2] != b"\0\0" or magic[2] not in KINDS:
            source.position = 0
            raise source.wrong(f"begins with {magic.hex(' ')}, which is not IDX.")
        kind, dimensions = KINDS[magic[2]], magic[3]
        if not 1 <= dimensions <= 4:
            source.position = 3
            raise source.wrong(f"declares {dimensions} dimensions; 1 to 4 are read.")
        header = source.take(4 * dimensions, "the shape")
        shape = struct.unpack(f">{dimensions}I", header)
        needed = refuse_shape(source, kind, shape, limits)
        held = size * MOST_DEFLATED if packed else size - source.position
        if needed > held or (not packed and needed != held):
            raise source.wrong(
                f"declares the shape {shape}, {needed} bytes, "
                f"and {'at most ' * packed}{held} follow."
            )
        values = source.numbers(kind, shape, big_endian=True)
        source.finish()
    found = RawArray(path.name, "", kind, shape, values)
    refuse_not_finite(found)
    return found
