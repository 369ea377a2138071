"""``python -m tests.faults``: run every measure; the last line is all figures as JSON.

Exit status 1 when a figure is out of its bound, was not measured, or a measure broke.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
import traceback

from tests.faults import frame


def main(arguments: list[str] | None = None) -> int:
    """Run the measures named, or all; progress goes to stderr, the figures to stdout."""
    options = _options(arguments)
    all_figures: dict[str, frame.Figure] = {}
    wrong: list[str] = []
    for name in options.only or frame.names():
        _say(f"== {name}")
        begun = time.monotonic()
        try:
            # What a measure prints is progress.
            with contextlib.redirect_stdout(sys.stderr):
                measure = frame.load(name)
                found = measure.figures(options.quick)
        except Exception as error:  # noqa: BLE001 - the others are still to be measured
            traceback.print_exc()
            wrong.append(f"{name} broke: {type(error).__name__}: {error}")
            continue
        all_figures.update(found)
        amiss = list(frame.out_of_bounds(found, measure.bounds_for(options.quick)))
        wrong += [f"{name}: {sentence}" for sentence in amiss]
        _say(f"== {name}: {dict(found)} in {time.monotonic() - begun:.1f} s")
    for sentence in wrong:
        _say(f"OUT OF BOUNDS {sentence}")
    print(json.dumps(all_figures, allow_nan=True), flush=True)
    return 1 if wrong else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=frame.names(),
                        help="run these alone")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="the short form of each")
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
