"""The service's answers as objects. Fields that a newer service adds are kept as they come."""

from __future__ import annotations

from datetime import datetime
from html import escape
from typing import Any

from pydantic import BaseModel, ConfigDict

SUCCEEDED = "succeeded"
FINAL_STATES = frozenset({SUCCEEDED, "failed", "cancelled", "lost", "pruned"})

PENDING = {
    "pause": "pausing after this epoch",
    "stop": "stopping after this epoch",
    "prune": "being pruned",
}


class Record(BaseModel):
    """One answer; `model_dump(mode="json")` gives it back as plain data."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())


class Progress(Record):
    """How far a trial is: `done` of `total`, both in `unit` (epoch or sample)."""

    done: float
    total: float
    unit: str

    @property
    def fraction(self) -> float:
        """Between 0 and 1."""
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0


class Trial(Record):
    """One run of one configuration; `model` names the model, or the kernel of a benchmark."""

    id: int
    number: int
    experiment_id: int
    experiment_name: str | None = None
    owner: str
    kind: str
    state: str
    model: str
    dataset: str | None = None
    device: str
    ran_on: str | None = None
    seed: int
    varied: dict[str, Any] = {}
    progress: Progress | None = None
    metrics: dict[str, float | None] = {}
    seconds: float | None = None
    reason: str | None = None
    cancel_requested: bool = False
    wish: str | None = None
    held: bool = False
    ended_early: bool = False
    page_url: str = ""
    created_at: datetime

    @property
    def finished(self) -> bool:
        """Whether it is in a final state."""
        return self.state in FINAL_STATES

    @property
    def pending(self) -> str:
        """What a trial is about to do on its slot; empty when nothing was asked of it."""
        if self.state == "queued" and self.wish == "stop":
            return "stopping once it has a slot"
        if self.state != "running":
            return ""
        if self.cancel_requested:
            return "cancelling"
        return PENDING.get(self.wish or "", "")

    def _repr_html_(self) -> str:
        return html_table([self])


class Guess(Record):
    """The most probable class of one example."""

    label: int
    probability: float


class Prediction(Record):
    """What a trained model answered: `arrays` by name, each with its `shape` and `values`."""

    id: int
    trial_id: int
    state: str
    form: str
    waiting: str | None = None
    reason: str | None = None
    epoch: int | None = None
    seconds: float | None = None
    arrays: dict[str, dict[str, Any]] = {}
    guesses: list[Guess] = []
    class_names: list[str] = []
    about: dict[str, Any] = {}
    page_url: str = ""

    @property
    def finished(self) -> bool:
        """Whether there is an answer, or there never will be one."""
        return self.state in ("done", "failed")

    @property
    def probabilities(self) -> list[list[float]]:
        """A row of class probabilities for each example; empty for models of another kind."""
        found = self.arrays.get("probabilities")
        return [] if found is None else list(found["values"])

    def name_of(self, label: int) -> str:
        """What class `label` is called; its number where it has no name."""
        return self.class_names[label] if self.class_names else str(label)


class TrialDetail(Trial):
    """One trial with its resolved spec and its attempts."""

    spec: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    waiting: str | None = None
    withheld: str | None = None
    parent_id: int | None = None
    reproduction: dict[str, Any] | None = None
    attempts: list[dict[str, Any]] = []


class TrialList(list[Trial]):
    """Trials that show as a table in a notebook."""

    def _repr_html_(self) -> str:
        return html_table(self)


class Experiment(Record):
    """One submission; `states` counts its trials by state, `asked` what was asked of them.

    After cancel, pause, resume and stop, `changed` counts the trials to which that applied.
    """

    id: int
    name: str | None = None
    kind: str
    owner: str
    tags: list[str] = []
    created_at: datetime
    trial_count: int
    finished_count: int
    finished: bool
    states: dict[str, int] = {}
    asked: dict[str, int] = {}
    changed: int | None = None
    page_url: str = ""

    @property
    def shown_states(self) -> dict[str, int]:
        """`states`, with what was asked of trials in place of their state."""
        shown = dict(self.states)
        for word, count in self.asked.items():
            left = count
            # A waiting trial may be asked to stop, too.
            for state in ("queued",) if word == "held" else ("running", "queued"):
                taken = min(left, shown.get(state, 0))
                shown[state] = shown.get(state, 0) - taken
                left -= taken
        return {**self.asked, **{state: count for state, count in shown.items() if count}}

    @property
    def succeeded(self) -> bool:
        """Whether every trial ended well."""
        return self.finished and self.states.get(SUCCEEDED, 0) == self.trial_count

    def _repr_html_(self) -> str:
        shown = self.shown_states.items()
        states = ", ".join(f"{count} {escape(state)}" for state, count in shown)
        name = escape(self.name or self.kind)
        return f"<p><b>{name}</b> (experiment {self.id}, {escape(self.owner)}): {states}</p>"


class Submission(Record):
    """What a submission made. `replayed` is not told apart: the same key, the same answer."""

    experiment: Experiment
    trial_ids: list[int]
    duplicates: list[dict[str, Any]] = []
    reused: bool = False

    @property
    def id(self) -> int:
        """The experiment's id."""
        return self.experiment.id


class Snapshot(Record):
    """An experiment and its trials at one moment."""

    experiment: Experiment
    trials: list[Trial]


def html_table(trials: list[Trial]) -> str:
    """A table for notebooks; every value is escaped."""
    head = ("trial", "model", "data", "state", "varied", "metrics", "seconds")
    rows = []
    for trial in trials:
        varied = ", ".join(f"{name}={value}" for name, value in trial.varied.items())
        metrics = ", ".join(
            f"{name}={value:.4g}" for name, value in trial.metrics.items() if value is not None
        )
        seconds = "" if trial.seconds is None else f"{trial.seconds:.1f}"
        cells = (trial.id, trial.model, trial.dataset or "", trial.state, varied, metrics, seconds)
        rows.append("".join(f"<td>{escape(str(cell))}</td>" for cell in cells))
    header = "".join(f"<th>{name}</th>" for name in head)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>"
