"""`labpool artifacts`: the files that a trial made, and what its test split showed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from labpool.cli.options import NUMBER, connect, json_option, url_option
from labpool.cli.output import count_of, print_json, print_table, printable, say
from labpool.client import NotThere

_MOST_CONFUSED = 3


@click.command("artifacts")
@click.argument("trial", type=NUMBER)
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Save them in this folder, each sha256 checked.",
)
@click.option(
    "--only", multiple=True, help="Only the one of this name; may be given several times."
)
@url_option
@json_option
def artifacts(
    trial: int, folder: Path | None, only: tuple[str, ...], url: str | None, as_json: bool
) -> None:
    """List the pictures and tables that TRIAL made, or save them."""
    with connect(url) as client:
        found = [one for one in client.artifacts(trial) if not only or one["name"] in only]
        missing = sorted(set(only) - {one["name"] for one in found})
        if missing:
            raise NotThere(f"Trial {trial} made no file {missing[0]!r}.")
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            for one, name in zip(found, file_names(found), strict=True):
                client.download_artifact(one, folder / name)
            say(f"{count_of(len(found), 'file')} saved in {folder}.")
    if as_json:
        print_json(found)
    elif folder is None:
        rows = ((one["name"], one["media_type"], one["size_bytes"]) for one in found)
        print_table(("name", "type", "bytes"), rows)


def file_names(found: list[dict[str, Any]]) -> list[str]:
    """A harmless name on this machine for each file, no two the same."""
    names: list[str] = []
    for one in found:
        kept = "".join(
            c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in one["name"]
        )
        name = kept.lstrip(".")[:120] or "file"
        names.append(f"{one['id']}-{name}" if name in names else name)
    return names


def examined_lines(summary: Mapping[str, Any]) -> list[str]:
    """What `show --trial` says of a classifier's test split; nothing for other results."""
    examined = summary.get("examined")
    try:
        return [] if examined is None else [printable(line) for line in _lines(examined)]
    except (KeyError, TypeError, ValueError):
        # Of another version of labpool; --json has it as it is.
        return []


def _lines(examined: Any) -> Iterator[str]:
    yield f"{examined['tested'] - examined['wrong']} of {examined['tested']} examples named right"
    for true, given, count in _most_confused(examined.get("confusion") or []):
        yield f"{true} taken for {given}: {count}"
    for one in examined["mistakes"][:_MOST_CONFUSED]:
        sure = f"with {100 * one['probability']:.1f} %"
        yield f"example {one['place']}: a {one['true']} taken for {one['given']} {sure}"


def _most_confused(confusion: list[list[int]]) -> list[tuple[int, int, int]]:
    pairs = [
        (true, given, count)
        for true, counts in enumerate(confusion)
        for given, count in enumerate(counts)
        if count and true != given
    ]
    return sorted(pairs, key=lambda pair: -pair[2])[:_MOST_CONFUSED]
