"""`labpool data fetch`, `import` and `verify`: the files of data sets on this machine."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from labpool.catalog import Catalog, DatasetEntry
from labpool.cli.exit_codes import ExitCode
from labpool.cli.options import json_option
from labpool.cli.output import amount, print_json, printable, say
from labpool.client import NotThere
from labpool.errors import LabpoolError
from labpool.holdings import Record, record_of, verify
from labpool.settings import load_settings
from labpool.taking_in import fetch, import_files

MB = 1e6
_REDRAW_S = 0.2


@click.command("fetch")
@click.argument("name")
@json_option
def data_fetch(name: str, as_json: bool) -> None:
    """Fetch the files of data set NAME to this machine, once for all of its workers.

    What breaks off is gone on with by the next call. Each file is taken only if it has the checksum
    that the catalog pins.
    """
    entry = _entry(name)
    root = load_settings().datasets_folder
    _tell(name, fetch(entry, root, _Progress(), say), root, as_json)


@click.command("import")
@click.argument("name")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@json_option
def data_import(name: str, files: tuple[Path, ...], as_json: bool) -> None:
    """Take in FILES of data set NAME that are on this machine.

    The four IDX files of mnist and fashion_mnist, plain or packed (.gz); cifar10's binary version,
    as its .tar.gz or its six .bin files; or one NPZ file with x_train, y_train, x_test, y_test.
    Nothing is ever unpickled.
    """
    entry = _entry(name)
    root = load_settings().datasets_folder
    _tell(name, import_files(entry, root, files, say), root, as_json)


@click.command("verify")
@click.argument("name", required=False)
@json_option
def data_verify(name: str | None, as_json: bool) -> None:
    """Read the files of data set NAME again, or of all that are here, and check them."""
    root = load_settings().datasets_folder
    entries = [_entry(name)] if name else list(_with_files().values())
    said: dict[str, str] = {}
    good = True
    for entry in entries:
        try:
            if name or record_of(root, entry.name) is not None:
                record = verify(root, entry.name)
                said[entry.name] = f"as it was taken in, {amount(record.bytes / MB)} MB"
            else:
                said[entry.name] = "not here"
        except LabpoolError as error:
            good = False
            said[entry.name] = str(error)
    if as_json:
        print_json({"good": good, "datasets": said})
    else:
        for key, text in said.items():
            print(f"{key}: {printable(text)}")
    if not good:
        sys.exit(ExitCode.FAILED)


def state_here(entry: Mapping[str, Any]) -> str:
    """Whether a data set, as the service describes it, can be run on this machine."""
    if not entry["details"].get("files"):
        return "ready"
    try:
        record = record_of(load_settings().datasets_folder, entry["name"])
    except LabpoolError:
        return "damaged"
    return "not fetched" if record is None else f"{amount(record.bytes / MB)} MB"


def _with_files() -> dict[str, DatasetEntry]:
    found = Catalog.load(load_settings().catalog_roots).datasets
    return {name: entry for name, entry in found.items() if entry.files is not None}


def _entry(name: str) -> DatasetEntry:
    """The entry of this machine's own catalog. Raises NotThere."""
    found = Catalog.load(load_settings().catalog_roots).datasets
    if name not in found:
        raise NotThere(f"The catalog's data sets are {', '.join(found)}, not {name!r}.")
    return found[name]


def _tell(name: str, record: Record, root: Path, as_json: bool) -> None:
    if as_json:
        print_json({"name": name, "folder": str(root / name), **record.model_dump()})
        return
    checked = (
        "the published content"
        if record.pinned
        else "of the right shape and classes, but not compared with a published checksum"
    )
    print(
        f"{name}: {sum(record.counts):,} examples, {amount(record.bytes / MB)} MB in "
        f"{root / name}; {checked}."
    )


class _Progress:
    """One line a file that is drawn anew on a terminal, and a line a quarter elsewhere."""

    def __init__(self) -> None:
        self._drawn = 0.0
        self._quarter: tuple[str, int] = ("", 0)

    def __call__(self, file: str, done: int, total: int) -> None:
        text = f"{file}: {amount(done / MB)} of {amount(total / MB)} MB"
        if sys.stderr.isatty():
            now = time.monotonic()
            if done == total or now - self._drawn > _REDRAW_S:
                self._drawn = now
                print(f"\r\033[K{text}", end="\n" if done == total else "", file=sys.stderr)
            return
        quarter = (file, 4 * done // total)
        if quarter != self._quarter:
            self._quarter = quarter
            say(text)
