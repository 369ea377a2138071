"""Small data sets of files, made like the real ones, with a catalog that names them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np

from tests.support.hostile import cifar_records, idx, tar_gz

NAMES = ("train-images.gz", "train-labels.gz", "t10k-images.gz", "t10k-labels.gz")
TRAIN, TEST = 300, 100


def digits_files(seed: int = 0) -> dict[str, bytes]:
    """Four packed IDX files: 300 pictures of 28 x 28 to train with, 100 to test with."""
    random = np.random.default_rng(seed)
    found = {}
    for names, count in ((NAMES[:2], TRAIN), (NAMES[2:], TEST)):
        images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        found[names[0]], found[names[1]] = (
            gzip.compress(idx(images), mtime=0),
            gzip.compress(idx(labels), mtime=0),
        )
    return found


def cifar_file() -> dict[str, bytes]:
    """cifar-10-binary.tar.gz with batches of 20."""
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    members = [(f"cifar-10-batches-bin/{n}", cifar_records(20, k)) for k, n in enumerate(names)]
    return {"cifar-10-binary.tar.gz": tar_gz(*members)}


def catalog_folder(
    folder: Path, files: dict[str, bytes], urls: Callable[[str], list[str]], name: str = "small"
) -> Path:
    """A catalog root whose data set ``name`` is made of ``files``, from the mirrors ``urls``."""
    cifar = len(files) == 1
    count, test = (120, 20) if cifar else (TRAIN + TEST, TEST)
    lines = [
        'title = "Small"', 'summary = "For tests."', 'source = "tests"', 'license = "CC0-1.0"',
        'kind = "image"', f"shape = {[32, 32, 3] if cifar else [28, 28, 1]}", "classes = 10",
        "[splits]", "seed = 1", "validation = 0.1", f"test = {test / count:.9f}",
        "test_is_last = true",
        "[files]", f'format = "{"cifar" if cifar else "idx"}"', f"counts = {[count // 10] * 10}",
        f"test = {test}", "most_bytes = 4000000",
    ]  # fmt: skip
    for part, content in files.items():
        lines += [
            "[[files.parts]]", f'name = "{part}"', f"bytes = {len(content)}",
            f'sha256 = "{sha256(content).hexdigest()}"', f"mirrors = {json.dumps(urls(part))}",
        ]  # fmt: skip
        if not cifar:
            unpacked = sha256(gzip.decompress(content)).hexdigest()
            lines.append(f'content_sha256 = "{unpacked}"')
    (folder / "datasets").mkdir(parents=True)
    (folder / "datasets" / f"{name}.toml").write_text("\n".join(lines) + "\n")
    real = Path(__file__).resolve().parents[2] / "catalog" / "datasets" / "mnist.py"
    code = real.read_text(encoding="utf-8").replace('"mnist"', f'"{name}"')
    (folder / "datasets" / f"{name}.py").write_text(code)
    return folder
