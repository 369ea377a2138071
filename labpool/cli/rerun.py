"""`labpool rerun`: run a trial again, and what `labpool show` says of it then."""

from __future__ import annotations

from typing import Any

import click

from labpool.cli.options import NUMBER, connect, json_option, url_option
from labpool.cli.output import number as shown
from labpool.cli.output import print_json, print_table, printable
from labpool.cli.watch import watch_experiments
from labpool.reproduction import Compared, Reproduction
from labpool.reproduction_text import summary_of


@click.command("rerun")
@click.argument("trial", type=NUMBER)
@click.option(
    "--with-todays-code", is_flag=True, help="Also when the catalog has changed since it ran."
)
@click.option("--watch", "watching", is_flag=True, help="Stay, and say at the end how it compares.")
@url_option
@json_option
def rerun(
    trial: int, with_todays_code: bool, watching: bool, url: str | None, as_json: bool
) -> None:
    """Run TRIAL again with its seed and code, and say whether it comes to the same.

    It is an experiment of yours, whoever ran the first. `labpool show --trial` says how both
    compare.
    """
    with connect(url) as client:
        made = client.rerun(trial, with_todays_code)
        if as_json:
            print_json(made)
        else:
            changed = f", though {printable(' and '.join(made['changed']))}" * bool(made["changed"])
            page = client.page(made["page_url"])
            print(f"Trial {made['trial_id']} runs trial {trial} again{changed}: {page}")
        if not watching:
            return
        watch_experiments(client, [made["experiment_id"]])
        detail = client.trial(made["trial_id"])
        if detail.reproduction is not None and not as_json:
            print_reproduction(detail.reproduction, trial)


def print_reproduction(found: dict[str, Any], first_id: int) -> None:
    """The verdict, what may be why, and the metrics that lie elsewhere."""
    pairs = tuple(Compared(**pair) for pair in found["metrics"])
    record = Reproduction(found["verdict"], found["seeds"], pairs, tuple(found["reasons"]))
    print(printable(summary_of(record, first_id)))
    for reason in record.reasons:
        print(f"  {printable(reason)}")
    missed = [pair for pair in pairs if not pair.within]
    if missed:
        values = ((pair.first, pair.again, pair.low, pair.high) for pair in missed)
        print_table(
            ("metric", "first", "again", "low", "high"),
            (
                (pair.name, *(shown(part, 6) for part in parts))
                for pair, parts in zip(missed, values, strict=True)
            ),
        )
