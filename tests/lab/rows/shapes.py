"""Where a shape lies, and which pixels are its own."""

from __future__ import annotations

from tests.lab.course import Course, Shown, metric

TITLE = "Computer vision tasks beside classification"
FLOORS = {"localise_iou_least": ">= 0.7", "segment_iou_least": ">= 0.7"}
SEEDS = range(3)


def show(course: Course, shown: Shown) -> None:
    """A box and a mask for each of the test pictures, three seeds."""
    for model in ("localise", "segment"):
        trials = course.seeds({"kind": "train", "model": model, "dataset": "shapes"}, SEEDS)
        shown.figures[f"{model}_iou_least"] = round(min(metric(trials, "test_iou")), 4)
        curves = {f"seed {trial['spec']['seed']}": course.curves(trial) for trial in trials}
        shown.curves(f"{model}: intersection over union, validation", curves, "val_iou")
