"""Data sets that people bring: how a spec names one, and what a runner is given for it.

A spec says `dataset: ada/flowers`. What it stands for when the spec is accepted, by its sha256, is
written into the trial's parameters: the trial runs on these examples or not at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from labpool.catalog import Catalog, DatasetEntry
from labpool.dataset_form import Splits
from labpool.parameters import ChoiceParameter, IntegerParameter, Parameter

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""What an upload may be called."""
CODE = '''"""Examples that somebody uploaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labpool.sdk import Examples, uploaded_examples


def load(parameters: Mapping[str, Any]) -> Examples:
    """The examples of the file beside this one."""
    return uploaded_examples(Path(__spec__.origin).with_suffix(".npz"), parameters["classes"])
'''
DIGEST = sha256(f"uploads 1\n{CODE}".encode()).hexdigest()
"""What a worker registers that can run uploads: the data digest of all trials on one."""
_SEED, _VALIDATION, _TEST = 20260105, 0.2, 0.2


@dataclass(frozen=True, slots=True)
class UploadFacts:
    """An upload as planning needs it.

    ``key`` is its file's in the artifact store, ``counts`` are the examples by class, ``test`` is
    how many of the last ones are its own test set.
    """

    owner: str
    name: str
    key: str
    sha256: str
    kind: Literal["image", "vector"]
    shape: Sequence[int]
    counts: Sequence[int]
    test: int
    class_names: Sequence[str] = ()

    @property
    def full_name(self) -> str:
        """What a spec says."""
        return f"{self.owner}/{self.name}"


def named_in(spec: object) -> set[str]:
    """Every text in ``spec`` that has the form of an upload's name, wherever it stands."""
    found: set[str] = set()
    waiting = [spec]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, str) and value.count("/") == 1 and len(value) < 200:
            found.add(value)
    return found


def key_of(data_name: str | None, spec: Mapping[str, Any]) -> str | None:
    """Where a trial's upload lies in the artifact store; None for one on the catalog's data.

    An upload whose key is not known has the key ``""``, which nobody's has.
    """
    if data_name is None or "/" not in data_name:
        return None
    return str(spec.get("dataset_parameters", {}).get("key", ""))


def extended(catalog: Catalog, uploads: Sequence[UploadFacts]) -> Catalog:
    """``catalog`` with these uploads among its data sets."""
    if not uploads:
        return catalog
    more = {facts.full_name: entry_of(facts) for facts in uploads}
    return Catalog(
        catalog.models, {**catalog.datasets, **more}, catalog.kernels, catalog.boards
    )  # fmt: skip


def prepare(folder: Path, parameters: Mapping[str, Any]) -> tuple[Path, Path]:
    """Lay out in ``folder`` what a runner loads as a data set: its TOML, and where the examples
    belong. ``parameters`` are those that planning wrote into the trial. Raises OSError."""
    toml = folder / "upload.toml"
    splits = _splits(int(parameters["test"]), int(parameters["examples"]))
    toml.write_text(
        f"kind = {json.dumps(parameters['kind'])}\n"
        f"sha256 = {json.dumps(parameters['sha256'])}\n"
        f"[splits]\nseed = {splits.seed}\nvalidation = {splits.validation!r}\n"
        f"test = {splits.test!r}\ntest_is_last = {json.dumps(splits.test_is_last)}\n",
        encoding="utf-8",
    )
    toml.with_suffix(".py").write_text(CODE, encoding="utf-8")
    return toml, toml.with_suffix(".npz")


def _splits(test: int, examples: int) -> Splits:
    own = 0 < test < examples / 2
    share = test / examples if own else _TEST
    return Splits(seed=_SEED, validation=_VALIDATION, test=share, test_is_last=own)


def entry_of(facts: UploadFacts) -> DatasetEntry:
    """An upload in the form of the catalog's data sets."""
    count = sum(facts.counts)
    return DatasetEntry(
        name=facts.full_name,
        path=Path("upload.toml"),
        digest=DIGEST,
        title=facts.name,
        summary=f"Uploaded by {facts.owner}.",
        kind=facts.kind,
        shape=tuple(facts.shape),
        classes=len(facts.counts),
        class_names=list(facts.class_names),
        source=f"uploaded by {facts.owner}",
        license="not stated",
        splits=_splits(facts.test, count),
        parameters={
            "key": _only("Where the examples are in the artifact store.", facts.key),
            "sha256": _only("The examples, by their sha256.", facts.sha256),
            "kind": _only("Images or vectors.", facts.kind),
            "classes": _just("How many classes.", len(facts.counts)),
            "examples": _just("How many examples.", count),
            "test": _just("How many of the last examples are its own test set.", facts.test),
        },
    )


def _only(meaning: str, value: str) -> Parameter:
    return ChoiceParameter(type="choice", choices=[value], default=value, meaning=meaning)


def _just(meaning: str, value: int) -> Parameter:
    return IntegerParameter(
        type="integer", minimum=value, maximum=value, default=value, meaning=meaning
    )  # fmt: skip
