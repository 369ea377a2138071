"""Words, tables and progress on a terminal."""

from __future__ import annotations

import io

import pytest

from labpool.cli.output import duration, print_table, printable
from labpool.cli.progress import PlainView
from tests.support.cli import line


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.25, "0.2 s"), (59, "59 s"), (125, "2 min 5 s"), (3780, "1 h 3 min")],
)
def test_durations_are_words(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_tables_align_and_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("n", "text"), [(1, "a" * 200), (100, None)])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["  n  text", f"  1  {'a' * 200}", "100  -"]


def test_control_characters_do_nothing() -> None:
    assert printable("a\x1b[2Jb\u202e\tc") == "a�[2Jb�\tc"


def test_plain_progress_says_only_what_changed() -> None:
    stream = io.StringIO()
    with PlainView(stream) as view:
        for done in (0, 1, 2, 3, 9):
            progress = {"done": done, "total": 12, "unit": "epoch"}
            view.show([line(state="running", progress=progress)], "")
        view.show([line()], "")
        view.show([line()], "")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert "epoch 3 of 12, loss 0.5, val_accuracy 0.9, 12 s left" in lines[1]
    assert lines[-1].endswith("succeeded (loss 0.5, val_accuracy 0.9, 12 s left, in 12 s)")


def test_plain_progress_tells_of_a_pause_once() -> None:
    stream = io.StringIO()
    with PlainView(stream) as view:
        for wish in (None, "pause", "pause", None):
            view.show([line(state="running", wish=wish)], "")
    lines = stream.getvalue().splitlines()
    assert ["pausing after this epoch" in text for text in lines] == [False, True, False]
