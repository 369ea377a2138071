"""``python -m tests.lab``: the whole lab course on a pool of its own; the last line is JSON.

Every module of ``rows/`` is a row of the course: it submits what the slides teach, and says what
must come out. ``{"name": {"value": …, "floor": …, "ok": …}}`` is the last line; a page with
curves, pictures and the numbers beside their floors is written to ``--page``. Exit status 1 when a
number is below its floor, is missing, or a row broke. What this machine lacks the data for is said
to be not measured: ``"value": null, "ok": null, "not_measured": "why"``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from labpool.holdings import folder_of
from labpool.settings import CHECKOUT
from tests.faults.service import service
from tests.lab import page
from tests.lab.course import Course, Row, Shown, load, names
from tests.support.databases import fresh_database

SLOTS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows named, or all."""
    options = _options(arguments)
    chosen = options.only or names()
    # The files that were fetched or imported on this machine, if any were.
    held = {"LABPOOL_DATASETS_DIR": str(folder_of())} if folder_of().is_dir() else {}
    settings = {"LABPOOL_SLOTS": str(SLOTS), **held}
    with (
        tempfile.TemporaryDirectory(prefix="lp-") as folder,
        fresh_database("sqlite") as database,
        service(Path(folder), database, settings) as running,
        # Every row waits for its own trials; the pool's queue decides what runs when.
        ThreadPoolExecutor(len(chosen)) as threads,
    ):
        running.start_worker()
        running.wait_ready(SLOTS)
        shown = list(threads.map(partial(_run, course=Course(running)), map(load, chosen)))
    options.page.parent.mkdir(parents=True, exist_ok=True)
    options.page.write_text(page.written(shown), encoding="utf-8")
    _say(f"== the page: {options.page}")
    judged = {name: one for row in shown for name, one in row.judged().items()}
    for name, one in judged.items():
        if one["ok"] is None:
            _say(f"NOT MEASURED {name}: {one['not_measured']}")
        elif not one["ok"]:
            _say(f"BELOW ITS FLOOR {name} is {one['value']}; it must be {one['floor']}")
    print(json.dumps(judged), flush=True)
    return 1 if any(one["ok"] is False for one in judged.values()) else 0


def _run(row: Row, course: Course) -> Shown:
    shown = Shown(row)
    try:
        row.show(course, shown)
    except Exception as error:  # noqa: BLE001 - the others are still to be shown
        shown.broke = "".join(traceback.format_exception(error))
        _say(shown.broke)
    _say(f"== {row.name}: {shown.judged()}")
    return shown


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="ROW", choices=names(), help="these alone")
    parser.add_argument("--page", type=Path, default=CHECKOUT / ".labpool-lab" / "report.html",
                        help="where the page goes")  # fmt: skip
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
