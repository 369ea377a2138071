"""`python -m worker.runner.previews TOML DIGEST FOLDER`: a picture of a catalog data set.

A process of its own: a data set's code runs here, after its digest was checked, and never in the
service. It leaves picture.png, where there is something to see, and counts.json.
"""

from __future__ import annotations

import json
import sys
from array import array
from pathlib import Path
from typing import Any, Literal

import numpy as np

from labpool.parameters import fill
from labpool.readers import Labelled
from labpool.readers.picture import picture_of
from worker.protocol import CodeReference
from worker.runner import data, loading


def main() -> None:
    """Load the set with its default parameters and draw it."""
    toml, digest, folder = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    reference = CodeReference(name=toml.stem, path=str(toml), digest=digest)
    loading.verify(reference)
    about = loading.read_toml(toml)
    code = loading.load(reference, toml.with_suffix(".py"), "load")
    examples = code.load(_defaults(about))
    data.check(examples, about["kind"])
    labelled = _labelled(examples, about["kind"])
    (folder / "counts.json").write_text(json.dumps(labelled.counts), encoding="utf-8")
    drawn = picture_of(labelled)
    if drawn is not None:
        (folder / "picture.png").write_bytes(drawn)


def _defaults(about: dict[str, Any]) -> dict[str, Any]:
    from labpool.catalog import DatasetEntry

    entry = DatasetEntry.model_validate({**about, "name": "a", "path": "a", "digest": "a"})
    return fill(dict(entry.parameters), {}, of="it")[0]


def _labelled(examples: Any, kind: Literal["image", "vector"]) -> Labelled:
    x = examples.x
    values = (x * 255).astype(np.uint8) if kind == "image" else x.astype(np.float32)
    flat = array("B" if kind == "image" else "f")
    flat.frombytes(values.tobytes())
    labels = array("i", examples.y.tolist())
    return Labelled(kind, tuple(x.shape[1:]), flat, labels, examples.classes)


if __name__ == "__main__":
    main()
