"""Models that are no classifiers, and models that train themselves, asked in a runner process."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.conformance import spec_of, suiting
from tests.support.runners import CATALOG, Runner, of_type, runner, trial_of
from worker import protocol

SIDE = 16


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with runner(tmp_path_factory.mktemp("light"), "--light") as running:
        yield running


class Trained:
    """A model after a short run, as its runner is asked for it."""

    def __init__(self, running: Runner, name: str, scratch: Path, **more: Any) -> None:
        entry = CATALOG.models[name]
        spec = spec_of(entry, suiting(entry)[0])
        spec["dataset_parameters"] = {**spec.get("dataset_parameters", {}), **more}
        self.running, self.trial = running, trial_of(spec, scratch)
        messages = running.run(self.trial)
        self.best = [one for one in of_type(messages, protocol.Checkpoint) if one.best][-1]
        self.result = messages[-1]

    def ask(self, inputs: Any) -> protocol.Predicted | protocol.Unpredicted:
        scratch = Path(self.trial.scratch)
        (scratch / "question").write_text(json.dumps(inputs))
        question = protocol.Predict(
            prediction=1,
            fence=1,
            spec=self.trial.spec,
            code=self.trial.code,
            data=self.trial.data,
            checkpoint=str(scratch / self.best.file),
            checkpoint_sha256=self.best.sha256,
            folder=str(scratch),
            input="question",
            form="numbers",
            options={},
        )
        self.running.send(question)
        answer = self.running.next()
        assert isinstance(answer, protocol.Predicted | protocol.Unpredicted)
        return answer

    def arrays(self, inputs: Any) -> dict[str, NDArray[np.float32]]:
        answer = self.ask(inputs)
        assert isinstance(answer, protocol.Predicted), answer
        content = (Path(self.trial.scratch) / answer.file).read_bytes()
        numbers, found = np.frombuffer(content, "<f4"), {}
        for array in answer.arrays:
            found[array.name] = numbers[: math.prod(array.shape)].reshape(array.shape)
            numbers = numbers[math.prod(array.shape) :]
        assert not len(numbers)
        return found

    def outputs(self, inputs: Any) -> NDArray[np.float32]:
        [(name, found)] = self.arrays(inputs).items()
        assert name == "outputs"
        return found


def test_a_program_gives_what_its_result_says(light: Runner, tmp_path: Path) -> None:
    trained = Trained(light, "ten_lines", tmp_path)
    assert isinstance(trained.result, protocol.Result), trained.result
    told = trained.result.summary
    found = trained.outputs(told["test_inputs"])
    assert found.shape == (4, 1)
    assert np.array_equal(found, np.array(told["test_outputs"], np.float32))


def test_a_program_without_data_says_so(light: Runner, tmp_path: Path) -> None:
    answer = Trained(light, "dqn", tmp_path).ask([[0.0] * 4])
    assert isinstance(answer, protocol.Unpredicted)
    assert "without a data set" in answer.reason


def test_where_something_is_comes_with_what_it_is(light: Runner, tmp_path: Path) -> None:
    found = Trained(light, "localise", tmp_path, size=SIDE).arrays(
        np.random.default_rng(0).random((3, SIDE, SIDE, 1)).tolist()
    )
    assert {name: array.shape for name, array in found.items()} == {
        "probabilities": (3, 4), "boxes": (3, 4)
    }  # fmt: skip
    assert np.allclose(found["probabilities"].sum(axis=1), 1, atol=1e-6)
    assert found["boxes"].min() > 0 and found["boxes"].max() < 1


def test_a_model_of_pixels_gives_all_its_outputs(light: Runner, tmp_path: Path) -> None:
    trained = Trained(light, "segment", tmp_path, size=SIDE)
    found = trained.outputs(np.zeros((2, SIDE, SIDE, 1)).tolist())
    assert found.shape == (2, SIDE, SIDE, 4 + 1)
    assert np.array_equal(found[0], found[1])
