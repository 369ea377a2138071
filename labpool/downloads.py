"""One file from one of its mirrors, resumed where it broke off, trusted by its checksum alone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from labpool.errors import LabpoolError
from labpool.readers.keeping import digest_of
from labpool.sources import LOOPBACK, SourceFile

BLOCK_BYTES = 64 * 1024
MOST_REDIRECTS = 5
Progress = Callable[[str, int, int], None]
"""Called with a file's name, its bytes so far and its bytes in all."""


class NotFetched(LabpoolError):
    """A file could not be fetched."""

    permanent = False


class _MirrorFails(Exception):
    """This mirror does not give the file."""


@dataclass(frozen=True, slots=True)
class Patience:
    """When a mirror is given up: after ``timeout_s`` without a byte, or when ``window_s`` brought
    less than ``least_bytes_s`` a second."""

    timeout_s: float = 30.0
    window_s: float = 30.0
    least_bytes_s: float = 2048.0


def download(
    part: SourceFile, folder: Path, progress: Progress, patience: Patience = Patience()
) -> tuple[Path, str]:  # fmt: skip
    """The file in ``folder``, and the mirror that gave it.

    What broke off stays as ``NAME.part`` and is gone on with, also by a later call. Raises
    NotFetched, which says what each mirror answered, and OSError.
    """
    target, partial = folder / part.name, folder / f"{part.name}.part"
    answers = []
    for url in part.mirrors:
        # The second try begins anew, should the part have been wrong from its beginning.
        for fresh in (False, True):
            went_on = partial.exists() and not fresh
            try:
                _from_mirror(part, url, partial, progress, patience, fresh)
                _check(part, partial)
            except _MirrorFails as error:
                reason = str(error)
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                if isinstance(error, OSError):
                    raise
                reason = str(error) or type(error).__name__
            else:
                partial.replace(target)
                return target, url
            if not went_on:
                break
        answers.append(f"{url}: {reason}")
    raise NotFetched(f"{part.name}: " + "; ".join(answers) + ".")


def _from_mirror(
    part: SourceFile, url: str, partial: Path, progress: Progress, patience: Patience, fresh: bool
) -> None:
    have = 0 if fresh or not partial.exists() else partial.stat().st_size
    if have > part.bytes:
        have = 0
    if have == part.bytes:
        return
    with _answer(url, have, patience) as answer:
        if answer.status_code == httpx.codes.OK:
            have = 0
        elif answer.status_code != httpx.codes.PARTIAL_CONTENT or not _continues(answer, have):
            raise _MirrorFails(f"answers {answer.status_code} {answer.reason_phrase}")
        length = answer.headers.get("Content-Length")
        if length is not None and length != str(part.bytes - have):
            raise _MirrorFails(
                f"would send {length} bytes where {part.bytes - have} are wanted"
            )  # fmt: skip
        with partial.open("r+b" if have else "wb") as file:
            file.seek(have)
            # No size asked for: blocks of one would be waited for, however slowly they fill.
            for block in _in_time(answer.iter_raw(), patience):
                have += len(block)
                if have > part.bytes:
                    file.truncate(0)
                    raise _MirrorFails(f"sends more than the {part.bytes} bytes of the file")
                file.write(block)
                progress(part.name, have, part.bytes)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
    if have < part.bytes:
        raise _MirrorFails(f"broke off after {have} of {part.bytes} bytes")


def _check(part: SourceFile, partial: Path) -> None:
    with partial.open("rb") as file:
        found = digest_of(file)
    if found != part.sha256:
        partial.unlink()
        raise _MirrorFails(f"gives a file of the sha256 {found}, not {part.sha256}")


@contextmanager
def _answer(url: str, have: int, patience: Patience) -> Iterator[httpx.Response]:
    host = urlsplit(url).hostname
    headers = {"Accept-Encoding": "identity", "User-Agent": "labpool"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with (
        httpx.Client(
            timeout=patience.timeout_s,
            follow_redirects=True,
            max_redirects=MOST_REDIRECTS,
            # A proxy set for the outside world is no way to this very machine.
            trust_env=host not in LOOPBACK,
            event_hooks={"request": [_stay_safe(host)]},
        ) as client,
        client.stream("GET", url, headers=headers) as answer,
    ):
        yield answer


def _stay_safe(first_host: str | None) -> Callable[[httpx.Request], None]:
    def check(request: httpx.Request) -> None:
        local = request.url.host in LOOPBACK and first_host in LOOPBACK
        if request.url.scheme != "https" and not local:
            raise _MirrorFails(f"leads to {request.url.host} without encryption")

    return check


def _continues(answer: httpx.Response, have: int) -> bool:
    return bool(have) and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")


def _in_time(blocks: Iterator[bytes], patience: Patience) -> Iterator[bytes]:
    began, got = time.monotonic(), 0
    for block in blocks:
        yield block
        got += len(block)
        passed = time.monotonic() - began
        if passed > patience.window_s:
            if got < patience.least_bytes_s * passed:
                raise _MirrorFails(f"sends only {got / passed:.0f} bytes a second")
            began, got = time.monotonic(), 0


def sha256_of(path: Path) -> str:
    """The sha256 of a file."""
    total = sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            total.update(block)
    return total.hexdigest()
