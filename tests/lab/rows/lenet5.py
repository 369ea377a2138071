"""LeNet-5 reads handwritten digits."""

from __future__ import annotations

from statistics import mean

from tests.lab.course import Course, Shown, metric

TITLE = "LeNet (C1, S2, C3, S4, C5, F6)"
FLOORS = {"lenet5_accuracy": ">= 0.965", "lenet5_accuracy_least": ">= 0.95"}
SPEC = {"kind": "train", "model": "lenet5", "dataset": "digits", "device": "cpu"}


def show(course: Course, shown: Shown) -> None:
    """Five seeds, nothing but defaults."""
    trials = course.seeds(SPEC, range(5))
    accuracies = metric(trials, "test_accuracy")
    shown.figures["lenet5_accuracy"] = round(mean(accuracies), 4)
    shown.figures["lenet5_accuracy_least"] = round(min(accuracies), 4)
    curves = {f"seed {trial['spec']['seed']}": course.curves(trial) for trial in trials}
    shown.curves("Accuracy on the validation split", curves, "val_accuracy")
