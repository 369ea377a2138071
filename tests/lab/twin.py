"""``python -m tests.lab.twin``: how far `relu100_tf` ends from its Keras twin, and has gone."""

from __future__ import annotations

import json

from tests.support.slides import relu_apart
from worker.runner import backend


def main() -> None:
    backend.prepare(1)
    print(json.dumps(relu_apart()))


if __name__ == "__main__":
    main()
