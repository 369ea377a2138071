"""What every entry of the catalog must keep to. A new entry is tested without writing a test."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from labpool.catalog import BoardEntry, DatasetEntry, Entry, KernelEntry, ModelEntry
from labpool.parameters import BooleanParameter, ChoiceParameter, IntegersParameter, fill
from labpool.planning import plan
from labpool.reading import read_spec
from labpool.sdk import DataShape
from tests.support.cuda.on_host import entries_of
from tests.support.runners import CATALOG, reference_to
from worker.runner import backend, data, judging, loading
from worker.runner.benchmark import FUNCTIONS
from worker.runner.data import Split
from worker.runner.kept import Kept
from worker.runner.network import Network, arrays_of, check_model, digest_of_weights
from worker.runner.resident import Resident

MODELS = pytest.mark.parametrize("entry", CATALOG.models.values(), ids=CATALOG.models.keys())
KERNELS = pytest.mark.parametrize("entry", CATALOG.kernels.values(), ids=CATALOG.kernels.keys())
BOARDS = pytest.mark.parametrize("entry", CATALOG.boards.values(), ids=CATALOG.boards.keys())
FOLDERS = [*CATALOG.models.values(), *CATALOG.kernels.values()]
EVERYTHING = [*FOLDERS, *CATALOG.datasets.values(), *CATALOG.boards.values()]

TRAIN_METRICS = {
    *("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"),
    *("test_accuracy", "test_loss", "train_seconds", "images_per_second", "epochs_run"),
}
BENCHMARK_METRICS = {
    *("median_ms", "p5_ms", "p95_ms", "noise_percent", "gflop_s", "gb_s", "max_relative_error"),
}


@pytest.fixture(scope="module", autouse=True)
def tensorflow() -> None:
    backend.prepare(1)


class Example(NamedTuple):
    """A model's code with a small batch of data that suits it."""

    code: Any
    parameters: dict[str, Any]
    shape: DataShape
    batch: Split

    def build(self, **parameters: Any) -> Any:
        model = self.code.build({**self.parameters, **parameters}, self.shape)
        check_model(model, self.shape)
        return model

    def model(self, seed: int, **parameters: Any) -> Any:
        backend.reset(seed)
        return self.build(**parameters)

    def network(self, seed: int) -> Network:
        network = Network(self.model(seed), "sgd", len(self.batch.y), "cpu")
        network.set_learning_rate(0.05)
        return network

    @property
    def resident(self) -> Resident:
        return Resident.of(self.batch, "cpu")


def suitable_datasets(entry: ModelEntry) -> Iterator[DatasetEntry]:
    for dataset in CATALOG.datasets.values():
        if entry.input.kind != "image" or dataset.kind == "image":
            yield dataset


def example_of(entry: ModelEntry, dataset: DatasetEntry) -> Example:
    module = loading.load(reference_to(dataset), dataset.path.with_suffix(".py"), "load")
    examples = module.load(fill(dict(dataset.parameters), {}, of=dataset.name)[0])
    x, kind = data.fit_to_model(examples.x[:32], dataset.kind, entry.input)
    return Example(
        loading.load(reference_to(entry), entry.path / "model.py", "build"),
        fill(dict(entry.parameters), {}, of=entry.name)[0],
        data.shape_of(x, kind, examples.classes),
        Split(x, examples.y[:32]),
    )


@pytest.fixture(params=CATALOG.models.values(), ids=CATALOG.models.keys())
def example(request: pytest.FixtureRequest) -> Example:
    entry: ModelEntry = request.param
    return example_of(entry, next(suitable_datasets(entry)))


def one_step(network: Network, example: Example) -> float:
    losses, _ = network.train_steps(example.resident, np.arange(len(example.batch.y)), 0, 1)
    return float(losses[0])


