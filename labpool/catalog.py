"""The catalog: folders and TOML files that say what can be run.

Reading it never imports an entry's code; that is done by the runner process alone, after it has
compared the entry's digest with the one that the trial was made from.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from labpool.boards import Baseline, PointField, Wanted, Window, require_points, with_defaults
from labpool.dataset_form import Ink, Splits, Undivided
from labpool.errors import CatalogError
from labpool.model_form import Judging, ModelInput, Pictures, TrainingDefaults
from labpool.parameters import Parameter, Size
from labpool.program_form import Hyperparameter, Program
from labpool.sources import Files

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")

Task = Literal["classification", "localisation", "segmentation"]
ModelTask = Literal["classification", "localisation", "segmentation", "control"]
"""What a model may be for; there are no targets for control, and so no data sets."""
DataType = Literal["float32", "float64"]


class Entry(BaseModel):
    """What every entry says of itself. ``path`` is its folder, or its TOML file if it has none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    path: Path
    digest: str
    title: str
    summary: str
    slide: str = ""


class ModelEntry(Entry):
    """What can be trained: ``models/<name>/{model.toml, model.py}``.

    It is a network, which labpool trains, unless it has a ``program`` and trains itself.
    """

    task: ModelTask = "classification"
    framework: Literal["keras", "numpy"] = "keras"
    input: ModelInput
    program: Program | None = None
    judging: Judging = Judging()
    pictures: Pictures | None = None
    parameters: dict[str, Parameter] = {}
    defaults: TrainingDefaults = TrainingDefaults()

    @property
    def needs_data(self) -> bool:
        """Whether a spec must name a data set; otherwise it must name none."""
        return self.input.kind != "none"

    @property
    def heeds(self) -> frozenset[Hyperparameter]:
        """The hyperparameters that change what this model learns."""
        every: tuple[Hyperparameter, ...] = get_args(Hyperparameter)
        return frozenset(every if self.program is None else self.program.uses)

    @model_validator(mode="after")
    def _programs_and_networks_differ(self) -> Self:
        if self.program is None and not self.needs_data:
            raise ValueError("input.kind: only a program (the table [program]) works without data.")
        if (self.program is None) == (self.framework == "numpy"):
            raise ValueError("framework: numpy is what a [program] has, and nothing else.")
        if self.program is not None and self.pictures is not None:
            raise ValueError("pictures: only networks draw as they train; leave it out.")
        every = set(get_args(Hyperparameter))
        idle = sorted(self.defaults.model_fields_set & every - self.heeds)
        if idle:
            raise ValueError(f"defaults.{idle[0]}: the program does not use it; see program.uses.")
        return self

    @model_validator(mode="after")
    def _other_tasks_say_what_they_need(self) -> Self:
        if self.task == "classification":
            return self
        if self.task == "control":
            takes, kind = "meets a world of its own", "none"
        else:
            takes, kind = "takes images", "image"
        if self.input.kind != kind:
            raise ValueError(f"input.kind: a model for {self.task} {takes}, so say {kind}.")
        if self.program is not None and self.task != "control":
            raise ValueError(f"task: a program is given no targets for {self.task}.")
        if "metrics" not in self.judging.model_fields_set:
            raise ValueError(
                f"judging.metrics: a model for {self.task} declares its metrics; accuracy is what "
                "classification is judged by."
            )
        return self


class DatasetEntry(Entry):
    """A data set: ``datasets/<name>.toml`` with ``<name>.py`` beside it.

    ``tasks`` says which targets its examples have: class numbers, boxes, masks.
    """

    tasks: list[Task] = Field(default=["classification"], min_length=1)
    kind: Literal["image", "vector"]
    shape: tuple[int, ...]
    classes: int = Field(ge=2)
    ink: Ink | None = None
    source: str
    license: str
    splits: Splits | Undivided
    files: Files | None = None
    class_names: list[str] = []
    parameters: dict[str, Parameter] = {}

    @model_validator(mode="before")
    @classmethod
    def _has_tasks(cls, content: Any) -> Any:
        # What data sets had while there was one task only.
        if isinstance(content, dict) and "task" in content:
            raise ValueError(f"task: write tasks = [{content['task']!r}], a list.")
        return content

    @model_validator(mode="after")
    def _only_pictures_have_places(self) -> Self:
        if self.kind != "image" and set(self.tasks) != {"classification"}:
            raise ValueError(f"tasks: {self.kind} data have no boxes and no masks; images do.")
        return self


class KernelEntry(Entry):
    """A benchmark: ``kernels/<name>/{kernel.toml, kernel.cu, reference.py}``."""

    variants: dict[str, str] = Field(min_length=1)
    """What there is to choose from and what each does; the first is the default."""
    dtypes: list[DataType] = Field(min_length=1)
    tolerance: dict[DataType, float]
    sizes: dict[str, Size]
    launch: dict[str, Size] = {}


