"""The commands that only read: ls, show, board, pool, schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from labpool.cli.artifacts import examined_lines
from labpool.cli.attempts import in_order, outcome_of
from labpool.cli.options import (
    NUMBER,
    connect,
    filter_options,
    json_option,
    limit_option,
    url_option,
)
from labpool.cli.output import (
    ago,
    amount,
    duration,
    number,
    pairs,
    print_json,
    print_table,
    printable,
)
from labpool.cli.rerun import print_reproduction
from labpool.cli.slots import print_pool, print_queue
from labpool.client import Trial, TrialDetail
from labpool.measures import HEADLINES
from labpool.spread import interval_text


@click.command("ls")
@limit_option(1000, 20, "experiments")
@filter_options
@url_option
@json_option
def ls(limit: int, url: str | None, as_json: bool, **filters: str | None) -> None:
    """List experiments, newest first."""
    with connect(url) as client:
        found = client.experiments(limit, **filters)
    if as_json:
        print_json([experiment.model_dump(mode="json") for experiment in found])
        return
    print_table(
        ("id", "kind", "name", "owner", "finished", "states", "created"),
        (
            (
                experiment.id,
                experiment.kind,
                experiment.name,
                experiment.owner,
                f"{experiment.finished_count}/{experiment.trial_count}",
                pairs(experiment.shown_states),
                ago(experiment.created_at),
            )
            for experiment in found
        ),
    )


@click.command("show")
@click.argument("number", type=NUMBER)
@click.option("--trial", "is_trial", is_flag=True, help="NUMBER is a trial's, not an experiment's.")
@url_option
@json_option
def show(number: int, is_trial: bool, url: str | None, as_json: bool) -> None:
    """Show experiment NUMBER with its trials, or one trial."""
    with connect(url) as client:
        if is_trial:
            trial = client.trial(number)
            if as_json:
                print_json(trial.model_dump(mode="json"))
            else:
                _print_trial(trial, client.page(trial.page_url))
            return
        experiment, trials = client.experiment(number), client.trials(number)
        if as_json:
            content = experiment.model_dump(mode="json")
            print_json({**content, "trials": [trial.model_dump(mode="json") for trial in trials]})
            return
        name = printable(experiment.name or experiment.kind)
        print(f"Experiment {experiment.id}: {name} of {experiment.owner}")
        print(f"{pairs(experiment.shown_states)}; {client.page(experiment.page_url)}\n")
        _print_trials(trials)
        print_speed_ups(experiment.model_dump(mode="json").get("speed_ups", []))


@click.command("board")
@click.argument("name", required=False)
@limit_option(500, 20, "rows")
@click.option("--csv", "as_csv", is_flag=True, help="NAME as CSV.")
@url_option
@json_option
def board(
    name: str | None, limit: int, as_csv: bool, url: str | None, as_json: bool
) -> None:  # fmt: skip
    """Print leaderboard NAME, or the names of all leaderboards."""
    with connect(url) as client:
        if name is not None and as_csv:
            click.echo(client.board_csv(name, limit), nl=False)
            return
        if name is None:
            boards = client.boards()
            if as_json:
                print_json(boards)
            else:
                print_table(("name", "title"), ((item["name"], item["title"]) for item in boards))
            return
        content = client.board(name, limit)
    if as_json:
        print_json(content)
    else:
        print_board(content)


@click.group("pool", invoke_without_command=True)
@limit_option(200, 10, "waiting trials")
@url_option
@json_option
@click.pass_context
def pool(context: click.Context, limit: int, url: str | None, as_json: bool) -> None:
    """Print the slots, who holds them, and the head of the queue with the reason each waits."""
    if context.invoked_subcommand is not None:
        return
    with connect(url) as client:
        content = client.pool()
        queue = client.queue(limit) if content["queued_count"] else []
    if as_json:
        print_json({**content, "queue": queue})
        return
    print_pool(content)
    if queue:
        print()
        print_queue(queue)


@click.command("schema")
def schema() -> None:
    """Print the JSON Schema of specs, for editors and checkers."""
    from labpool.spec import spec_schema

    print(json.dumps(spec_schema(), indent=2))


def print_board(content: dict[str, Any]) -> None:
    """A leaderboard as a table, best first."""
    board, rows = content["board"], content["rows"]
    better = "higher" if board["direction"] == "maximize" else "lower"
    print(f"{printable(board['title'])}: {board['metric']} in {board['unit']}, {better} is better")
    for baseline in board.get("baselines", []):
        value = number(baseline["value"], 5)
        print(f"  {value} {printable(baseline['name'])} ({printable(baseline['source'])})")
    if not rows:
        print("No result yet.")
        return
    print_table(
        (
            "rank", "user", board["metric"], "model", "configuration", "device", "seeds", "cost",
            "trial",
        ),
        (
            (
                rank_text(row),
                row["user"],
                value_text(row),
                row["model"] + (" (own source)" if row.get("own_source") else ""),
                pairs(varied_of(row)),
                row.get("device_name") or row["device"],
                len(row.get("seeds", [0])),
                duration(row["seconds"]),
                row["trial_id"],
            )
            for row in rows
        ),
    )  # fmt: skip
    if any(row.get("band") for row in rows):
        print("Rows whose 95 % intervals meet share their ranks; cost counts every run of a row.")
    else:
        print("One seed a row: what chance does to these ranks is not known (repeat: 5).")


def rank_text(row: Mapping[str, Any]) -> str:
    """'2-4' where a row of a board cannot be told apart from others."""
    band = row.get("band")
    if not band or band["first"] == band["last"]:
        return str(row["rank"])
    return f"{band['first']}-{band['last']}"


def value_text(row: Mapping[str, Any]) -> str:
    """'0.9706 ± 0.0043', or the value of one seed."""
    half_width = row.get("half_width")
    if half_width is None:
        return number(row["value"], 5)
    return interval_text(row["value"], half_width)


def varied_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """What was varied in a row of a board; its seed where it has but one and nothing else was."""
    if len(row.get("seeds", [])) > 1:
        return {name: value for name, value in row["varied"].items() if name != "seed"}
    return row["varied"] or {"seed": row["seed"]}


def _print_trials(trials: list[Trial]) -> None:
    print_table(
        ("trial", "state", "model", "data", "varied", "done", "metrics", "time"),
        (
            (
                trial.id,
                trial.pending or ("held" if trial.held else trial.state),
                trial.model,
                trial.dataset,
                pairs(trial.varied),
                _done(trial),
                _headlines(trial),
                duration(trial.seconds),
            )
            for trial in trials
        ),
    )


def print_speed_ups(found: list[dict[str, Any]]) -> None:
    """How many times as fast the GPU was, a pair of trials each, transfers apart."""
    for one in found:
        times = f"{number(one['ratio'])} times as fast by {one['metric']}"
        print(f"\nGPU against CPU: {times} (trial {one['gpu_trial']} against {one['cpu_trial']})")
        if one.get("transfer_ms") is not None:
            whole = f"{number(one['ratio_with_transfer'])} times as fast"
            print(f"  with {number(one['transfer_ms'])} ms to bring data there and back: {whole}")


def _done(trial: Trial) -> str:
    if trial.state == "succeeded" and not trial.ended_early:
        return "100 %"
    done = f"{100 * trial.progress.fraction:.0f} %" if trial.progress else "-"
    return f"{done}, {_early(trial)}" if trial.ended_early else done


def _headlines(trial: Trial) -> str:
    """The metrics that fit a line; --trial and --json show all of them."""
    shown = [name for name in HEADLINES if name in trial.metrics] or list(trial.metrics)[:2]
    return ", ".join(f"{name} {number(trial.metrics[name])}" for name in shown)


def _print_trial(shown: TrialDetail, page: str) -> None:
    states = [shown.state, shown.pending, "held back" if shown.held else "", _ended_early(shown)]
    state = ", ".join(filter(None, states))
    print(f"Trial {shown.id} of experiment {shown.experiment_id}: {state}; {page}")
    trial = shown.model_dump(mode="json")
    for name in ("reason", "waiting", "withheld"):
        # The first line has it for what ended early.
        if trial.get(name) and not (name == "reason" and shown.ended_early):
            print(f"{name}: {printable(trial[name])}")
    if shown.reproduction is not None and shown.parent_id is not None:
        print_reproduction(shown.reproduction, shown.parent_id)
    for name in ("spec", "metrics"):
        print(f"\n{name}")
        for key, value in trial[name].items():
            print(f"  {printable(key)}: {printable(value)}")
    if examined := list(examined_lines(shown.summary)):
        print("\ntest split\n  " + "\n  ".join(examined))
    print("\nattempts")
    for attempt_number, attempt in enumerate(in_order(trial["attempts"]), start=1):
        print(f"  {attempt_number}: {printable(attempt['place'])}, {outcome_of(attempt)}")


def _ended_early(trial: Trial) -> str:
    if not trial.ended_early:
        return ""
    progress = trial.progress
    if progress is None:
        return _early(trial)
    done = f"{amount(progress.done)} of {amount(progress.total)} {progress.unit}s"
    return f"{_early(trial)}{',' if trial.reason else ''} after {done}"


def _early(trial: Trial) -> str:
    """ended early: no better for 2 epochs"""
    if not trial.reason:
        return "ended early"
    return f"ended early: {trial.reason[0].lower()}{trial.reason[1:].rstrip('.')}"
