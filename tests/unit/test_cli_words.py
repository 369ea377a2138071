"""Words, tables and progress on a terminal."""

from __future__ import annotations

import io

import pytest

from labpool.cli import progress
from labpool.cli.output import duration, print_table, printable
from labpool.cli.progress import PlainView
from labpool.client import Snapshot, Unreachable
from tests.support.cli import FakeClient, line


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


def test_an_estimate_that_changes_is_no_news() -> None:
    stream = io.StringIO()
    view = PlainView(stream)
    for left in ("40 s", "38 s", "1 min 2 s"):
        view.show([], f"Trial 4 waits: 2 are ahead of it; it starts in about {left}.")
    view.show([], "Trial 4 waits: It waits 50 s before the next try: it crashed.")
    view.show([], "Trial 4 waits: It waits 40 s before the next try: it crashed.")
    assert len(stream.getvalue().splitlines()) == 2


class _Restarting(FakeClient):
    """A service that goes away after the first look, and comes back."""

    looks = 0

    def snapshot(self, experiment_id: int) -> Snapshot:
        self.looks += 1
        if self.looks in (2, 3):
            raise Unreachable("http://lab.example", "refused")
        done = self.looks > 3
        found = super().snapshot(experiment_id)
        experiment = found.experiment.model_copy(update={"finished": done})
        return found.model_copy(update={"experiment": experiment})


def test_watching_outlives_a_restart_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LOOK_S", 0.0)
    stream = io.StringIO()
    (last,) = progress.follow(_Restarting(), [7], view=PlainView(stream))
    assert last.experiment.finished
    assert stream.getvalue().count("The service is away; still trying.") == 1


def test_watching_what_never_answers_ends() -> None:
    client = _Restarting()
    client.looks = 1
    with pytest.raises(Unreachable):
        progress.follow(client, [7], view=PlainView(io.StringIO()))
