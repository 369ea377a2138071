"""Data files as an honest tool writes them, and ways to spoil them."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

IDX_KINDS = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D}


def idx(values: Any) -> bytes:
    """An array as IDX."""
    values = np.asarray(values)
    kind = IDX_KINDS[values.dtype.name]
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, kind, values.ndim, *values.shape)
    content: bytes = values.astype(values.dtype.newbyteorder(">")).tobytes()
    return header + content


def npy(values: Any, header: str | None = None) -> bytes:
    """An array as NPY; ``header`` instead of its own."""
    if header is None:
        target = io.BytesIO()
        np.save(target, values, allow_pickle=False)
        return target.getvalue()
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + np.asarray(values).tobytes()


def npz(compressed: bool = True, **arrays: Any) -> bytes:
    """Arrays as NumPy itself saves them."""
    target = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(target, **arrays)
    return target.getvalue()


def zipped(*members: tuple[str, bytes], mode: int = 0o100644, method: int = 8) -> bytes:
    """A zip file of raw members; ``mode`` are their file modes."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in members:
            member = zipfile.ZipInfo(name)
            member.external_attr, member.compress_type = mode << 16, method
            archive.writestr(member, content)
    return target.getvalue()


def cifar_records(count: int, seed: int = 0) -> bytes:
    """CIFAR records with labels in turn."""
    random = np.random.default_rng(seed)
    records = random.integers(0, 256, (count, 3073), dtype=np.uint8)
    records[:, 0] = np.arange(count) % 10
    return records.tobytes()


def tar_gz(*members: tuple[str, bytes], link: str | None = None) -> bytes:
    """A tar.gz of members, and a link of that name beside them."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if link is not None:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(info)
    return target.getvalue()


def gzip_bomb(unpacked: int) -> bytes:
    """So many zeros, packed."""
    return gzip.compress(bytes(unpacked), 9)


def written(folder: Path, name: str, content: bytes) -> Path:
    """The path of a file with this content."""
    path = folder / name
    path.write_bytes(content)
    return path
