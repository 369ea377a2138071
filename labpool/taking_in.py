"""Fetch or import the files of a catalog data set: read, compared with the pins, and kept."""

from __future__ import annotations

import os
import shutil
import struct
from array import array
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

from labpool.catalog import DatasetEntry
from labpool.downloads import NotFetched, Patience, Progress, download, sha256_of
from labpool.errors import LabpoolError
from labpool.holdings import Record, Taken, keep, now_text, only_one, record_of, ways
from labpool.readers import BadData, Labelled, Limits, RawArray, read_cifar, read_idx, read_npz
from labpool.readers.labelled import assemble, from_npz, joined, refuse_unpaired
from labpool.sources import Files

_MARGIN_BYTES = 1024 * 1024


class NoFiles(LabpoolError):
    """This data set has no files to be taken in."""


class NotThisSet(LabpoolError):
    """These are not the files of this data set."""


def fetch(
    entry: DatasetEntry,
    root: Path,
    progress: Progress = lambda *_: None,
    say: Callable[[str], None] = lambda _: None,
    patience: Patience = Patience(),  # noqa: B008 - it is frozen
) -> Record:
    """Have the files of ``entry`` below ``root``; they are fetched unless they are there.

    Of all processes that ask at once, one fetches and the others wait for it. Raises NoFiles,
    NotFetched, BadData, NotThisSet, HoldingBroken, OSError.
    """
    files = _files(entry)
    with only_one(root, entry.name, lambda: say(f"Another labpool fetches {entry.name}: waiting.")):
        there = record_of(root, entry.name)
        if there is not None:
            return there
        folder = root / f".{entry.name}.parts"
        folder.mkdir(exist_ok=True)
        try:
            got = [download(part, folder, progress, patience) for part in files.parts]
        except NotFetched as error:
            raise NotFetched(f"{error.detail} {ways(entry.name)}") from None
        taken = [
            Taken(name=part.name, bytes=part.bytes, sha256=part.sha256, url=url)
            for part, (_, url) in zip(files.parts, got, strict=True)
        ]
        examples, _ = _read(entry, files, [path for path, _ in got])
        record = _keep(entry, root, examples, "fetched", True, taken)
        shutil.rmtree(folder)
        return record


def import_files(
    entry: DatasetEntry, root: Path, paths: Sequence[Path], say: Callable[[str], None]
) -> Record:
    """Take in files that are on this machine; what was held is replaced.

    Raises NoFiles, BadData, NotThisSet, OSError.
    """
    files = _files(entry)
    with only_one(root, entry.name, lambda: say(f"Another labpool fetches {entry.name}: waiting.")):
        examples, content_pinned = _read(entry, files, paths)
        taken = [
            Taken(name=path.name, bytes=path.stat().st_size, sha256=sha256_of(path))
            for path in paths
        ]
        published = {part.sha256 for part in files.parts}
        pinned = content_pinned or published == {item.sha256 for item in taken}
        return _keep(entry, root, examples, "imported", pinned, taken)


def _files(entry: DatasetEntry) -> Files:
    if entry.files is None:
        raise NoFiles(f"{entry.name!r} needs none: it can be run as it is.")
    return entry.files


def _keep(
    entry: DatasetEntry, root: Path, examples: Labelled, origin: str, pinned: bool,
    taken: list[Taken],
) -> Record:  # fmt: skip
    def record(digest: str, size: int) -> Record:
        return Record.model_validate(
            {
                "sha256": digest,
                "bytes": size,
                "kind": examples.kind,
                "shape": list(examples.shape),
                "counts": examples.counts,
                "test": examples.test,
                "origin": origin,
                "pinned": pinned,
                "taken": taken,
                "at": now_text(),
            }
        )

    return keep(root, entry.name, examples, record)


def _read(entry: DatasetEntry, files: Files, paths: Sequence[Path]) -> tuple[Labelled, bool]:
    """The examples, checked against the catalog; and whether their content is pinned there."""
    limits = Limits(file_bytes=files.most_bytes, array_bytes=files.most_bytes)
    if len(paths) == 1 and paths[0].suffix.lower() == ".npz":
        examples = from_npz(read_npz(paths[0], limits), paths[0].name, limits)
    elif files.format == "idx":
        examples = _of_idx(paths, limits)
    else:
        examples = _of_cifar(paths, limits)
    _compare(entry, files, examples)
    return examples, _compare_content(entry, files, examples)


