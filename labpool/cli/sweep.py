"""`labpool sweep`: a sweep at a glance."""

from __future__ import annotations

from typing import Any

import click

from labpool.cli.options import NUMBER, connect, json_option, url_option
from labpool.cli.output import count_of, duration, number, print_json, print_table, printable

_PLACES = ("waiting", "running", "paused", "promoted", "pruned", "done", "failed")
_MOST_STEPS = 5


@click.command("sweep")
@click.argument("number", type=NUMBER)
@url_option
@json_option
def sweep(number: int, url: str | None, as_json: bool) -> None:
    """Show experiment NUMBER, a sweep: its rungs, the best so far, what matters, what it costs."""
    with connect(url) as client:
        found = client.sweep(number)
    if as_json:
        print_json(found)
        return
    print_sweep(found)


def print_sweep(found: dict[str, Any]) -> None:
    """The same as its page says, in lines."""
    objective = found["objective"]
    metric = printable(objective["metric"]) if objective else "no metric yet"
    halt = f"; {printable(found['halt'])}" if found["halt"] else ""
    print(f"{count_of(found['planned'], 'trial')} by {metric}{halt}")
    _print_cost(found["cost"])
    if found["rungs"]:
        print()
        _print_rungs(found["rungs"])
    if found["best_so_far"]:
        print("\nBest so far, the newest first")
        _print_steps(found["best_so_far"])
    print()
    _print_importance(found["importance"])


def _print_cost(cost: dict[str, Any]) -> None:
    print(f"used {duration(cost['used'])} of slots; to come {duration(cost['to_come'])}")
    print(printable(cost["arithmetic"]))


def _print_rungs(rungs: list[dict[str, Any]]) -> None:
    shown = [place for place in _PLACES if any(rung[place] for rung in rungs)]
    print_table(
        ("rung", "epochs", *shown, "go on", "best", "trial"),
        (
            (
                "top" if rung["is_top"] else rung["number"],
                rung["epochs"],
                *(rung[place] for place in shown),
                "-" if rung["is_top"] else f"{rung['places']} of {rung['members']}",
                number(rung["best"]),
                rung["best_trial"],
            )
            for rung in rungs
        ),
    )


def _print_steps(steps: list[dict[str, Any]]) -> None:
    print_table(
        ("value", "trial", "after", "slot time"),
        (
            (
                number(step["value"]),
                step["trial_id"],
                duration(step["at_s"]),
                duration(step["slot_seconds"]),
            )
            for step in steps[: -_MOST_STEPS - 1 : -1]
        ),
    )


def _print_importance(importance: dict[str, Any]) -> None:
    if importance["lacking"]:
        print(f"Which settings matter: {printable(importance['lacking'])}")
        return
    after = f" after epoch {importance['epochs']}" if importance["epochs"] else ""
    trials = count_of(importance["trials"], "trial")
    print(f"Which settings matter, over {trials}{after}: {printable(importance['method'])}")
    print_table(
        ("setting", "share"),
        (
            (one["name"], "-" if one["share"] is None else f"{one['share']:.2f}")
            for one in importance["parameters"]
        ),
    )
