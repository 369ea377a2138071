"""The pictures that a kernel makes: the slide's four filters, kept with the trial."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labpool.sdk import DTypeName, Shown
from tests.support.cuda.on_host import HostTarget
from tests.support.png import decoded
from tests.support.runners import CATALOG, Runner, of_type, reference_to, runner, trial_of
from worker import protocol
from worker.runner import judging, kernel_pictures, loading
from worker.runner.benchmark import FUNCTIONS
from worker.runner.reasons import EntryBroken, WrongResult

CONV2D = {"kind": "benchmark", "kernel": "conv2d", "device": "cpu", "samples": 10}
SMALL = {**CONV2D, "sizes": {"height": 64, "width": 48}}
NAMES = [f"filtered-{name}.png" for name in ("identity", "edge_detection", "sharpen", "box_blur")]


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with runner(tmp_path_factory.mktemp("light"), "--light") as running:
        yield running


@pytest.fixture(scope="module")
def conv2d() -> Any:
    entry = CATALOG.kernels["conv2d"]
    return loading.load(reference_to(entry), entry.path / "reference.py", *FUNCTIONS)


class Report:
    """Keeps what would be told to the slot."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def artifact(self, written: Any, name: str, media_type: str) -> None:
        self.kept[name] = media_type

    def stop_if_cancelled(self) -> None:
        pass


def test_it_works(light: Runner, tmp_path: Path) -> None:
    messages = light.run(trial_of(SMALL, tmp_path))
    assert isinstance(messages[-1], protocol.Result), messages[-1]
    found = of_type(messages, protocol.Artifact)
    assert [(one.name, one.media_type) for one in found] == [(name, "image/png") for name in NAMES]
    identity, edges, sharp, blurred = (
        decoded((tmp_path / one.file).read_bytes())[:, :, 0].astype(np.float64) / 255
        for one in found
    )
    assert identity.shape == (320, 320) and identity.std() > 0.1
    # Worked out anew from the picture itself, inside its edges: a pixel is off by half a level of
    # the file, times what the filter multiplies it with.
    inner = (slice(1, -1), slice(1, -1))
    around = [np.roll(identity, step, axis)[inner] for axis in (0, 1) for step in (1, -1)]
    laplace = sum(around) - 4 * identity[inner]
    for picture, wanted, weight in (
        (edges, laplace, 8),
        (sharp, identity[inner] - laplace, 9),
    ):
        assert np.abs(picture[inner] - np.clip(wanted, 0, 1)).max() <= (weight + 1) / 510 + 1e-9
    shifts = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    mean = sum(np.roll(identity, shift, (0, 1))[inner] for shift in shifts) / 9
    assert np.abs(blurred[inner] - mean).max() <= 2 / 510 + 1e-9


def test_kernels_without_pictures_keep_none(light: Runner, tmp_path: Path) -> None:
    spec = {"kind": "benchmark", "kernel": "saxpy", "device": "cpu", "sizes": {"n": 1000}}
    messages = light.run(trial_of(spec, tmp_path))
    assert isinstance(messages[-1], protocol.Result)
    assert not of_type(messages, protocol.Artifact)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("variant", CATALOG.kernels["conv2d"].variants)
def test_each_variant_of_the_source_draws_the_same(
    conv2d: Any, variant: str, dtype: DTypeName, tmp_path: Path
) -> None:
    entry = CATALOG.kernels["conv2d"]
    target = HostTarget(conv2d, entry.path / "kernel.cu", dtype, {}, variant)
    files: list[dict[str, bytes]] = []
    for compute in (lambda _, inputs: conv2d.baseline(inputs), target.compute):
        report: Any = Report()
        worst = kernel_pictures.keep(
            conv2d, compute, dtype, entry.tolerance[dtype], tmp_path, report
        )
        assert 0 <= worst <= entry.tolerance[dtype] and [*report.kept] == NAMES
        files.append({name: (tmp_path / name).read_bytes() for name in NAMES})
    for name in NAMES:
        one, other = (decoded(content[name]).astype(int) for content in files)
        # A sum in another order may fall on the other side of a level's boundary.
        assert np.abs(one - other).max() <= 1 and (one != other).mean() < 1e-3


def a_wrong_pixel(output: NDArray[Any]) -> NDArray[Any]:
    output[7, 9] += 0.01
    return output


def test_a_wrong_picture_fails_the_trial(conv2d: Any, tmp_path: Path) -> None:
    report: Any = Report()
    with pytest.raises(WrongResult, match=r"the picture 'identity': element \(7, 9\)"):
        kernel_pictures.keep(
            conv2d,
            lambda _, inputs: a_wrong_pixel(conv2d.baseline(inputs)),
            "float32", 1e-5, tmp_path, report,
        )  # fmt: skip
    assert report.kept == {} and not [*tmp_path.iterdir()]


def test_a_full_disk_costs_the_pictures_alone(
    conv2d: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kernel_pictures, "write_file", full)
    report: Any = Report()
    compute: judging.Compute = lambda _, inputs: conv2d.baseline(inputs)  # noqa: E731
    kernel_pictures.keep(conv2d, compute, "float32", 1e-5, tmp_path, report)
    assert report.kept == {}
    assert "no filtered-sharpen.png" in capsys.readouterr().err


def offering(*shown: Shown, shape: Callable[[Any], tuple[int, ...]] = lambda _: (8, 8)) -> Any:
    return SimpleNamespace(pictures=lambda dtype: shown, output_shape=shape)


@pytest.mark.parametrize(
    ("kernel", "says"),
    [
        (offering(Shown("a", {}, {}), Shown("a", {}, {})), "a name of its own"),
        (offering(*(Shown(f"a{n}", {}, {}) for n in range(17))), "at most 16"),
        (offering(Shown("../a", {}, {})), "no name of small letters"),
        (offering(Shown("a", {}, {}), shape=lambda _: (8,)), r"has the shape \[8\]"),
        (offering(Shown("a", {}, {}), shape=lambda _: (2, 1025)), "at most 1024 on a side"),
    ],
)
def test_an_entry_that_cannot_be_shown_is_named(kernel: Any, says: str) -> None:
    with pytest.raises(EntryBroken, match=says):
        kernel_pictures.wanted(kernel, "float32")


def test_what_is_no_grey_is_cut_off() -> None:
    found = kernel_pictures.in_grey(np.array([[-0.5, 0.0, 0.5, 1.0, 7.0]]))
    assert found[:, :, 0].tolist() == [[0, 0, 128, 255, 255]]
