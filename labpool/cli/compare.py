"""`labpool compare`: what differs between trials, and which did best at what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from labpool.cli.options import connect, json_option, url_option
from labpool.cli.output import duration, number, print_json, print_table
from labpool.client import TrialDetail
from labpool.measures import Direction, direction_of

# These name or describe a trial; they are not what it was run with.
DESCRIPTION = frozenset({"name", "notes", "tags"})
MOST_TRIALS = 200


@click.command("compare")
@click.argument("numbers", metavar="TRIAL…", type=int, nargs=-1)
@click.option(
    "--experiment",
    "experiments",
    type=int,
    multiple=True,
    help="All trials of this experiment; may be repeated.",
)
@click.option("--metric", "metrics", multiple=True, help="Only this metric; may be repeated.")
@url_option
@json_option
def compare(
    numbers: tuple[int, ...],
    experiments: tuple[int, ...],
    metrics: tuple[str, ...],
    url: str | None,
    as_json: bool,
) -> None:
    """Compare trials: what differs between them, their metrics, the best marked with *."""
    with connect(url) as client:
        wanted = list(numbers)
        for experiment in experiments:
            wanted += [trial.id for trial in client.trials(experiment, limit=MOST_TRIALS)]
        wanted = list(dict.fromkeys(wanted))
        if not 2 <= len(wanted) <= MOST_TRIALS:
            raise click.UsageError(
                f"Give 2 to {MOST_TRIALS} trials, by number or with --experiment, "
                f"not {len(wanted)}."
            )
        trials = [client.trial(trial_id) for trial_id in wanted]
        boards = client.boards()
    directions = {board["metric"]: board["direction"] for board in boards}
    differing = differences(trials)
    names = metric_names(trials, metrics)
    best = {name: _best(trials, name, direction_of(name, directions)) for name in names}
    if as_json:
        print_json(
            {
                "trials": [
                    {
                        "id": trial.id,
                        "state": trial.state,
                        "differing": differing[trial.id],
                        "metrics": {name: trial.metrics.get(name) for name in names},
                        "seconds": trial.seconds,
                    }
                    for trial in trials
                ],
                "best": {name: ids for name, ids in best.items() if ids},
            }
        )
        return
    columns = list(next(iter(differing.values())))
    print_table(
        ("trial", "state", *columns, *names, "time"),
        [
            (
                trial.id,
                trial.state,
                *(_shown(differing[trial.id][name]) for name in columns),
                *(_marked(trial, name, best[name]) for name in names),
                duration(trial.seconds),
            )
            for trial in trials
        ],
    )
    if any(best.values()):
        print("* the best of these")


def flattened(spec: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A spec's fields by path: `parameters.units`."""
    flat: dict[str, Any] = {}
    for name, value in spec.items():
        if isinstance(value, Mapping):
            flat.update(flattened(value, f"{prefix}{name}."))
        elif prefix or name not in DESCRIPTION:
            flat[prefix + name] = value
    return flat


def differences(trials: Sequence[TrialDetail]) -> dict[int, dict[str, Any]]:
    """For each trial the fields of its spec that are not the same in all of them."""
    flat = {trial.id: flattened(trial.spec) for trial in trials}
    names = dict.fromkeys(name for fields in flat.values() for name in fields)
    values = {name: [fields.get(name) for fields in flat.values()] for name in names}
    unlike = [name for name, found in values.items() if any(item != found[0] for item in found)]
    return {
        trial_id: {name: fields.get(name) for name in unlike} for trial_id, fields in flat.items()
    }


def metric_names(trials: Sequence[TrialDetail], wanted: Sequence[str] = ()) -> list[str]:
    """The metrics to show: those asked for, else all that any trial has."""
    if wanted:
        return list(wanted)
    return list(dict.fromkeys(name for trial in trials for name in trial.metrics))


def _best(trials: Sequence[TrialDetail], name: str, direction: Direction | None) -> list[int]:
    """The trials with the best value; none when all are the same or no way is better."""
    values = {trial.id: value for trial in trials if (value := trial.metrics.get(name)) is not None}
    if direction is None or len(set(values.values())) < 2:
        return []
    best = max(values.values()) if direction == "maximize" else min(values.values())
    return [trial_id for trial_id, value in values.items() if value == best]


def _marked(trial: TrialDetail, name: str, best: Sequence[int]) -> str:
    mark = ("*" if trial.id in best else " ") if best else ""
    return number(trial.metrics.get(name)) + mark


def _shown(value: object) -> str:
    return number(value, 6) if isinstance(value, float) else "-" if value is None else str(value)
