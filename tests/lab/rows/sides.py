"""LeNet in low-level TensorFlow beside Keras, and the Keras side as a list in the spec."""

from __future__ import annotations

import json
import subprocess
import sys

from labpool.reading import read_spec
from labpool.settings import CHECKOUT
from tests.lab.course import Course, Shown, metric

TITLE = "LeNet: TensorFlow vs. Keras"
FLOORS = {
    "lenet_tf_accuracy": ">= 0.95",
    "keras_cnn_accuracy": ">= 0.95",
    "layers_equal_keras_cnn": "== true",
    "relu100_tf_accuracy": ">= 0.93",
    "relu100_tf_off_its_twin": "<= 0.0001",
    "sides_on_one_board": "== true",
}
DIGITS = {"kind": "train", "dataset": "digits", "device": "cpu"}


def show(course: Course, shown: Shown) -> None:
    """Both sides on the same digits, and the same weights from a list of layers."""
    listed = read_spec(
        (CHECKOUT / "catalog" / "models" / "layers" / "example.yaml").read_text(), "yaml"
    )
    curves = {}
    weights = {}
    for model in ("lenet_tf", "keras_cnn", "relu100_tf"):
        [trial] = course.run({**DIGITS, "model": model})
        shown.figures[f"{model}_accuracy"] = round(metric([trial], "test_accuracy")[0], 4)
        curves[model], weights[model] = course.curves(trial), trial
    same = ("epochs", "batch_size", "optimizer", "learning_rate", "learning_rate_decay")
    keras_side = weights["keras_cnn"]
    [trial] = course.run({**listed, **{name: keras_side["spec"][name] for name in same}})
    digests = [one["summary"]["weights_sha256"] for one in (keras_side, trial)]
    shown.figures["layers_equal_keras_cnn"] = digests[0] == digests[1]
    shown.figures["sides_on_one_board"] = {"lenet_tf", "keras_cnn"} <= course.ranked("lenet_sides")
    shown.figures["relu100_tf_off_its_twin"] = _off_its_twin(shown)
    shown.curves("Accuracy on the validation split", curves, "val_accuracy")


def _off_its_twin(shown: Shown) -> float:
    """The largest difference of any weight; TensorFlow stays out of this process."""
    command = [sys.executable, "-m", "tests.lab.twin"]
    told = subprocess.run(command, check=True, capture_output=True, text=True, cwd=CHECKOUT)
    off, went = json.loads(told.stdout.splitlines()[-1])
    shown.notes.append(f"relu100_tf moved by {went:.3g} and ended {off:.1e} from its Keras twin.")
    return float(off)
