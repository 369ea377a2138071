"""``python -m tests.bench.rivals.page RAW.json docs/peers.md``: the table and picture of a run.

RAW.json is what `tests.bench.against_peers` kept. The table goes between two marks of the page, the
picture beside the page.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.rivals import picture, ways

BEGIN, END = "<!-- measured -->", "<!-- /measured -->"
NAMES = {
    "shell": "shell loop, a process a trial",
    "celery": "Celery",
    "optuna": "Optuna",
    "ray": "Ray Tune",
    "keras_tuner": "KerasTuner",
    "optuna_loop": "Optuna, our loop",
    "ray_loop": "Ray Tune, our loop",
    "unfused": "labpool, one at a time",
    "fused": "labpool, fused",
}
"""In the order of the table's rows."""
TITLES = {
    "mlp_small": "MLP, {} trials", "mlp": "MLP, {} trials",
    "cnn_small": "small CNN, {} trials", "cnn": "small CNN, {} trials",
}  # fmt: skip

Parts = Mapping[str, Mapping[str, Any]]
Seconds = dict[str, dict[str, list[float]]]


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m tests.bench.rivals.page", description=__doc__)
    asked.add_argument("raw", type=Path)
    asked.add_argument("page", type=Path)
    chosen = asked.parse_args()
    raw = json.loads(chosen.raw.read_text(encoding="utf-8"))
    page = chosen.page.read_text(encoding="utf-8")
    chosen.page.write_text(with_table(page, table(raw)), encoding="utf-8")
    drawn = chosen.page.with_suffix(".svg")
    drawn.write_text(picture.drawing(_panels(raw["parts"])), encoding="utf-8")


def with_table(page: str, text: str) -> str:
    """The page with what stands between its marks replaced. Raises ValueError without marks."""
    marked = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if not marked.search(page):
        raise ValueError(f"the page has no {BEGIN} … {END}")
    return marked.sub(lambda _: f"{BEGIN}\n{text}\n{END}", page)


def table(raw: Mapping[str, Any]) -> str:
    """Markdown: the seconds of every way for every sweep, accuracies, versions, load."""
    parts: Parts = raw["parts"]
    seconds = _seconds(parts)
    shown = [sweep for sweep in TITLES if sweep in seconds]
    heads = [f"{_title(sweep, parts)}: s (× fused), accuracy" for sweep in shown]
    lines = [f"| | {' | '.join(heads)} |", "| --- |" + " ---: |" * len(shown)]
    for way, name in NAMES.items():
        cells = [_cell(parts, seconds, sweep, way) for sweep in shown]
        if any(cells):
            lines.append(f"| {name} | {' | '.join(cells)} |")
    versions: dict[str, str] = {}
    for part in parts.values():
        versions |= part["versions"]
    told = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    loads = [load for part in parts.values() for load in part["load"]]
    load = f"The machine's load was {min(loads):.1f} to {max(loads):.1f}."
    commit = raw["identity"].split()[0]
    lines += ["", f"At {commit}, medians of the rounds. {load} Versions: {told}."]
    return "\n".join(lines)


def _title(sweep: str, parts: Parts) -> str:
    trials = next(part["trials"] for name, part in parts.items() if name.startswith(f"{sweep}/"))
    return TITLES[sweep].format(trials)


def _cell(parts: Parts, seconds: Seconds, sweep: str, way: str) -> str:
    times = seconds[sweep].get(way)
    if not times:
        return ""
    accuracy = median(
        part["accuracy"] for name, part in parts.items() if name.startswith(f"{sweep}/{way}/")
    )
    fused = seconds[sweep].get("fused")
    ratio = f" ({median(times) / median(fused):.1f})" if fused and way != "fused" else ""
    return f"{median(times):.1f}{ratio}, {accuracy:.4f}"


def _seconds(parts: Parts) -> Seconds:
    """By sweep and way."""
    found: Seconds = defaultdict(lambda: defaultdict(list))
    for name, part in parts.items():
        sweep, way, _ = name.split("/")
        found[sweep][way].append(part["seconds"])
    return found


def _panels(parts: Parts) -> list[picture.Panel]:
    seconds = _seconds(parts)
    return [
        picture.Panel(
            f"{_title(sweep, parts)}: seconds",
            [
                picture.Bar(name, median(seconds[sweep][way]), way in ways.OURS)
                for way, name in NAMES.items()
                if way in seconds[sweep]
            ],
        )
        for sweep in TITLES
        if sweep in seconds
    ]


if __name__ == "__main__":
    main()
