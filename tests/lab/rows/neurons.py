"""One layer draws one line; hidden layers bend it."""

from __future__ import annotations

from statistics import mean

from tests.lab.course import Course, Shown, metric

TITLE = "Neurons, and hidden layers between them"
FLOORS = {
    "softmax_loss_falls": "== true",
    "mlp_loss_falls": "== true",
    "deeper_over_one_layer": ">= 0.1",
}
BASE = {"kind": "train", "dataset": "spirals", "epochs": 60, "device": "cpu"}
SEEDS = range(3)


def show(course: Course, shown: Shown) -> None:
    """Both on the spirals, which no straight line divides."""
    flat = course.seeds({**BASE, "model": "softmax"}, SEEDS)
    deep = course.seeds({**BASE, "model": "mlp", "parameters": {"hidden": [64, 64]}}, SEEDS)
    curves = {"softmax": course.curves(flat[0]), "mlp": course.curves(deep[0])}
    for name, found in curves.items():
        losses = found["loss"]["values"]
        shown.figures[f"{name}_loss_falls"] = losses[-1] < losses[0]
    accuracies = [mean(metric(trials, "test_accuracy")) for trials in (flat, deep)]
    shown.figures["softmax_accuracy"], shown.figures["mlp_accuracy"] = accuracies
    shown.figures["deeper_over_one_layer"] = round(accuracies[1] - accuracies[0], 4)
    shown.curves("Accuracy on the validation split, seed 0", curves, "val_accuracy")
