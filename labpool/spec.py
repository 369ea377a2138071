"""What a person may ask for. A spec is data, never code.

The models here hold a spec's form; what the catalog adds (which models there are, what they may be
given) is checked by ``labpool.planning``, so that this module needs no catalog.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, TypeAdapter, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from labpool.catalog import DataType
from labpool.fusing import Fuse
from labpool.model_form import Optimizer
from labpool.origins import TrialReference
from labpool.parameters import LARGEST
from labpool.strategy_form import Objective, Strategy
from labpool.strict import Seed, StrictForm

Device = Literal["any", "cpu", "gpu"]
Priority = Literal["low", "normal", "high"]
Engine = Literal["loop", "fit"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=63)]
DatasetName = Annotated[
    str, Field(pattern=r"^([a-z][a-z0-9._-]*/)?[a-z][a-z0-9_]*$", max_length=127)
]
Title = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]+$")]
TagText = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$", max_length=40)]
LayerName = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]+$")]
LayerNames = Annotated[list[LayerName], Field(max_length=256)]
# Lists of numbers are widths, lists of words are names of layers.
Scalar = bool | int | float | str | list[int | str]

# `labpool.devices` makes a sweep of a list, before any form sees it.
_DEVICE = {"type": "string", "enum": ["any", "cpu", "gpu"]}
_DEVICES = {"anyOf": [_DEVICE, {"type": "array", "items": _DEVICE, "uniqueItems": True}]}
MOST_AXES = 16
MOST_REPEATS = 50
DAY_S = 24 * 3600.0


class _Described(StrictForm):
    name: Title | None = Field(default=None, description="What people call it.")
    notes: Annotated[str, Field(max_length=4000)] = Field(
        default="", description="Anything worth remembering."
    )
    tags: Annotated[list[TagText], Field(max_length=20)] = Field(
        default=[], description="Words to find it by."
    )


class _Runnable(_Described):
    device: Annotated[Device, WithJsonSchema(_DEVICES)] = Field(
        default="any",
        description="What it may run on. A gpu spec never falls back to the CPU. "
        "[cpu, gpu] runs it on each, to compare.",
    )
    seed: Seed = Field(default=0, description="Seed of everything random.")
    time_limit_s: Annotated[float, Field(ge=1, le=14 * DAY_S)] = Field(
        default=3600.0, description="Longest run in seconds."
    )
    stall_limit_s: Annotated[float, Field(ge=1, le=DAY_S)] = Field(
        default=600.0, description="Longest time in seconds without progress."
    )
    priority: Priority = Field(
        default="normal",
        description="low gives way to everybody; high goes first and is for administrators.",
    )


class TrainSpec(_Runnable):
    """One training run of a catalog model on a catalog data set."""

    kind: Literal["train"]
    model: Name = Field(description="A model of the catalog.")
    parameters: dict[str, Any] = Field(default={}, description="The model's own parameters.")
    dataset: DatasetName | None = Field(
        default=None,
        description="A data set of the catalog, or an upload as owner/name; left out for a model "
        "without data.",
    )
    dataset_parameters: dict[str, Any] = Field(
        default={}, description="The data set's own parameters."
    )
    optimizer: Optimizer | None = Field(
        default=None, description="How weights are updated; the model's choice when left out."
    )
    learning_rate: Annotated[float, Field(gt=0, le=100)] | None = Field(
        default=None, description="Step size of the optimizer."
    )
    learning_rate_decay: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="Factor on the learning rate after each epoch; 1 keeps it."
    )
    batch_size: Annotated[int, Field(ge=1, le=65536)] | None = Field(
        default=None, description="Examples a step."
    )
    epochs: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None, description="Passes through the training split."
    )
    early_stopping_patience: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None, description="Stop after this many epochs without a better validation."
    )
    checkpoint_every_epochs: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=1, description="Epochs between two checkpoints."
    )
    repeat: Annotated[int, Field(ge=1, le=MOST_REPEATS)] = Field(
        default=1, description="How many trials, each with the next seed: seed, seed + 1, ..."
    )
    fuse: Fuse | None = Field(
        default=None,
        description="How many of the trials that are alike to train together as one program: off "
        "(if nothing is said), auto, or a number. Alike are those that differ in no more than "
        "learning rate, decay, seed and dropout.",
    )
    engine: Engine = Field(
        default="loop", description="What trains: labpool's own loop, or Keras's fit to compare."
    )
    init_from: TrialReference | None = Field(
        default=None, description="Begin with the best weights of this trial."
    )
    fresh: LayerNames = Field(
        default=[],
        description="Layers that begin anew all the same, as the output layer may have to.",
    )
    freeze: LayerNames = Field(default=[], description="Layers that do not learn.")


class BenchmarkSpec(_Runnable):
    """One timing of a catalog kernel."""

    kind: Literal["benchmark"]
    kernel: Name = Field(description="A kernel of the catalog.")
    variant: Name | None = Field(
        default=None, description="Which of the kernel's sources; its first when left out."
    )
    sizes: dict[str, Any] = Field(default={}, description="The kernel's sizes.")
    dtype: DataType | None = Field(
        default=None, description="Element type; the kernel's first when left out."
    )
    launch: dict[str, Any] = Field(default={}, description="The kernel's launch parameters.")
    samples: Annotated[int, Field(ge=10, le=100_000)] = Field(
        default=30, description="Least number of timed samples."
    )
    source: Annotated[str, Field(min_length=1, max_length=65536)] | None = Field(
        default=None,
        description="CUDA source of your own for the kernel's signature, if you were granted it; "
        "in a file for `labpool submit`: '@file.cu'.",
    )


End = Annotated[int, Field(ge=-LARGEST, le=LARGEST)] | float


class Range(StrictForm):
    """Values between two numbers. Whole numbers stay whole when both ends are."""

    low: End
    high: End
    scale: Literal["linear", "log"] = "linear"
    steps: Annotated[int, Field(ge=2, le=1000)] | None = Field(
        default=None, description="How many values a grid takes, both ends included."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low < self.high:
            raise PydanticCustomError("range_order", "low must be less than high.")
        if self.scale == "log" and self.low <= 0:
            raise PydanticCustomError("range_log", "a log scale needs low above 0.")
        return self


def _axis_form(value: Any) -> str:
    return "range" if isinstance(value, dict | Range) else "values"


Axis = Annotated[
    Annotated[list[Scalar], Field(min_length=1, max_length=1000), Tag("values")]
    | Annotated[Range, Tag("range")],
    Discriminator(_axis_form),
]
Base = Annotated[TrainSpec | BenchmarkSpec, Field(discriminator="kind")]


class SweepSpec(_Described):
    """Many trials from one base: hyperparameters of a training run, or sizes of a benchmark."""

    kind: Literal["sweep"]
    base: Base = Field(description="The spec that each trial varies.")
    strategy: Strategy
    objective: Objective | None = Field(
        default=None,
        description="What the search goes by; what the model is judged by when left out.",
    )
    fuse: Fuse | None = Field(
        default=None,
        description="How many of the trials that are alike to train together as one program; what "
        "the base says of it gives way.",
    )
    budget_slot_seconds: Annotated[float, Field(gt=0, le=1e12)] | None = Field(
        default=None, description="No trial begins or goes on once the sweep has used so much."
    )
    space: Annotated[dict[str, Axis], Field(min_length=1, max_length=MOST_AXES)] = Field(
        description="Dotted path in the base, such as learning_rate or parameters.units, to values."
    )


Spec = Annotated[TrainSpec | SweepSpec | BenchmarkSpec, Field(discriminator="kind")]
SPEC: TypeAdapter[TrainSpec | SweepSpec | BenchmarkSpec] = TypeAdapter(Spec)
FORMS: dict[str, type[TrainSpec | SweepSpec | BenchmarkSpec]] = {
    "train": TrainSpec,
    "sweep": SweepSpec,
    "benchmark": BenchmarkSpec,
}


def spec_schema() -> dict[str, Any]:
    """The published JSON Schema (draft 2020-12) of a spec."""
    draft = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": draft, "title": "labpool spec", **SPEC.json_schema()}
