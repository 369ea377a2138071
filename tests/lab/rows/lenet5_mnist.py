"""LeNet-5 on the set that it was made for, on a machine that has it."""

from __future__ import annotations

from labpool.holdings import HoldingBroken, folder_of, record_of, ways
from tests.lab.course import Course, Shown, metric

NAME = "mnist"
TITLE = "LeNet on MNIST, where its files are at hand"
FLOORS = {"lenet5_mnist_accuracy": ">= 0.985"}
SPEC = {"kind": "train", "model": "lenet5", "dataset": NAME, "device": "cpu", "seed": 0}


def missing() -> str:
    """Why MNIST cannot be trained on here; empty where it can."""
    try:
        held = record_of(folder_of(), NAME)
    except HoldingBroken as error:
        return str(error)
    return "" if held else f"MNIST's files are not on this machine. {ways(NAME)}"


def show(course: Course, shown: Shown) -> None:
    """One seed, nothing but defaults."""
    if reason := missing():
        shown.not_measured["lenet5_mnist_accuracy"] = reason
        return
    [trial] = course.run(SPEC)
    [accuracy] = metric([trial], "test_accuracy")
    shown.figures["lenet5_mnist_accuracy"] = round(accuracy, 4)
    shown.curves(
        "Accuracy on the validation split", {"seed 0": course.curves(trial)}, "val_accuracy"
    )
