"""`labpool show` of an experiment that ran on a CPU and on a GPU."""

from __future__ import annotations

import pytest

from labpool.cli import options
from labpool.client import Experiment
from tests.support.cli import FakeClient, run

FOUND = {
    "metric": "median_ms", "cpu": 30.0, "gpu": 4.0, "ratio": 7.5, "cpu_trial": 11, "gpu_trial": 12,
}  # fmt: skip
WITH_TRANSFER = {**FOUND, "transfer_ms": 6.0, "ratio_with_transfer": 3.0}


def test_show_says_how_much_faster_the_gpu_was(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "GPU against CPU" not in _shown(monkeypatch, FakeClient)
    shown = _shown(monkeypatch, _with(FOUND))
    assert "GPU against CPU: 7.5 times as fast by median_ms (trial 12 against 11)" in shown
    assert "there and back" not in shown


def test_the_transfer_is_shown_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = _shown(monkeypatch, _with(WITH_TRANSFER))
    assert "GPU against CPU: 7.5 times as fast" in shown
    assert "with 6 ms to bring data there and back: 3 times as fast" in shown


def _with(found: dict[str, object]) -> type[FakeClient]:
    class OnBoth(FakeClient):
        def experiment(self, *arguments: object, **more: object) -> Experiment:
            plain = super().experiment(*arguments, **more).model_dump()  # type: ignore[arg-type]
            return Experiment.model_validate({**plain, "speed_ups": [found]})

    return OnBoth


def _shown(monkeypatch: pytest.MonkeyPatch, client: type[FakeClient]) -> str:
    monkeypatch.setattr(options, "Client", client)
    result = run("show", "7")
    assert result.exit_code == 0, result.output
    return result.stdout
