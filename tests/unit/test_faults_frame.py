"""The frame of the measures under faults: what counts as a pass."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from labpool.settings import CHECKOUT
from tests.faults import __main__ as command
from tests.faults import frame


def test_it_works() -> None:
    figures = {"lost": 0, "jain": 0.995, "guards": 9, "guards_caught": 9, "equal": True}
    bounds = {"lost": "== 0", "jain": ">= 0.99 and <= 1", "guards_caught": "== guards",
              "equal": "== true"}  # fmt: skip
    assert list(frame.out_of_bounds(figures, bounds)) == []


@pytest.mark.parametrize(
    ("figures", "bounds"),
    [
        ({"lost": 1}, {"lost": "== 0"}),
        ({"lost": None}, {"lost": "== 0"}),
        ({}, {"lost": "== 0"}),
        ({"jain": float("nan")}, {"jain": ">= 0.99"}),
        ({"jain": 1.5}, {"jain": ">= 0.99 and <= 1"}),
        ({"caught": 8, "guards": 9}, {"caught": "== guards"}),
        ({"caught": 8}, {"caught": "== guards"}),
        ({"equal": False}, {"equal": "== true"}),
    ],
)
def test_what_is_out_of_bounds(
    figures: Mapping[str, frame.Figure], bounds: Mapping[str, str]
) -> None:
    assert len(list(frame.out_of_bounds(figures, bounds))) == 1


def _fake(monkeypatch: pytest.MonkeyPatch, measure: frame.Measure) -> None:
    monkeypatch.setattr(frame, "names", lambda folder: ["fake"])
    monkeypatch.setattr(frame, "load", lambda name, folder: measure)


@pytest.mark.parametrize(("found", "status"), [(0, 0), (1, 1), (None, 1)])
def test_the_last_line_is_the_figures(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    found: frame.Figure,
    status: int,
) -> None:
    def figures(quick: bool) -> dict[str, frame.Figure]:
        print("progress")
        return {"lost": found}

    _fake(monkeypatch, frame.Measure(figures, {"lost": "== 0"}, {}))
    assert command.main([]) == status
    assert json.loads(capsys.readouterr().out) == {"lost": found}


def test_a_measure_that_breaks_fails_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def figures(quick: bool) -> dict[str, frame.Figure]:
        raise RuntimeError("no")

    _fake(monkeypatch, frame.Measure(figures, {}, {}))
    assert command.main([]) == 1


def test_full_bounds_hold_for_the_full_measure_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    measure = frame.Measure(lambda quick: {"trials": 40}, {}, {"trials": ">= 1000"})
    _fake(monkeypatch, measure)
    assert command.main(["--quick"]) == 0
    assert command.main([]) == 1


def test_measures_are_found_without_importing_them(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("import nothing\ndef figures(quick):\n    return {}\n")
    (tmp_path / "helper.py").write_text("raise RuntimeError\n")
    assert frame.names(tmp_path) == ["one"]


def test_every_measure_bounds_its_figures_and_the_frame_is_light() -> None:
    code = (
        "import sys\n"
        "from tests.faults import __main__, frame\n"
        "heavy = {'tensorflow', 'keras', 'sqlalchemy', 'hypothesis', 'pytest'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "for name in frame.names():\n"
        "    assert frame.load(name).bounds, name\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=True)
