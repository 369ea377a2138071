"""What a board's TOML may say beside its metric, and how a mistake in it reads."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from labpool.catalog import BoardEntry, Catalog
from labpool.errors import CatalogError

BOARD = """
title = "One"
summary = "A board."
kind = "train"
metric = "test_accuracy"
unit = "share"
direction = "maximize"
device = "gpu"
[where]
dataset = "fetched_some_day"
"""


def board(tmp_path: Path, more: str = "") -> BoardEntry:
    (tmp_path / "boards").mkdir()
    (tmp_path / "boards" / "one.toml").write_text(BOARD + more)
    return Catalog.load([tmp_path]).boards["one"]


def test_it_works(tmp_path: Path) -> None:
    found = board(
        tmp_path,
        '[window]\nsince = 2026-01-05\nuntil = 2026-02-01\n[[baselines]]\nname = "A"\n'
        'value = 0.5\nsource = "b"\n',
    )
    assert found.device == "gpu"
    assert found.window.from_s == datetime(2026, 1, 5, tzinfo=UTC).timestamp()
    assert found.window.before_s == datetime(2026, 2, 2, tzinfo=UTC).timestamp(), "the day belongs"
    assert found.window.text == "since 2026-01-05, until 2026-02-01"
    assert [(item.name, item.value, item.source) for item in found.baselines] == [("A", 0.5, "b")]


def test_nothing_said_is_all_time(tmp_path: Path) -> None:
    window = board(tmp_path).window
    assert (window.from_s, window.before_s, window.days, window.text) == (None, None, None, "")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("[window]\nsince = 2026-02-01\nuntil = 2026-01-01\n", "window: .*later than until"),
        ("[window]\ndays = 0\n", "window.days"),
        ('[window]\nsince = "spring"\n', "window.since"),
        ("[window]\nfrom = 2026-02-01\n", "window.from"),
        ('[[baselines]]\nname = "A"\nvalue = 0.5\n', "baselines.0.source"),
        ('[[baselines]]\nname = "A"\nvalue = nan\nsource = "b"\n', "baselines.0.value"),
        ('[[baselines]]\nname = ""\nvalue = 1\nsource = "b"\n', "baselines.0.name"),
    ],
)
def test_a_mistake_is_named_with_its_key(tmp_path: Path, more: str, message: str) -> None:
    with pytest.raises(CatalogError, match=message):
        board(tmp_path, more)


def test_the_data_set_is_as_it_is_by_default_where_nothing_is_said(tmp_path: Path) -> None:
    parameter = '[parameters.{}]\ntype = "{}"\ndefault = {}\nmeaning = "m"\n'
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "fetched_some_day.toml").write_text(
        'title = "D"\nsummary = "D."\nsource = "s"\nlicense = "l"\nkind = "vector"\n'
        "shape = [2]\nclasses = 2\n"
        "[splits]\nseed = 1\nvalidation = 0.2\ntest = 0.2\n"
        + parameter.format("noise", "number", 0.25)
        + parameter.format("turns", "integer", 3)
        + parameter.format("mirrored", "boolean", "false")
    )
    found = board(tmp_path, '"dataset_parameters.turns" = 5\n')
    assert found.where == {
        "dataset": "fetched_some_day",
        "dataset_parameters.turns": 5,
        "dataset_parameters.noise": 0.25,
        "dataset_parameters.mirrored": False,
    }