@MODELS
def test_a_model_builds_for_every_data_set_that_suits_it(entry: ModelEntry) -> None:
    for dataset in suitable_datasets(entry):
        example = example_of(entry, dataset)
        logits = np.array(example.model(0)(example.batch.x, training=False))
        assert logits.shape == (32, dataset.classes) and logits.dtype == np.float32
        # A softmax at the end would be applied twice: labpool's loss has it already.
        assert not np.allclose(logits.sum(axis=1), 1.0, atol=1e-3)


def test_steps_lower_the_loss_and_move_every_variable(example: Example) -> None:
    network = example.network(0)
    variables = network.model.trainable_variables
    before, (loss_before, _) = arrays_of(variables), network.measure(example.resident)
    for _ in range(5):
        one_step(network, example)
    assert network.measure(example.resident)[0] < loss_before
    for variable, was, now in zip(variables, before, arrays_of(variables), strict=True):
        assert not np.array_equal(now, was), variable.path


def test_one_seed_gives_the_same_weights_and_another_does_not(example: Example) -> None:
    def initial(seed: int) -> str:
        return digest_of_weights(arrays_of(example.model(seed).variables))

    assert initial(1) == initial(1)
    assert initial(1) != initial(2)


def test_a_state_put_back_goes_on_bit_for_bit(example: Example) -> None:
    first = example.network(0)
    one_step(first, example)
    weights, optimizer = first.weights(), first.optimizer_state()
    # Measuring in between must leave no trace either.
    assert first.measure(example.resident) == first.measure(example.resident)
    one_step(first, example)
    second = example.network(5)
    second.set_weights(weights)
    second.set_optimizer_state(optimizer)
    second.set_learning_rate(0.05)
    one_step(second, example)
    assert digest_of_weights(first.weights()) == digest_of_weights(second.weights())


def test_a_kept_network_gives_the_bits_of_a_new_one(example: Example) -> None:
    def after_three_steps(kept: Kept, seed: int) -> str:
        network = kept.network(
            "key", seed, example.build,
            lambda model: Network(model, "adam", len(example.batch.y), "cpu"),
        )  # fmt: skip
        network.set_learning_rate(0.05)
        for _ in range(3):
            one_step(network, example)
        return digest_of_weights([*network.weights(), *network.optimizer_state()])

    warm = Kept()
    first = after_three_steps(warm, 1)
    assert len(warm) == 1, "a model that draws its weights by Keras is kept"
    assert after_three_steps(warm, 2) == after_three_steps(Kept(), 2)
    assert after_three_steps(warm, 1) == first


@MODELS
def test_a_model_builds_with_every_choice_and_at_every_bound(entry: ModelEntry) -> None:
    example = example_of(entry, next(suitable_datasets(entry)))
    for name, parameter in entry.parameters.items():
        values: list[Any]
        if isinstance(parameter, ChoiceParameter):
            values = list(parameter.choices)
        elif isinstance(parameter, BooleanParameter):
            values = [True, False]
        elif isinstance(parameter, IntegersParameter):
            values = [[], [int(parameter.minimum or 1)] * parameter.max_items]
        else:
            values = [v for v in (parameter.minimum, parameter.maximum) if v is not None]
        for value in values:
            logits = np.array(example.model(0, **{name: value})(example.batch.x, training=True))
            assert np.isfinite(logits).all(), (name, value)


@pytest.mark.parametrize("entry", FOLDERS, ids=lambda entry: entry.name)
def test_a_folder_has_a_page_and_an_example_that_can_be_submitted(entry: Entry) -> None:
    assert len((entry.path / "README.md").read_text(encoding="utf-8")) > 200
    spec = read_spec((entry.path / "example.yaml").read_text(encoding="utf-8"), "yaml")
    trials = plan(spec, CATALOG).trials
    assert {trial.code_name for trial in trials} == {entry.name}


@pytest.mark.parametrize("entry", EVERYTHING, ids=lambda entry: entry.name)
def test_an_entry_says_what_it_is(entry: Entry) -> None:
    assert entry.title and entry.summary.endswith(".")
    assert len(entry.summary) < 120


