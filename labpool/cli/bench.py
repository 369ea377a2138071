"""`labpool bench`: time a kernel of the catalog, over sizes and variants if wanted."""

from __future__ import annotations

import sys
import time

import click

from labpool.benchmarks import Line, Timed, lines_of
from labpool.cli import bench_table
from labpool.cli.bench_spec import Asked
from labpool.cli.exit_codes import ExitCode
from labpool.cli.look import print_speed_ups
from labpool.cli.options import connect, json_option, url_option
from labpool.cli.output import count_of, print_json, print_table, printable, say
from labpool.cli.progress import follow
from labpool.client import Client, Snapshot, TrialDetail, WaitTimeout


@click.command("bench")
@click.argument("kernel")
@click.option(
    "--sizes",
    multiple=True,
    metavar="[NAME=]VALUES",
    help="1e6, or 1e5,1e6, or 1e6:1e9 (a point a decade), or 256:4096:5 (so many points). NAME is "
    "the size's, needed where a kernel has several; may be repeated.",
)
@click.option("--variant", "variants", help="One, several with commas, or all.")
@click.option(
    "--launch",
    multiple=True,
    metavar="NAME=VALUES",
    help="A launch parameter, such as threads=128,256; may be repeated.",
)
@click.option("--dtype", "dtypes", help="float32, float64 or both with a comma.")
@click.option(
    "--device", "devices", default="any", show_default=True, help="any, cpu, gpu or cpu,gpu."
)
@click.option("--samples", type=click.IntRange(10, 100_000), help="Least number of timed samples.")
@click.option(
    "--source", metavar="FILE", help="CUDA source of your own for it, if you were granted that."
)
@click.option(
    "--watch/--no-watch", "watching", default=True, help="Stay to the end, which is the default."
)
@click.option("--timeout", "timeout_s", type=float, help="Seconds to stay at most.")
@url_option
@json_option
def bench(
    kernel: str,
    sizes: tuple[str, ...],
    variants: str | None,
    launch: tuple[str, ...],
    dtypes: str | None,
    devices: str,
    samples: int | None,
    source: str | None,
    watching: bool,
    timeout_s: float | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Benchmark a KERNEL of the catalog; end with a table and a roofline.

    Several sizes, variants, launch parameters, types or devices make a grid of all combinations.
    The verdict (FAST, SLOW, SAME, AMBIGUOUS) compares with the first line of the same size, type
    and device. Without a GPU a benchmark for one waits, and says so; the trials do not mind Ctrl-C.
    """
    asked = Asked(kernel, sizes, variants, launch, dtypes, devices, samples, source)
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    with connect(url) as client:
        spec = asked.spec(client.catalog()["kernels"])
        for note in asked.notes:
            say(f"Note: {note}")
        submission = client.submit(spec)
        page = client.page(submission.experiment.page_url)
        count = count_of(len(submission.trial_ids), "trial")
        say(f"Experiment {submission.id} with {count}: {page}")
        told = {"experiment": submission.id, "page": page, "kernel": kernel}
        if not watching:
            if as_json:
                print_json({**told, "trials": submission.trial_ids})
            return
        snapshot = _followed(client, submission.id, deadline)
        trials = [client.trial(trial_id) for trial_id in submission.trial_ids]
        names = _device_names(trials)
        speed_ups = client.experiment(submission.id).model_dump(mode="json").get("speed_ups", [])
    lines = lines_of(_timed(trial) for trial in trials if trial.metrics)
    if as_json:
        found = [bench_table.as_json(line) for line in lines]
        rest = {"speed_ups": speed_ups, "not_timed": bench_table.not_timed(trials)}
        print_json({**told, "lines": found, **rest})
    else:
        _print(lines, names)
        print_speed_ups(speed_ups)
    if not snapshot.experiment.succeeded:
        sys.exit(ExitCode.TRIALS_FAILED)


def _followed(client: Client, experiment_id: int, deadline: float | None) -> Snapshot:
    try:
        return follow(client, [experiment_id], deadline)[0]
    except WaitTimeout as error:
        say(f"labpool: {error}")
        sys.exit(ExitCode.TIMED_OUT)


def _print(lines: list[Line], names: dict[int, str]) -> None:
    rows = [bench_table.cells(index, line) for index, line in enumerate(lines)]
    # A column that says nothing of any line is not shown.
    kept = [
        column
        for column in range(len(bench_table.COLUMNS))
        if any(row[column] not in ("", "-") for row in rows)
    ]
    print_table(
        [bench_table.COLUMNS[column] for column in kept],
        [[row[column] for column in kept] for row in rows],
    )
    for text in bench_table.rooflines(lines, names):
        print(printable(text) if text else "")


def _timed(trial: TrialDetail) -> Timed:
    device = trial.ran_on or trial.device
    return Timed(trial.id, device, trial.spec, trial.metrics, trial.summary)


def _device_names(trials: list[TrialDetail]) -> dict[int, str]:
    """What each trial ran on, by name."""
    found: dict[int, str] = {}
    for trial in trials:
        environment = trial.attempts[0].get("environment", {}) if trial.attempts else {}
        if name := environment.get("device_name"):
            found[trial.id] = str(name)
    return found
