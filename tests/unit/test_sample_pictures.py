"""When a model's samples are drawn, and what they must be."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from labpool.catalog import Catalog
from labpool.errors import CatalogError
from tests.support.png import decoded
from worker.runner import backend, files
from worker.runner.files import Written
from worker.runner.pictures import MOST_GRIDS, SamplePictures, Samples, due_epochs, samples_of
from worker.runner.reasons import EntryBroken

GOOD = np.full((2, 3, 4, 4, 1), 0.5, np.float32)


@pytest.fixture(scope="module", autouse=True)
def tensorflow() -> None:
    backend.prepare(1)


class Told:
    """Stands for the report to the slot."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def artifact(self, written: Written, name: str, media_type: str) -> None:
        assert media_type == "image/png" and written.name == name
        self.names.append(name)


class Net:
    """Stands for a network: something with weights."""

    model: Any = None

    def __init__(self) -> None:
        self.numbers = np.zeros(3)

    def weights(self) -> list[Any]:
        return [self.numbers]


def pictures(draw: Any, folder: Path, epochs: int = 20, every: int = 5) -> SamplePictures:
    return SamplePictures(Samples(draw, every), epochs, 9, "cpu", folder)


def drawn(draw: Any, folder: Path) -> Any:
    told = Told()
    pictures(draw, folder).after(1, Net(), told, is_last=False)  # type: ignore[arg-type]
    return told.names


def test_it_works(tmp_path: Path) -> None:
    seeds, told = [], Told()

    def draw(_: Any, seed: int) -> Any:
        seeds.append(seed)
        return GOOD

    one = pictures(draw, tmp_path, epochs=12)
    for epoch in range(1, 13):
        one.after(epoch, Net(), told, is_last=epoch == 12)  # type: ignore[arg-type]
    assert told.names == [f"samples-{epoch:06d}.png" for epoch in (1, 5, 10, 12)]
    assert seeds == [9] * 4, "the same noise each time"
    picture = decoded((tmp_path / told.names[0]).read_bytes())
    assert set(np.unique(picture)) == {128}


def test_a_run_that_ends_early_has_its_last_picture_once(tmp_path: Path) -> None:
    told, one = Told(), pictures(lambda *_: GOOD, tmp_path)
    one.after(7, Net(), told, is_last=False)  # type: ignore[arg-type]
    assert told.names == []
    for _ in range(2):
        one.after(7, Net(), told, is_last=True)  # type: ignore[arg-type]
    assert told.names == ["samples-000007.png"]


@pytest.mark.parametrize("epochs", [1, 2, 19, 110, 111, 115, 116, 5000, 1_000_000])
@pytest.mark.parametrize("every", [1, 5, 7, 10_000])
def test_there_are_never_too_many(epochs: int, every: int) -> None:
    due = due_epochs(epochs, every)
    assert {1, epochs} <= due and max(due) == epochs
    assert len(due) <= MOST_GRIDS
    inner = sorted(due - {1, epochs})
    assert all(epoch % every == 0 for epoch in inner)
    if epochs // every <= MOST_GRIDS - 2:
        assert due == {1, epochs, *range(every, epochs + 1, every)}, "none is left out in vain"
    else:
        assert len(due) >= MOST_GRIDS // 2


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (GOOD.astype(np.float64), "float64"),
        (GOOD[0], r"not float32 \[3, 4, 4, 1\]"),
        (np.repeat(GOOD, 2, axis=-1), r"1 or 3\], not"),
        (GOOD[:0], r"\[0, 3"),
        (np.where(GOOD > 0, np.float32("nan"), GOOD), "not finite"),
        (np.zeros((40, 1, 32, 32, 1), np.float32), "1319 pixels are more than 1024"),
    ],
)
def test_what_is_no_grid_is_refused(images: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(EntryBroken, match=words):
        drawn(lambda *_: images, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_drawing_must_not_change_the_model(tmp_path: Path) -> None:
    net = Net()

    def draw(*_: Any) -> Any:
        net.numbers = net.numbers + 1
        return GOOD

    with pytest.raises(EntryBroken, match="changed a variable"):
        pictures(draw, tmp_path).after(1, net, Told(), is_last=False)  # type: ignore[arg-type]


def test_a_full_disk_costs_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_whole", full)
    assert drawn(lambda *_: GOOD, tmp_path) == []
    assert "no picture of epoch 1" in capsys.readouterr().err

    def broken(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(files, "write_whole", broken)
    with pytest.raises(OSError, match="Input/output"):
        drawn(lambda *_: GOOD, tmp_path)


def test_the_catalog_says_how_often() -> None:
    code: Any = SimpleNamespace(samples=lambda parameters, model, seed: (parameters, model, seed))
    found = samples_of(code, {"pictures": {"every_epochs": 3}}, {"a": 1})
    assert found is not None and found.every_epochs == 3
    assert found.draw("model", 4) == ({"a": 1}, "model", 4)
    usual = samples_of(code, {}, {})
    assert usual is not None and usual.every_epochs == 5
    silent: Any = SimpleNamespace()
    assert samples_of(silent, {}, {}) is None
    with pytest.raises(EntryBroken, match="has no samples"):
        samples_of(silent, {"pictures": {}}, {})


@pytest.mark.parametrize("table", ["every_epochs = 0", "every_epochs = 1.5", "often = 1"])
def test_a_bad_table_is_named(tmp_path: Path, table: str) -> None:
    folder = tmp_path / "models" / "one"
    folder.mkdir(parents=True)
    text = f"title = 'One'\nsummary = 'x'\n[input]\nkind = 'any'\n[pictures]\n{table}\n"
    (folder / "model.toml").write_text(text)
    with pytest.raises(CatalogError, match=r"pictures\.(every_epochs|often)"):
        Catalog.load([tmp_path])
