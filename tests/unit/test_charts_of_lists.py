"""Axes, small curves, parallel coordinates: what stands where."""

from __future__ import annotations

import itertools
import math
import re

import pytest

from api.charts.axis import axis_of
from api.charts.colours import PALETTE_SIZE, look_of
from api.charts.parallel_coordinates import Thread, parallel_coordinates
from api.charts.sparkline import sparkline
from api.pages.lists import cursor_of, place_of
from api.pages.measures import measure_column
from db.reads.keyset import Place


def test_numbers_that_span_decades_are_placed_by_their_logarithms() -> None:
    axis = axis_of("rate", [1e-4, 1e-3, 1e-2, 1e-1])
    shares = [axis.share(value) for value in (1e-4, 1e-3, 1e-2, 1e-1)]

    assert axis.kind == "log"
    assert all(share is not None for share in shares)
    steps = [after - before for before, after in itertools.pairwise(shares)]
    assert steps == pytest.approx([steps[0]] * 3)
    assert axis.share(0) is None
    assert axis.share(-1) is None


def test_near_numbers_are_placed_evenly_and_inside() -> None:
    axis = axis_of("size", [16, 32, 64])

    assert axis.kind == "linear"
    low, middle, high = (axis.share(value) for value in (16, 32, 64))
    assert 0 < low < middle < high < 1
    assert axis.share("16") is None
    assert axis.share(math.nan) is None
    assert axis_of("one", [5, 5]).share(5) == pytest.approx(0.5)


def test_words_lists_and_truths_have_a_place_each() -> None:
    axis = axis_of("odd", ["sgd", "adam", True, [16, 8], None, 3])
    shares = {str(value): axis.share(value) for value in ("sgd", "adam", True, [16, 8], 3)}

    assert axis.kind == "words"
    assert len(set(shares.values())) == 5
    assert axis.share(None) is None
    assert axis.share("other") is None
    assert [text for _, text in axis.ticks()] == sorted(axis.words)
    crowd = axis_of("many", [f"w{number:02d}" for number in range(40)])
    assert len(crowd.words) == 12
    assert crowd.share("w39") is None


def test_neighbours_look_different() -> None:
    looks = [look_of(trial_id) for trial_id in range(1, 2 * PALETTE_SIZE + 1)]

    assert len(set(looks)) == 2 * PALETTE_SIZE
    assert look_of(7) == look_of(7)
    assert look_of(12).classes == "series-4 dashed"


def test_a_sparkline_keeps_its_ends_and_skips_what_is_not_finite() -> None:
    drawn = sparkline("val accuracy", [0.5, None, math.nan, 0.75, 1.0], look_of(1))
    points = re.findall(r"[\d.]+ ([\d.]+)", drawn.partition('d="')[2].partition('"')[0])

    assert [float(point) for point in points] == [22.0, 12.0, 2.0]
    assert "from 0.5 to 1, 3 points" in drawn
    assert sparkline("x", [1.0], look_of(1)) == ""
    long = sparkline("x", [float(n) for n in range(1000)], look_of(1))
    assert long.count("L") == 47
    assert "1000 points" in long
    flat = sparkline("x", [2.0, 2.0], look_of(1))
    assert "nan" not in flat


def test_hostile_names_stay_text_in_pictures() -> None:
    name = '"><script>x</script>'
    axes = [axis_of(name, [name, "b"]), axis_of("result", [0.1, 0.2])]
    threads = [
        Thread(1, [name, 0.1], [name, "0.1"], "series-1"),
        Thread(2, ["b", None], ["b", ""], "x"),
    ]
    drawn = parallel_coordinates(name, axes, threads)

    assert "<script>" not in drawn
    assert 'data-at="0.2500 ' in drawn or 'data-at="0.7500 ' in drawn
    assert "<title>Trial 2: &#34;&gt;&lt;script&gt;x&lt;/script&gt; b</title>" in drawn


@pytest.mark.parametrize("value", [None, 3, -7, 0.1, 1e300, "", "name-with-ünï", "f1.5"])
def test_a_cursor_brings_its_place_back(value: float | str | None) -> None:
    place = Place(1, value, 42)
    assert place_of("column", cursor_of("column", place)) == place


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("metrics.test_accuracy", True),
        (" params.parameters.hidden ", True),
        ("params.a.b.c", False),
        ("metrics.a.b", False),
        ("metrics.", False),
        ('metrics.a"b', False),
        ("metrics.a b", False),
        ("state", False),
        ("specs.x", False),
    ],
)
def test_a_measure_is_named_by_plain_words(text: str, kept: bool) -> None:
    assert measure_column(text) == (text.strip() if kept else None)
