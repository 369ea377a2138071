"""What a task asks of a model, of a data set, and of the two together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from api.forms.build import build as form_of
from labpool.catalog import Catalog, Task
from labpool.dataset_form import Splits
from labpool.errors import CatalogError, SpecError
from labpool.model_form import Judging, Metric
from labpool.planning import plan
from labpool.sdk import DataShape, Examples
from tests.support.runners import CATALOG
from worker.runner import backend, data, tasks
from worker.runner.objective import Objective
from worker.runner.reasons import EntryBroken

IOU = Judging(metrics={"iou": Metric(direction="maximize", meaning="x")}, selects="iou")
TASKS: tuple[Task, ...] = ("classification", "localisation", "segmentation")
COUNT, HEIGHT, WIDTH, CLASSES = 12, 4, 6, 3


@pytest.fixture(scope="module", autouse=True)
def tensorflow() -> None:
    backend.prepare(1)


def examples(**other: Any) -> Examples:
    draw = np.random.Generator(np.random.PCG64(0))
    good: dict[str, Any] = {
        "x": draw.random((COUNT, HEIGHT, WIDTH, 1), dtype=np.float32),
        "y": np.arange(COUNT, dtype=np.int64) % CLASSES,
        "classes": CLASSES,
        "boxes": np.tile(np.float32([0.5, 0.25, 1.0, 0.5]), (COUNT, 1)),
        "masks": draw.integers(0, CLASSES + 1, (COUNT, HEIGHT, WIDTH)),
    }
    return Examples(**{**good, **other})


def test_it_works() -> None:
    whole = examples()
    data.check(whole, "image")
    fractions = Splits(seed=1, validation=0.25, test=0.25)
    parts = {task: data.split(whole, fractions, task).training for task in TASKS}
    order = [int(np.flatnonzero((whole.x == x).all(axis=(1, 2, 3)))[0]) for x in parts[TASKS[0]].x]
    classes, places, labels = (parts[task].y for task in TASKS)
    assert classes.dtype == np.int64 and np.array_equal(classes, whole.y[order])
    assert places.dtype == np.float32 and places.shape == (len(order), 5)
    assert np.array_equal(places[:, 0], whole.y[order])
    assert whole.boxes is not None and np.array_equal(places[:, 1:], whole.boxes[order])
    assert whole.masks is not None and np.array_equal(labels, whole.masks[order])


def test_a_pixel_has_one_label_more_than_a_picture() -> None:
    assert [tasks.classes(examples(), task) for task in TASKS] == [3, 3, 4]


def boxes(*box: float) -> Any:
    found = np.tile(np.float32([0.5, 0.5, 0.5, 0.5]), (COUNT, 1))
    found[7] = box
    return found


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"boxes": np.full((COUNT, 4), 0.5)}, "float32 of shape"),
        ({"boxes": np.full((COUNT, 5), 0.5, np.float32)}, "float32 of shape"),
        ({"boxes": np.full((COUNT - 1, 4), 0.5, np.float32)}, "float32 of shape"),
        ({"boxes": boxes(0.9, 0.5, 0.5, 0.5)}, "example 7"),
        ({"boxes": boxes(0.5, 0.2, 0.5, 0.5)}, "example 7"),
        ({"boxes": boxes(0.5, 0.5, 0.0, 0.5)}, "example 7"),
        ({"boxes": boxes(0.5, 0.5, 0.5, float("nan"))}, "example 7"),
        ({"boxes": boxes(16.0, 16.0, 8.0, 8.0)}, "shares"),
        ({"masks": np.zeros((COUNT, HEIGHT, WIDTH), np.uint8)}, "int64 of shape"),
        ({"masks": np.zeros((COUNT, WIDTH, HEIGHT), np.int64)}, "int64 of shape"),
        ({"masks": np.zeros((COUNT, HEIGHT, WIDTH, 1), np.int64)}, "int64 of shape"),
        ({"masks": np.full((COUNT, HEIGHT, WIDTH), CLASSES + 1)}, "0 is background"),
        ({"masks": np.full((COUNT, HEIGHT, WIDTH), -1)}, "0 is background"),
    ],
)
def test_boxes_and_masks_that_are_none_are_named(other: dict[str, Any], says: str) -> None:
    with pytest.raises(EntryBroken, match=says):
        data.check(examples(**other), "image")


def test_a_box_that_fills_the_picture_may_be_rounded() -> None:
    third = np.float32(1 / 3)
    data.check(examples(boxes=boxes(third / 2, 1 - third / 2, third, third)), "image")


@pytest.mark.parametrize(("task", "field"), [(TASKS[1], "boxes"), (TASKS[2], "masks")])
def test_targets_that_load_did_not_give_are_named(task: Task, field: str) -> None:
    with pytest.raises(EntryBroken, match=f"gives no {field}"):
        tasks.targets(examples(**{field: None}), task)


@pytest.mark.parametrize("size", [(8, 12), (2, 3), (4, 6), (7, 5), (1, 1)])
def test_masks_follow_their_pictures_to_another_size(size: tuple[int, int]) -> None:
    whole = examples()
    assert whole.masks is not None
    resized = tasks.with_pictures(whole, data.resize(whole.x, *size)).masks
    assert resized is not None and resized.shape == (COUNT, *size) and resized.dtype == np.int64
    for row, column in np.ndindex(size):
        at = int((row + 0.5) * HEIGHT / size[0]), int((column + 0.5) * WIDTH / size[1])
        assert np.array_equal(resized[:, row, column], whole.masks[:, *at])


def test_boxes_stay_and_flat_pictures_need_no_masks() -> None:
    whole = examples()
    assert tasks.with_pictures(whole, data.resize(whole.x, 9, 9)).boxes is whole.boxes
    flat = tasks.with_pictures(whole, whole.x.reshape(COUNT, -1))
    assert flat.masks is whole.masks and flat.x.ndim == 2


@pytest.mark.parametrize(
    ("task", "good", "bad"),
    [
        ("classification", (None, 4), (None, 8)),
        ("localisation", (None, 8), (None, 4)),
        ("segmentation", (None, 5, 6, 4), (None, 4)),
        ("segmentation", (None, 5, 6, 4), (None, 5, 6, 3)),
    ],
)
def test_outputs_are_what_the_task_asks_for(task: Task, good: Any, bad: Any) -> None:
    shape = DataShape("image", (5, 6, 1), 4, task)
    tasks.check_outputs(good, shape)
    with pytest.raises(EntryBroken, match="the model gives"):
        tasks.check_outputs(bad, shape)


@pytest.mark.parametrize("missing", ["loss", "metrics"])
def test_labpool_has_no_objective_for_another_task(missing: str) -> None:
    code: Any = SimpleNamespace(loss=len, metrics=len)
    assert Objective.of(code, {}, IOU, "localisation").names == ("iou",)
    delattr(code, missing)
    with pytest.raises(EntryBroken, match=f"localisation needs a function {missing}"):
        Objective.of(code, {}, IOU, "localisation")


def test_a_loss_is_one_number_an_example() -> None:
    x = np.zeros((2, 3), np.float32)

    def objective(**functions: Any) -> Objective:
        good = {
            "loss": lambda parameters, y, outputs: outputs[:, 0],
            "metrics": lambda parameters, y, outputs: {"iou": outputs[:, 0]},
        }
        return Objective.of(SimpleNamespace(**{**good, **functions}), {}, IOU)  # type: ignore[arg-type]

    def model(x: Any, training: bool) -> Any:
        return x

    objective().check(model, x, x)
    with pytest.raises(EntryBroken, match=r"loss gives \(2, 3\) for 2 examples"):
        objective(loss=lambda parameters, y, outputs: outputs).check(model, x, x)
    with pytest.raises(EntryBroken, match=r"metrics: iou gives \(\)"):
        objective(metrics=lambda *_: {"iou": np.float32(1)}).check(model, x, x)


@pytest.mark.parametrize(
    ("model", "dataset", "says"),
    [
        ("localise", "digits", "holds no boxes, which the model 'localise' needs"),
        ("segment", "synthetic", "holds no masks, which the model 'segment' needs"),
        ("segment", "spirals", "holds no images, which the model 'segment' needs"),
    ],
)
def test_a_data_set_without_the_targets_is_refused(model: str, dataset: str, says: str) -> None:
    with pytest.raises(SpecError) as caught:
        plan({"kind": "train", "model": model, "dataset": dataset}, CATALOG)
    (problem,) = caught.value.problems
    assert problem.pointer == "/dataset" and says in problem.message
    assert problem.suggestion == "Data sets that fit: shapes."


@pytest.mark.parametrize("model", ["localise", "segment", "lenet5", "softmax"])
def test_shapes_are_for_every_task(model: str) -> None:
    assert plan({"kind": "train", "model": model, "dataset": "shapes"}, CATALOG).trials


def test_a_sweep_over_data_sets_is_refused_at_the_one_that_lacks_them() -> None:
    base = {"kind": "train", "model": "segment", "dataset": "shapes"}
    sweep = {"kind": "sweep", "base": base, "strategy": {"method": "grid"}}
    with pytest.raises(SpecError) as caught:
        plan({**sweep, "space": {"dataset": ["shapes", "digits"]}}, CATALOG)
    assert [problem.pointer for problem in caught.value.problems] == ["/space/dataset/1"]


def test_the_form_says_which_data_sets_fit_and_what_for() -> None:
    model, dataset = form_of({"kind": "train", "model": "localise"}, CATALOG).choosers
    unfit = {option.name: option.unfit for option in dataset.options}
    assert (unfit["shapes"], unfit["digits"]) == ("", "holds no boxes")
    assert model.tasks == "localisation" and dataset.tasks == ""


MODEL = """
title = "One"
summary = "A model."
task = "localisation"
[input]
kind = "image"
[judging]
selects = "iou"
[judging.metrics.iou]
direction = "maximize"
meaning = "x"
"""
DATASET = """
title = "One"
summary = "Data."
source = "x"
license = "x"
tasks = ["classification", "segmentation"]
kind = "image"
shape = [2, 2, 1]
classes = 2
splits = {seed = 1, validation = 0.2, test = 0.2}
"""


def load(tmp_path: Path, *, model: str = MODEL, dataset: str = DATASET) -> Catalog:
    (tmp_path / "models" / "one").mkdir(parents=True)
    (tmp_path / "datasets").mkdir()
    (tmp_path / "models" / "one" / "model.toml").write_text(model)
    (tmp_path / "datasets" / "two.toml").write_text(dataset)
    return Catalog.load([tmp_path])


def test_tasks_are_read(tmp_path: Path) -> None:
    catalog = load(tmp_path)
    assert catalog.models["one"].task == "localisation"
    assert catalog.datasets["two"].tasks == ["classification", "segmentation"]
    assert CATALOG.datasets["digits"].tasks == ["classification"]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (MODEL.replace("localisation", "detection"), "task: "),
        (MODEL.partition("[judging]")[0], "judging.metrics: a model for localisation declares"),
        (MODEL.replace('"image"', '"any"'), "input.kind: a model for localisation takes images"),
    ],
)
def test_a_model_of_another_task_says_how_it_is_judged(
    tmp_path: Path, model: str, words: str
) -> None:
    with pytest.raises(CatalogError, match=words):
        load(tmp_path, model=model)


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (DATASET.replace("segmentation", "detection"), "tasks.1"),
        (DATASET.replace('"classification", "segmentation"', ""), "tasks: "),
        (
            DATASET.replace("tasks = [", 'task = "classification"\nother = ['),
            r"two.toml: task: write tasks = \['classification'\]",
        ),
        (DATASET.replace('"image"', '"vector"'), "two.toml: tasks: vector data have no boxes"),
    ],
)
def test_a_bad_list_of_tasks_is_named(tmp_path: Path, dataset: str, words: str) -> None:
    with pytest.raises(CatalogError, match=words):
        load(tmp_path, dataset=dataset)


def test_an_example_says_nothing_of_other_tasks_unless_asked() -> None:
    plain = replace(examples(), boxes=None, masks=None)
    data.check(plain, "image")
    assert tasks.targets(plain, "classification") is plain.y
