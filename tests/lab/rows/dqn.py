"""An agent learns to balance a pole from nothing but reward."""

from __future__ import annotations

from statistics import mean

from tests.lab.course import Course, Shown, metric

TITLE = "Deep Reinforcement Learning"
FLOORS = {"dqn_return_least": ">= 195"}


def show(course: Course, shown: Shown) -> None:
    """50,000 steps, three seeds; the mean return of 20 episodes that chose nothing."""
    trials = course.seeds({"kind": "train", "model": "dqn"}, range(3))
    returns = metric(trials, "test_return")
    shown.figures["dqn_return_least"] = min(returns)
    shown.figures["dqn_return"] = round(mean(returns), 1)
    curves = {f"seed {trial['spec']['seed']}": course.curves(trial) for trial in trials}
    shown.curves("Return of an episode, validation", curves, "val_return")