def _of_idx(paths: Sequence[Path], limits: Limits) -> Labelled:
    if len(paths) != 4:
        raise NotThisSet(f"{len(paths)} files; it takes the four IDX files, or one NPZ file.")
    arrays = [read_idx(path, limits) for path in paths]
    images = sorted((a for a in arrays if len(a.shape) == 3), key=lambda a: -a.shape[0])
    labels = sorted((a for a in arrays if len(a.shape) == 1), key=lambda a: -a.shape[0])
    if len(images) != 2 or len(labels) != 2:
        raise NotThisSet("of the four IDX files two hold images and two hold labels.")
    for x, y in zip(images, labels, strict=True):
        refuse_unpaired(x, y)
    return assemble(joined(images), joined(labels), limits, test=labels[1].shape[0])


def _of_cifar(paths: Sequence[Path], limits: Limits) -> Labelled:
    batches: dict[str, tuple[RawArray, RawArray]] = {}
    for path in paths:
        batches |= read_cifar(path, limits)
    names = [name for name in sorted(batches) if name != "test_batch"]
    if "test_batch" not in batches or len(names) != 5:
        raise NotThisSet(
            f"it holds {', '.join(sorted(batches)) or 'no batch'}; data_batch_1 to _5 and "
            "test_batch are needed: cifar-10-binary.tar.gz, its six .bin files, or one NPZ file."
        )
    x, y = zip(*(batches[name] for name in [*names, "test_batch"]), strict=True)
    return assemble(joined(x), joined(y), limits, test=y[-1].shape[0])


def _compare(entry: DatasetEntry, files: Files, examples: Labelled) -> None:
    """What the catalog says of the set's shape. Raises NotThisSet."""
    wanted = {
        "kind": (entry.kind, examples.kind),
        "shape": (tuple(entry.shape), tuple(examples.shape)),
        "examples by class": (list(files.counts), examples.counts),
        "examples of the test set": (files.test, examples.test),
        "type of number": ("B", examples.x.typecode),
    }
    for what, (should, has) in wanted.items():
        if should != has:
            raise NotThisSet(f"{entry.name}: the {what}: {has}, where it has {should}.")


def _compare_content(entry: DatasetEntry, files: Files, examples: Labelled) -> bool:
    """Whether the content could be compared with pins. Raises NotThisSet where it differs."""
    pins = [part.content_sha256 for part in files.parts]
    if files.format != "idx" or None in pins:
        return False
    for part, content in zip(files.parts, _idx_contents(examples), strict=True):
        if content != part.content_sha256:
            raise NotThisSet(
                f"{entry.name}: what should be {part.name} has the sha256 {content} unpacked, "
                f"published is {part.content_sha256}."
            )
    return True


def _idx_contents(examples: Labelled) -> list[str]:
    """The sha256 of the four IDX files that hold just these examples."""
    count, size = len(examples.y), len(examples.x) // len(examples.y)
    cut = count - examples.test
    labels = array("B", examples.y)
    sides = examples.shape[:2]
    found = []
    for begin, end in ((0, cut), (cut, count)):
        pixels = memoryview(examples.x)[begin * size : end * size]
        found.append(_idx_digest((end - begin, *sides), pixels))
        found.append(_idx_digest((end - begin,), memoryview(labels)[begin:end]))
    return found


def _idx_digest(shape: tuple[int, ...], content: memoryview) -> str:
    total = sha256(struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape))
    total.update(content)
    return total.hexdigest()


def free_bytes(root: Path) -> int:
    """What the disk of ``root`` has room for."""
    found = root
    while not found.exists():
        found = found.parent
    status = os.statvfs(found)
    return status.f_bavail * status.f_frsize - _MARGIN_BYTES


__all__ = ["BadData", "NoFiles", "NotThisSet", "fetch", "free_bytes", "import_files"]