@pytest.mark.parametrize("entry", FOLDERS, ids=lambda entry: entry.name)
def test_an_entry_names_a_slide(entry: Entry) -> None:
    assert entry.slide


@KERNELS
def test_a_baseline_is_right_at_every_edge(entry: KernelEntry) -> None:
    kernel, launch = kernel_of(entry)
    for dtype in entry.dtypes:
        error = judging.check_edges(
            kernel,
            lambda _, inputs: kernel.baseline(inputs),
            launch,
            dtype,
            entry.tolerance[dtype],
            seed=1,
        )
        assert error <= entry.tolerance[dtype]


@KERNELS
def test_inputs_follow_dtype_and_seed(entry: KernelEntry) -> None:
    kernel, launch = kernel_of(entry)
    sizes = kernel.edge_sizes(launch)[0]
    for dtype in entry.dtypes:
        one, same, other = (kernel.inputs(sizes, dtype, seed) for seed in (1, 1, 2))
        for name, array in one.items():
            assert array.dtype == dtype and array.flags.c_contiguous
            assert np.array_equal(array, same[name])
        assert any(not np.array_equal(array, other[name]) for name, array in one.items())
        assert kernel.baseline(one).shape == kernel.output_shape(sizes)
        assert kernel.baseline(one).dtype == dtype


@KERNELS
def test_a_cost_is_counted_and_doubles_with_the_type(entry: KernelEntry) -> None:
    kernel, _ = kernel_of(entry)
    sizes = {name: size.default for name, size in entry.sizes.items()}
    single, double = (kernel.cost(sizes, dtype) for dtype in ("float32", "float64"))
    assert single.operations == double.operations > 0
    assert double.bytes == 2 * single.bytes > 0
    inputs = kernel.inputs(sizes, "float32", 0)
    output_elements = int(np.prod(kernel.output_shape(sizes)))
    assert single.bytes == sum(a.nbytes for a in inputs.values()) + 4 * output_elements


@KERNELS
def test_a_launch_is_legal_at_every_bound(entry: KernelEntry) -> None:
    kernel, _ = kernel_of(entry)
    size_bounds = [(size.minimum, size.default, size.maximum) for size in entry.sizes.values()]
    launch_bounds = [(size.minimum, size.default, size.maximum) for size in entry.launch.values()]
    for chosen, launched in product(product(*size_bounds), product(*launch_bounds)):
        sizes = dict(zip(entry.sizes, chosen, strict=True))
        small = {name: size.minimum for name, size in entry.sizes.items()}
        known = {*kernel.inputs(small, "float32", 0), "output", *entry.sizes}
        for variant in entry.variants:
            found = kernel.launches(sizes, dict(zip(entry.launch, launched, strict=True)), variant)
            for step in found.steps:
                assert 1 <= int(np.prod(step.block)) <= 1024
                assert 1 <= step.grid[0] < 2**31
                assert all(1 <= side <= 65535 for side in step.grid[1:])
                named = {part for part in step.arguments if isinstance(part, str)}
                assert named <= known | set(found.temporaries)
                assert step.entry in entries_of(entry.path / "kernel.cu")
            assert "output" in found.steps[-1].arguments


@BOARDS
def test_a_board_ranks_something_that_is_measured(entry: BoardEntry) -> None:
    train = entry.kind == "train"
    assert entry.metric in (TRAIN_METRICS if train else BENCHMARK_METRICS)
    assert entry.unit
    known: dict[str, Any] = {
        "dataset": CATALOG.datasets,
        "model": CATALOG.models,
        "kernel": CATALOG.kernels,
        "device": {"cpu", "gpu"},
    }
    for key, value in entry.where.items():
        assert value in known.get(key, {value})


def kernel_of(entry: KernelEntry) -> tuple[Any, dict[str, int]]:
    folder: Path = entry.path
    code = loading.load(reference_to(entry), folder / "reference.py", *FUNCTIONS)
    return code, {name: size.default for name, size in entry.launch.items()}
