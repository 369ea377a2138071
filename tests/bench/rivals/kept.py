"""What was measured of a long measure, kept in a file, so that a run that ended goes on.

The file is of one commit and one set of sweeps; of another one nothing is taken. What has ended
whole gets another name, and the next run begins anew.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labpool.settings import CHECKOUT

FOLDER = CHECKOUT / ".labpool-bench"
UNFINISHED, FINISHED = "against-peers.unfinished.json", "against-peers.json"

Part = dict[str, Any]


@dataclass
class Kept:
    """Parts by name: a sweep, a way and a round, as ``mlp/ray_loop/2``."""

    folder: Path
    identity: str
    parts: dict[str, Part] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, identity: str) -> Kept:
        """What an unfinished run of the same identity left in the folder, or nothing."""
        folder.mkdir(parents=True, exist_ok=True)
        try:
            told = json.loads((folder / UNFINISHED).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return cls(folder, identity)
        return cls(folder, identity, told["parts"] if told.get("identity") == identity else {})

    def part(self, name: str, measure: Callable[[], Part]) -> tuple[Part, bool]:
        """A part, measured now if it is not there; and whether it was."""
        if name in self.parts:
            return self.parts[name], False
        self.parts[name] = measure()
        self._write(UNFINISHED, {})
        return self.parts[name], True

    def finish(self, figures: dict[str, Any]) -> Path:
        """Keep everything under the name of a finished run; its file."""
        self._write(FINISHED, {"figures": figures})
        (self.folder / UNFINISHED).unlink(missing_ok=True)
        return self.folder / FINISHED

    def _write(self, name: str, more: dict[str, Any]) -> None:
        text = json.dumps({"identity": self.identity, **more, "parts": self.parts}, indent=1)
        unfinished = self.folder / f"{name}.part"
        unfinished.write_text(text, encoding="utf-8")
        unfinished.rename(self.folder / name)


def identity(*more: Any) -> str:
    """The commit that is measured, the files that measure it, and what else must be the same."""
    folder = Path(__file__).parent
    digest = hashlib.sha256(repr(more).encode())
    for path in sorted([*folder.rglob("*.py"), *folder.rglob("*.yaml")]):
        digest.update(path.read_bytes())
    # Without Git, as in an unpacked archive, the files alone tell.
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    return f"{found or 'unknown'} {digest.hexdigest()[:12]}"
