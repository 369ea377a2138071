"""`python -m deploy.reference`: write every command and option into docs/command-line.md.

The page's words are written by hand; what stands between its two marks comes from the commands
themselves, and a test fails when the two differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from deploy import admin, demo, up, worker
from deploy.child import ROOT
from labpool.cli import main as labpool
from labpool.cli.exit_codes import MEANINGS

PAGE = ROOT / "docs" / "command-line.md"
BEGIN = "<!-- written by python -m deploy.reference -->"
END = "<!-- end of what is written -->"
# `labpool` hands these on to the server's code, which knows their options.
HANDED_ON: dict[str, click.Command] = {
    "up": up.main,
    "demo": demo.main,
    "worker": worker.main,
    "user": admin.user,
    "token": admin.token,
}


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with its whole name, groups before what is in them."""
    for name, command in labpool.commands.items():
        yield from _below(f"labpool {name}", HANDED_ON.get(name, command))


def reference() -> str:
    """The commands, their options and the exit statuses as Markdown."""
    parts = [_section(name, command) for name, command in commands()]
    statuses = [f"| {int(code)} | {_sentence(meaning)} |" for code, meaning in MEANINGS.items()]
    table = "\n".join(["| status | meaning |", "| ---: | --- |", *statuses])
    return "\n\n".join([*parts, "## Exit statuses\n" + table])


def page_with_reference(text: str) -> str:
    """The page with its marked part as it should be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{reference()}\n\n{END}{after}"


def _below(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for part in command.commands.values():
            yield from _below(f"{name} {part.name}", part)


def _section(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    words = " ".join((command.help or "").split("\n\n", 1)[0].split())
    more = [" ".join(part.split()) for part in (command.help or "").split("\n\n")[1:]]
    lines = [f"## {name}", "\n\n".join([words, *more]), "", f"    {usage}"]
    options = [
        option.get_help_record(context)
        for option in command.params
        if isinstance(option, click.Option) and not option.hidden
    ]
    rows = [f"| `{flags}` | {_cell(text)} |" for flags, text in filter(None, options)]
    if rows:
        lines += ["", "| option | meaning |", "| --- | --- |", *rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def main() -> None:
    """Write the page anew."""
    path = Path(PAGE)
    path.write_text(page_with_reference(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
