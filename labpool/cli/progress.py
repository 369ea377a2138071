"""Progress of experiments on a terminal (live bars) or in a log (a line a change)."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from labpool.cli.output import amount, duration, number, pairs, printable
from labpool.client import Client, ClientError, Curves, Snapshot, Trial, WaitTimeout
from labpool.client.errors import is_away

LOOK_S = 0.5
REASON_EVERY_S = 5.0
LIVE_ROWS = 24
# The first of these that a trial has measured says how well it does.
TELLING = (
    "test_iou", "val_iou", "iou", "test_accuracy", "val_accuracy", "accuracy", "median_ms",
)  # fmt: skip
AWAY = "The service is away; still trying. The trials go on by themselves."
# An estimate changes with every look: only what is said beside it is news.
TIMES = re.compile(r"it starts\b.*|[\d.,]+ (s|min|h)\b", re.IGNORECASE | re.DOTALL)
COLOURS = {"succeeded": "green", "failed": "red", "lost": "red", "running": "cyan"}


@dataclass(frozen=True, slots=True)
class Line:
    """What is shown of one trial."""

    trial: Trial
    loss: float | None
    metric: tuple[str, float] | None
    left_s: float | None

    @property
    def what(self) -> str:
        """Model and what varies, in words."""
        varied = pairs(self.trial.varied)
        return printable(f"{self.trial.model} {varied}" if varied else self.trial.model)

    @property
    def done(self) -> str:
        """epoch 3 of 10"""
        progress = self.trial.progress
        if progress is None:
            return ""
        return f"{progress.unit} {amount(progress.done)} of {amount(progress.total)}"

    @property
    def measured(self) -> str:
        """loss 0.12, val_accuracy 0.97"""
        parts = [] if self.loss is None else [f"loss {number(self.loss)}"]
        if self.metric is not None:
            parts.append(f"{self.metric[0]} {number(self.metric[1])}")
        return ", ".join(parts)


class Observer:
    """Turns snapshots into lines, asking for the running trials' newest points only."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._curves: dict[int, Curves] = {}
        self._reason = ""
        self._reason_at = 0.0

    def lines(self, snapshots: Iterable[Snapshot]) -> list[Line]:
        """A line for each trial."""
        return [self._line(trial) for snapshot in snapshots for trial in snapshot.trials]

    def waiting(self, snapshots: Iterable[Snapshot]) -> str:
        """Why the first waiting trial waits."""
        queued = [
            trial
            for snapshot in snapshots
            for trial in snapshot.trials
            if trial.state in ("queued", "paused")
        ]
        if not queued:
            return ""
        if time.monotonic() - self._reason_at > REASON_EVERY_S:
            self._reason_at = time.monotonic()
            reason = self._client.trial(queued[0].id).waiting or ""
            self._reason = f"Trial {queued[0].id} waits: {printable(reason)}" if reason else ""
        return self._reason

    def _line(self, trial: Trial) -> Line:
        if trial.finished:
            self._curves.pop(trial.id, None)
            return Line(trial, None, _telling(trial.metrics), None)
        if trial.state != "running":
            return Line(trial, None, None, None)
        curves = self._client.curves(trial.id, into=self._curves.get(trial.id))
        self._curves[trial.id] = curves
        newest = {name: _newest(curve.values) for name, curve in curves.items()}
        return Line(trial, newest.get("loss"), _telling(newest), _left_s(trial))


class View(Protocol):
    """Something that shows lines as they change."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def show(self, lines: Sequence[Line], waiting: str) -> None:
        """Show the present state of all trials."""


class PlainView:
    """A line when a trial changes its state or gets a quarter further."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown: dict[int, tuple[str, int, str]] = {}
        self._reason = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def show(self, lines: Sequence[Line], waiting: str) -> None:
        """Print what changed since the last call."""
        for line in lines:
            progress = line.trial.progress
            quarter = int(4 * progress.fraction) if progress and not line.trial.finished else 0
            state = (line.trial.state, quarter, line.trial.pending)
            if self._shown.get(line.trial.id) != state:
                self._shown[line.trial.id] = state
                self._print(line)
        lasting = _without_times(waiting)
        if waiting and lasting != self._reason:
            self._reason = lasting
            print(waiting, file=self._stream, flush=True)

    def _print(self, line: Line) -> None:
        trial = line.trial
        left = f"{duration(line.left_s)} left" if line.left_s is not None else ""
        took = f"in {duration(trial.seconds)}" if trial.finished and trial.seconds else ""
        done = "" if trial.finished else line.done
        reason = printable(trial.reason) if trial.reason and trial.state != "succeeded" else ""
        facts = ", ".join(filter(None, (trial.pending, done, line.measured, left, took, reason)))
        text = f"trial {trial.id} {line.what}: {trial.state}"
        print(f"{text} ({facts})" if facts else text, file=self._stream, flush=True)


