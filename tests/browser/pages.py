"""Every page, by name: for the tests that hold for all of them and for the screenshots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.browser.service import Filled


@dataclass(frozen=True)
class PageOf:
    """Where a page is, and who looks at it (nobody: not signed in)."""

    path: Callable[[Filled], str]
    user: str | None = "grace"
    status: int = 200


PAGES = {
    "sign_in": PageOf(lambda _: "/sign-in", user=None),
    "sign_in_link": PageOf(lambda _: "/sign-in?token=lp_1_x", user=None),
    "boards": PageOf(lambda _: "/"),
    "board": PageOf(lambda _: "/boards/digits"),
    "board_of_kernels": PageOf(lambda _: "/boards/dense_relu_cpu"),
    "board_empty": PageOf(lambda _: "/boards/spirals"),
    "experiments": PageOf(lambda _: "/experiments"),
    "experiments_none": PageOf(lambda _: "/experiments?owner=nobody"),
    "experiment": PageOf(lambda filled: f"/experiments/{filled.sweep}", user="ada"),
    "experiment_waiting": PageOf(lambda filled: f"/experiments/{filled.waiting_experiment}"),
    "experiment_failed": PageOf(lambda filled: f"/experiments/{filled.failed_experiment}"),
    "trial": PageOf(lambda filled: f"/trials/{filled.trained}"),
    "trial_drawing": PageOf(lambda filled: f"/trials/{filled.drawing}"),
    "trial_benchmark": PageOf(lambda filled: f"/trials/{filled.benchmark}"),
    "trial_timed": PageOf(lambda filled: f"/trials/{filled.timed}"),
    "experiment_timed": PageOf(lambda filled: f"/experiments/{filled.timed_experiment}"),
    "trial_waiting": PageOf(lambda filled: f"/trials/{filled.waiting}"),
    "trial_failed": PageOf(lambda filled: f"/trials/{filled.failed}"),
    "prediction": PageOf(
        lambda filled: f"/trials/{filled.trained}/predictions/{filled.prediction}"
    ),
    "trials": PageOf(lambda _: "/trials"),
    "compare": PageOf(
        lambda filled: f"/compare?trials={filled.trained},{','.join(map(str, filled.sweep_trials))}"
    ),
    "compare_none": PageOf(lambda _: "/compare"),
    "submit": PageOf(lambda _: "/submit?kind=train&model=lenet5"),
    "submit_sweep": PageOf(lambda filled: f"/submit?from=experiment:{filled.sweep}", user="ada"),
    "submit_benchmark": PageOf(lambda _: "/submit?kind=benchmark"),
    "account": PageOf(lambda _: "/account"),
    "users": PageOf(lambda _: "/users", user="ada"),
    "pool": PageOf(lambda _: "/pool"),
    "missing": PageOf(lambda _: "/trials/999999", status=404),
}
