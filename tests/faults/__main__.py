"""``python -m tests.faults``: run every measure; the last line is all figures as JSON.

Exit status 1 when a figure is out of its bound, was not measured, or a measure broke.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.faults import frame


def main(arguments: list[str] | None = None) -> int:
    """Run the measures named, or all; progress goes to stderr, the figures to stdout."""
    return frame.run(Path(__file__).parent, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