class LiveView:
    """Bars that move, redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, lines: Sequence[Line], waiting: str) -> None:
        """Redraw; of many trials those that run and the newest ended come first."""
        order = {"running": 0, "queued": 2, "paused": 2}
        shown = sorted(lines, key=lambda line: order.get(line.trial.state, 1))[:LIVE_ROWS]
        shown.sort(key=lambda line: line.trial.id)
        table = Table.grid(padding=(0, 2))
        for line in shown:
            table.add_row(*self._cells(line))
        if len(lines) > len(shown):
            table.add_row("", f"… and {len(lines) - len(shown)} more", "", "", "", "")
        # Below the table: in a column of it the words would be broken into many lines.
        below = [Text(waiting, style="dim")] if waiting else []
        self._live.update(Group(table, *below), refresh=True)

    def _cells(self, line: Line) -> tuple[str | Text | ProgressBar, ...]:
        trial = line.trial
        progress = trial.progress
        whole = trial.state == "succeeded" and not trial.ended_early
        fraction = 1.0 if whole else progress.fraction if progress else 0.0
        left = line.left_s if not trial.finished else trial.seconds
        time_text = "" if left is None else duration(left) + ("" if trial.finished else " left")
        return (
            str(trial.id),
            Text(line.what),
            ProgressBar(total=1.0, completed=fraction, width=20),
            Text(trial.pending or trial.state, style=COLOURS.get(trial.state, "")),
            Text(line.measured),
            Text(time_text),
        )


def make_view(stream: TextIO | None = None) -> View:
    """Live bars on a terminal, lines elsewhere; on stderr by default."""
    stream = stream or sys.stderr
    console = Console(file=stream)
    return LiveView(console) if console.is_terminal else PlainView(stream)


def follow(
    client: Client,
    experiments: Sequence[int],
    deadline: float | None = None,
    view: View | None = None,
) -> list[Snapshot]:
    """Show progress until every trial of the experiments has ended; the last snapshots.

    Raises WaitTimeout when `time.monotonic()` passes `deadline`.
    """
    observer = Observer(client)
    snapshots: list[Snapshot] = []
    lines: list[Line] = []
    with view or make_view() as shown:
        while True:
            try:
                snapshots = [client.snapshot(number) for number in experiments]
                lines = observer.lines(snapshots)
                shown.show(lines, observer.waiting(snapshots))
            except ClientError as error:
                # An address that never answered is more likely wrong than away.
                if not (snapshots and is_away(error)):
                    raise
                shown.show(lines, AWAY)
            else:
                if all(snapshot.experiment.finished for snapshot in snapshots):
                    return snapshots
            if deadline is not None and time.monotonic() > deadline:
                unfinished = [
                    str(item.experiment.id) for item in snapshots if not item.experiment.finished
                ]
                raise WaitTimeout(f"Not finished: experiment {', '.join(unfinished)}.")
            time.sleep(LOOK_S)


def _without_times(reason: str) -> str:
    return TIMES.sub("", reason)


def _newest(values: Sequence[float | None]) -> float | None:
    return next((value for value in reversed(values) if value is not None), None)


def _telling(metrics: dict[str, float | None]) -> tuple[str, float] | None:
    for name in TELLING:
        value = metrics.get(name)
        if value is not None:
            return name, value
    return None


def _left_s(trial: Trial) -> float | None:
    """From the mean pace so far; None before there is one."""
    progress = trial.progress
    if progress is None or not trial.seconds or progress.fraction < 0.02:
        return None
    return trial.seconds * (1 / progress.fraction - 1)
