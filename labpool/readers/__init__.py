"""Data files that somebody else wrote, read without trusting a byte of them.

Plain Python, no NumPy: nothing here can unpickle, and the service, which has none, can read too.
A size is checked before memory is taken for it; every refusal is a BadData that names the file, the
place in it and the reason.
"""

from __future__ import annotations

from labpool.readers.cifar import read_cifar
from labpool.readers.idx import read_idx
from labpool.readers.labelled import Labelled, assemble, from_files
from labpool.readers.limits import BadData, Limits
from labpool.readers.npz import read_npz
from labpool.readers.raw import RawArray
from labpool.readers.table import read_csv

__all__ = [
    "BadData",
    "Labelled",
    "Limits",
    "RawArray",
    "assemble",
    "from_files",
    "read_cifar",
    "read_csv",
    "read_idx",
    "read_npz",
]