class BoardEntry(Entry):
    """A leaderboard: ``boards/<name>.toml``. ``where`` is matched with the spec of each trial; a
    list holds values of which any will do. The parameters of the data set that it names have their
    defaults where it says nothing of them.

    It may name what the catalog does not have yet; the board is empty then. ``device`` is what a
    result was made on. Of several results of a person's one configuration with one seed, ``rule``
    says which counts: the best, the last, or all, each as a row of its own.

    With ``per`` it is an autotuner's: for each combination of these fields of the spec (and of
    ``device_name``, what the device is called) it has one row, the best of all that was tried.
    ``example`` names a spec of the checkout that would fill it.
    """

    kind: Literal["train", "benchmark"]
    metric: str
    unit: str = ""
    direction: Literal["maximize", "minimize"]
    rule: Literal["best", "last", "all"] = "best"
    device: Literal["cpu", "gpu"] | None = None
    per: list[PointField] = Field(default=[], max_length=8)
    example: str = Field(default="", pattern=r"^([A-Za-z0-9_-]+/)*[A-Za-z0-9_-]+\.yaml$|^$")
    where: dict[str, Wanted] = {}
    window: Window = Window()
    baselines: list[Baseline] = Field(default=[], max_length=20)

    @model_validator(mode="after")
    def _has_points_of_one_kind(self) -> Self:
        require_points(self.per, self.kind, self.rule)
        return self


E = TypeVar("E", bound=Entry)


@dataclass(frozen=True)
class Catalog:
    """Everything that can be run, by name. Later roots may add names, never replace them."""

    models: Mapping[str, ModelEntry]
    datasets: Mapping[str, DatasetEntry]
    kernels: Mapping[str, KernelEntry]
    boards: Mapping[str, BoardEntry]

    @classmethod
    def load(cls, roots: Iterable[Path]) -> Self:
        """Read the catalog folders ``roots``. Raises CatalogError, naming file and key."""
        roots = tuple(roots)
        for root in roots:
            if not root.is_dir():
                raise CatalogError(f"{root} is not a folder.")
        datasets = _folder(roots, "datasets", lambda root: root.glob("*.toml"), DatasetEntry)
        boards = _folder(roots, "boards", lambda root: root.glob("*.toml"), BoardEntry)
        return cls(
            models=_folder(roots, "models", lambda root: root.glob("*/model.toml"), ModelEntry),
            datasets=datasets,
            kernels=_folder(roots, "kernels", lambda root: root.glob("*/kernel.toml"), KernelEntry),
            boards=MappingProxyType(
                {name: _on_usual_data(board, datasets) for name, board in boards.items()}
            ),
        )


def _on_usual_data(board: BoardEntry, datasets: Mapping[str, DatasetEntry]) -> BoardEntry:
    named = board.where.get("dataset")
    dataset = datasets.get(named) if isinstance(named, str) else None
    if dataset is None:
        return board
    defaults = {name: parameter.default for name, parameter in dataset.parameters.items()}
    return board.model_copy(update={"where": with_defaults(board.where, defaults)})


def _folder(
    roots: tuple[Path, ...], kind: str, find: Callable[[Path], Iterable[Path]], form: type[E]
) -> Mapping[str, E]:
    found: dict[str, E] = {}
    for root in roots:
        for toml in sorted(find(root / kind)):
            # A folder's entry is the folder; a lone TOML file's entry is the file.
            path = toml if toml.parent.name == kind else toml.parent
            name = path.stem if path == toml else path.name
            if not NAME.fullmatch(name):
                raise CatalogError(f"{path}: a name is small letters, digits and _, not {name!r}.")
            if name in found:
                raise CatalogError(f"{path}: the name is taken by {found[name].path}.")
            found[name] = _entry(form, name, path, toml)
    return MappingProxyType(found)


def _entry(form: type[E], name: str, path: Path, toml: Path) -> E:
    try:
        content = tomllib.loads(toml.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CatalogError(f"{toml}: {error}") from None
    given = sorted({"name", "path", "digest"} & content.keys())
    if given:
        raise CatalogError(f"{toml}: {given[0]}: is found out by labpool; leave it out.")
    try:
        entry = form.model_validate(
            {**content, "name": name, "path": path, "digest": digest_of(path)}
        )
    except ValidationError as error:
        first = error.errors()[0]
        # What is wrong with the whole names its key itself.
        key = "".join(f"{part}." for part in first["loc"])[:-1]
        text = first["msg"] if key else first["msg"].removeprefix("Value error, ")
        raise CatalogError(": ".join([f"{toml}", *([key] if key else []), text])) from None
    _refuse_bad_defaults(entry, toml)
    return entry


def _refuse_bad_defaults(entry: Entry, toml: Path) -> None:
    if not isinstance(entry, ModelEntry | DatasetEntry):
        return
    for name, parameter in entry.parameters.items():
        reason = parameter.refuse(parameter.default)
        if reason is not None:
            raise CatalogError(f"{toml}: parameters.{name}.default: {reason}")


# Pages, examples and byte code do not change what an entry does.
_NOT_COUNTED = {".md", ".yaml", ".pyc"}


def _counts(path: Path) -> bool:
    hidden = any(part.startswith(".") or part == "__pycache__" for part in path.parts)
    return not hidden and path.suffix not in _NOT_COUNTED


def digest_of(path: Path) -> str:
    """The sha256 of an entry's files: a folder's, or a TOML file's and of the ``.py`` beside it.

    Names and contents count; byte code, hidden files, pages and examples do not.
    """
    if path.is_dir():
        files = sorted(
            item for item in path.rglob("*") if item.is_file() and _counts(item.relative_to(path))
        )
        base = path
    else:
        files = [item for item in (path, path.with_suffix(".py")) if item.is_file()]
        base = path.parent
    total = sha256()
    for item in files:
        total.update(f"{item.relative_to(base).as_posix()}\n".encode())
        total.update(f"{sha256(item.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()
