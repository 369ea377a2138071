"""`labpool data`: the data sets of the catalog."""

from __future__ import annotations

from typing import Any

import click

from labpool.cli.data_files import data_fetch, data_import, data_verify, state_here
from labpool.cli.data_uploads import data_rm, data_share, data_upload, data_uploads
from labpool.cli.options import connect, json_option, url_option
from labpool.cli.output import number, print_json, print_table, printable
from labpool.cli.server import handed_on
from labpool.client import NotThere


@click.group("data")
def data() -> None:
    """Data sets: list and show them, and bring their files to this machine."""


data_preview = handed_on(
    "preview", "previews", "Draw the data sets for the pages, each in a process of its own."
)
for command in (
    data_preview,
    data_fetch,
    data_import,
    data_verify,
    data_upload,
    data_uploads,
    data_share,
    data_rm,
):
    data.add_command(command)


@data.command("ls")
@url_option
@json_option
def data_ls(url: str | None, as_json: bool) -> None:
    """List the data sets."""
    with connect(url) as client:
        found = client.catalog()["datasets"]
    if as_json:
        print_json([{**entry, "here": state_here(entry)} for entry in found])
        return
    print_table(
        ("name", "kind", "shape", "classes", "examples", "tasks", "here", "licence", "title"),
        (
            (
                entry["name"],
                entry["details"]["kind"],
                shape_of(entry),
                count_of(entry, "classes"),
                count_of(entry, "examples"),
                tasks_of(entry),
                state_here(entry),
                entry["details"]["license"],
                entry["title"],
            )
            for entry in found
        ),
    )


@data.command("show")
@click.argument("name")
@url_option
@json_option
def data_show(name: str, url: str | None, as_json: bool) -> None:
    """Show data set NAME with its source, its split and its parameters."""
    with connect(url) as client:
        found = {entry["name"]: entry for entry in client.catalog()["datasets"]}
    if name not in found:
        raise NotThere(f"The catalog's data sets are {', '.join(found) or 'none'}, not {name!r}.")
    if as_json:
        print_json(found[name])
    else:
        _print_dataset(found[name])


def shape_of(entry: dict[str, Any]) -> str:
    """28 × 28 × 1"""
    return " × ".join(str(length) for length in entry["details"]["shape"])


def count_of(entry: dict[str, Any], name: str) -> str:
    """How many classes or examples; `2000 (a parameter)` where a spec may choose."""
    details = entry["details"]
    if name == "examples" and details.get("files"):
        return str(sum(details["files"]["counts"]))
    if name in details["parameters"]:
        return f"{details['parameters'][name]['default']} (a parameter)"
    return str(details.get(name) or "-")


def tasks_of(entry: dict[str, Any]) -> str:
    """What models can learn from it: classification, localisation"""
    return ", ".join(entry["details"].get("tasks", ["classification"]))


def _split_text(splits: dict[str, Any]) -> str:
    if splits.get("undivided"):
        return "none: training, validation and test are all the same examples"
    train = 1 - splits["validation"] - splits["test"]
    fixed = ", the authors' own test set" if splits.get("test_is_last") else ""
    return (
        f"{train:.0%} train, {splits['validation']:.0%} validation, "
        f"{splits['test']:.0%} test, by seed {splits['seed']}{fixed}"
    )


def _print_dataset(entry: dict[str, Any]) -> None:
    details = entry["details"]
    facts = {
        "kind": details["kind"],
        "shape": shape_of(entry),
        "classes": count_of(entry, "classes"),
        "examples": count_of(entry, "examples"),
        "tasks": tasks_of(entry),
        "split": _split_text(details["splits"]),
        "here": state_here(entry),
        "licence": details["license"],
        "source": details["source"],
        "digest": entry["digest"],
    }
    print(f"{printable(entry['name'])}: {printable(entry['title'])}")
    print(f"{printable(entry['summary'])}\n")
    for label, text in facts.items():
        print(f"{label:9} {printable(text)}")
    if details["parameters"]:
        print("\nparameters, given in a spec as dataset_parameters:")
        print_table(
            ("name", "type", "default", "from", "to", "meaning"),
            (
                (
                    name,
                    item["type"],
                    item["default"],
                    number(item.get("minimum"), 10),
                    number(item.get("maximum"), 10),
                    item.get("meaning"),
                )
                for name, item in details["parameters"].items()
            ),
        )
