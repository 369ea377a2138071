"""Catalog code, loaded after its digest was checked."""

from __future__ import annotations

import sys
import tomllib
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from labpool.catalog import digest_of
from worker.protocol import CodeReference
from worker.runner.reasons import DigestMismatch, EntryBroken


class _FromSource(SourceFileLoader):
    """Never byte code: the digest covers the source, and a stale or forged cache is not it."""

    def get_code(self, fullname: str) -> CodeType:
        del fullname  # a loader of one file
        return self.source_to_code(self.get_data(self.path), self.path)


def load(reference: CodeReference, file: Path, *functions: str) -> ModuleType:
    """Import `file` of a catalog entry, which must offer `functions`.

    Raises EntryBroken; whatever the module itself raises goes through.
    """
    name = f"labpool_catalog_{file.stem}_{reference.digest[:16]}"
    loader = _FromSource(name, str(file))
    module = module_from_spec(ModuleSpec(name, loader, origin=str(file)))
    # Dataclasses and typing look their module up while it is being made.
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except FileNotFoundError as error:
        raise EntryBroken(f"{file} is missing.") from error
    finally:
        # One trial's module is not another's: nothing a trial leaves in it may reach the next.
        del sys.modules[name]
    for function in functions:
        if not callable(getattr(module, function, None)):
            raise EntryBroken(f"{file} has no function {function}.")
    return module


def verify(reference: CodeReference) -> Path:
    """The entry's path, once its files are known to be the ones meant. Raises DigestMismatch."""
    path = Path(reference.path)
    if not path.exists():
        raise EntryBroken(f"{path} does not exist here.")
    found = digest_of(path)
    if found != reference.digest:
        raise DigestMismatch(
            f"{reference.name!r} at {path} has the digest {found}; the trial wants "
            f"{reference.digest}."
        )
    return path


def is_program(reference: CodeReference) -> bool:
    """Whether a model trains itself. Raises EntryBroken, DigestMismatch."""
    return "program" in read_toml(verify(reference) / "model.toml")


def read_toml(path: Path) -> dict[str, Any]:
    """A catalog file. Raises EntryBroken."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise EntryBroken(f"{path}: {error}") from None
