"""Curves as the server draws them: smoothing, axes, gaps, colours, what the address may say."""

from __future__ import annotations

import math
import re

import pytest

from api.charts.colours import PALETTE_SIZE, look_of
from api.charts.line import Line, line_chart
from api.charts.options import MOST_SMOOTHING, ChartOptions
from api.charts.scale import Scale
from api.charts.smoothing import smoothed
from labpool.settings import CHECKOUT

STYLES = (CHECKOUT / "api" / "static" / "tokens.css").read_text(encoding="utf-8")


def test_it_works() -> None:
    # Half of the past each time, with what the start lacks put right.
    assert smoothed([4.0, 8.0], 0.5) == [4.0, pytest.approx((0.25 * 4 + 0.5 * 8) / 0.75)]


def test_a_level_curve_stays_level_from_its_first_point() -> None:
    assert smoothed([3.0] * 50, 0.99) == [pytest.approx(3.0)] * 50


def test_no_smoothing_changes_nothing() -> None:
    values = [1.0, -2.0, 5.0]
    assert smoothed(values, 0.0) == values


def test_gaps_stay_gaps() -> None:
    found = smoothed([1.0, math.nan, 1.0, math.inf], 0.9)
    assert math.isnan(found[1])
    assert found[0] == pytest.approx(found[2]) == 1
    assert math.isinf(found[3])


def test_smooth_curves_have_the_raw_ones_behind() -> None:
    line = Line("loss", [1, 2, 3], [3.0, 1.0, 2.0], colour=4)
    plain = line_chart("Loss", [line], "epoch", ident="c")
    smooth = line_chart("Loss", [line], "epoch", ident="c", smoothing=0.6)
    assert "raw" not in plain
    assert smooth.index("series-4 raw") < smooth.rindex('class="series series-4"')
    paths = re.findall(r'<path d="([^"]+)"', smooth)
    assert len(paths) == 2
    assert paths[0] != paths[1]
    assert paths[0] in plain


def test_values_that_were_not_finite_have_a_badge() -> None:
    chart = line_chart("x", [Line("y", [1, 2, 3], [math.nan, 1.0, math.inf])], "step", ident="c")
    assert re.search(r"data-nan[^>]*>NaN ×2<", chart)
    assert "NaN" not in line_chart("x", [Line("y", [1], [1.0])], "step", ident="c")


def test_names_are_text_and_lead_where_they_should() -> None:
    line = Line('<b>"', [1], [1.0], href="/trials/7")
    chart = line_chart("x", [line], "step", ident="c")
    assert '<a href="/trials/7">&lt;b&gt;&#34;</a>' in chart
    assert 'data-name="&lt;b&gt;&#34;"' in chart


@pytest.mark.parametrize(("low", "high"), [(1e-6, 1.0), (0.002, 0.004), (0.5, 2.0), (3.0, 3.1)])
def test_a_log_axis_can_be_read(low: float, high: float) -> None:
    ticks = Scale(low, high, 0, 100, "log").ticks()
    assert len(ticks) >= 2
    assert all(low <= tick <= high for tick in ticks)


def test_each_colour_is_in_the_style_sheet_light_and_dark() -> None:
    for index in (*range(PALETTE_SIZE), "context"):
        found = re.findall(rf"--series-{index}: (#[0-9a-f]{{6}});", STYLES)
        assert len(found) == 2, index
    light = [re.findall(rf"--series-{index}: (#\w+)", STYLES)[0] for index in range(PALETTE_SIZE)]
    assert len(set(light)) == PALETTE_SIZE


def test_a_trial_has_one_look_and_its_neighbours_others() -> None:
    looks = [look_of(trial_id) for trial_id in range(100, 116)]
    assert len(set(looks)) == 16
    assert look_of(107) == look_of(107)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ChartOptions()),
        (
            {"smooth": "0.6", "x": "time", "y": "log", "metric": "loss"},
            ChartOptions(0.6, "time", "log", "loss"),
        ),
        ({"smooth": "7", "x": "up", "y": "sideways", "metric": ""}, ChartOptions(MOST_SMOOTHING)),
        ({"smooth": "nan"}, ChartOptions()),
        ({"smooth": "-1"}, ChartOptions()),
        ({"smooth": "much"}, ChartOptions()),
    ],
)  # fmt: skip
def test_what_the_address_says(query: dict[str, str], expected: ChartOptions) -> None:
    assert ChartOptions.from_query(query) == expected
