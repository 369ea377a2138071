"""docs/command-line.md says what the commands themselves say."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from deploy import doctor
from deploy.reference import BEGIN, END, HANDED_ON, PAGE, commands, page_with_reference
from labpool.cli import main
from labpool.cli import server as handed_on

TEXT = PAGE.read_text(encoding="utf-8")
WRITTEN = TEXT.partition(BEGIN)[2].partition(END)[0]


def session() -> list[list[str]]:
    """The commands of the page's example, as words."""
    (block,) = re.findall(r"## A session\n.*?```sh\n(.*?)```", TEXT, re.DOTALL)
    return [shlex.split(line) for line in block.splitlines()]


def test_the_page_is_up_to_date() -> None:
    assert page_with_reference(TEXT) == TEXT, "write it anew: python -m deploy.reference"


def test_the_check_can_fail() -> None:
    assert page_with_reference(TEXT.replace("`--watch`", "`--wach`")) == TEXT
    assert TEXT.replace("`--watch`", "`--wach`") != TEXT


def test_every_command_and_flag_is_there() -> None:
    sections = dict(
        re.findall(r"^## (labpool .*?)\n(.*?)(?=^## )", WRITTEN, re.MULTILINE | re.DOTALL)
    )
    known = dict(commands())
    assert set(sections) == set(known)
    for name, command in known.items():
        flags = {
            flag
            for option in command.params
            if isinstance(option, click.Option)
            for flag in (*option.opts, *option.secondary_opts)
        }
        assert set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", _table(sections[name]))) == flags, name


def _table(section: str) -> str:
    return "\n".join(re.findall(r"^\| `(.*?)` \|", section, re.MULTILINE))


def test_every_flag_says_what_it_does() -> None:
    for name, command in commands():
        assert command.help, name
        for option in command.params:
            assert not isinstance(option, click.Option) or option.help, (name, option.name)


def test_whatever_is_handed_on_is_described_by_its_own_options() -> None:
    passing = {
        name
        for name, command in main.commands.items()
        if command.context_settings == handed_on.PASS_ON
    }
    assert passing == set(HANDED_ON)


@pytest.mark.parametrize("words", session(), ids=" ".join)
def test_every_example_is_written_as_its_command_says(words: list[str]) -> None:
    known = dict(commands())
    name = " ".join(words[:3]) if " ".join(words[:3]) in known else " ".join(words[:2])
    arguments = words[len(name.split()) :]
    known[name].make_context(name, arguments)


def test_the_session_shows_every_reading_command() -> None:
    shown = {words[1] for words in session()}
    # A priority wants a trial that waits, which the session, typed against idle slots, never has.
    # To extend wants a sweep that draws its trials; tests/contracts/test_lengthening.py has some.
    assert set(main.commands) - shown == {"up", "demo", "worker", "doctor", "priority", "extend"}


def test_the_doctor_has_the_same_options_with_and_without_click(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        doctor.main(["--help"])
    own = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert own == {flag for option in main.commands["doctor"].params for flag in option.opts}
