"""`labpool data preview [NAME…]`: pictures of the catalog's data sets, for the pages.

The service never runs a data set's code. This command does, each set in a process of its own, and
puts what it drew into the artifact store, where the service finds it by the set's digest.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

from db.artifacts import FolderStore
from labpool.catalog import Catalog, DatasetEntry
from labpool.holdings import record_of
from labpool.settings import CHECKOUT, Settings, load_settings

LONGEST_S = 600.0


def main(arguments: list[str] | None = None) -> int:
    """Draw what can be run on this machine; the exit status."""
    parser = argparse.ArgumentParser(
        prog="labpool data preview", description="Draw the data sets of the catalog for the pages."
    )
    parser.add_argument("name", nargs="*", help="These alone. Default: all that are here.")
    given = parser.parse_args(arguments)
    settings = load_settings()
    found = Catalog.load(settings.catalog_roots).datasets
    unknown = [name for name in given.name if name not in found]
    if unknown:
        print(f"labpool: the catalog has no data set {unknown[0]!r}.", file=sys.stderr)
        return 6
    store = FolderStore(settings.artifacts_dir)
    good = True
    for entry in found.values():
        if given.name and entry.name not in given.name:
            continue
        if entry.files is not None and record_of(settings.datasets_folder, entry.name) is None:
            print(f"{entry.name}: not here; labpool data fetch {entry.name}")
            good = good and not given.name
            continue
        problem = draw(entry, store, settings)
        print(f"{entry.name}: {problem or 'drawn'}")
        good = good and problem is None
    return 0 if good else 1


def draw(entry: DatasetEntry, store: FolderStore, settings: Settings) -> str | None:
    """Make a set's picture and counts and store them; what went wrong, or None."""
    with tempfile.TemporaryDirectory(prefix="labpool-preview-") as name:
        folder = Path(name)
        environment = {
            "PATH": os.defpath, "HOME": name, "LANG": "C.UTF-8", "PYTHONPATH": str(CHECKOUT),
            "PYTHONSAFEPATH": "1", "LABPOOL_DATASETS_DIR": str(settings.datasets_folder),
        }  # fmt: skip
        command = [sys.executable, "-m", "worker.runner.previews", str(entry.path.absolute())]
        try:
            subprocess.run(
                [*command, entry.digest, name], env=environment, cwd=name, check=True,
                capture_output=True, text=True, timeout=LONGEST_S,
            )  # fmt: skip
        except subprocess.CalledProcessError as error:
            return (str(error.stderr).strip().splitlines() or ["its process ended"])[-1]
        except subprocess.TimeoutExpired:
            return f"took longer than {LONGEST_S:g} s"
        picture = folder / "picture.png"
        about = {"counts": json.loads((folder / "counts.json").read_text()), "sha256": None}
        if picture.exists():
            content = picture.read_bytes()
            about |= {"sha256": sha256(content).hexdigest(), "bytes": len(content)}
            store.put(f"previews/{entry.digest}.png", picture)
        record = folder / "record.json"
        record.write_text(json.dumps(about), encoding="utf-8")
        store.put(f"previews/{entry.digest}.json", record)
    return None


if __name__ == "__main__":
    sys.exit(main())
