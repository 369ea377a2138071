"""What the charts and tables of benchmarks are made of."""

from __future__ import annotations

import re
from typing import Any

import pytest

from api.charts.colours import look_of
from api.charts.dot_strip import dot_strip
from api.charts.lines import Line as Curve
from api.charts.log_log import log_log_chart
from api.charts.roofline import RoofPoint, roofline_chart
from api.pages.occupancy import occupancy_words, warps_by_registers
from api.pages.speed_grid import grids_of
from api.pages.timed_parts import Compiled, Resources, Transfer, timings_of
from labpool.benchmarks import Timed, lines_of
from labpool.roofline import Roofline
from tests.support import timed


def roofline() -> Roofline:
    found = Roofline.of(timed.summary(0.004))
    assert found is not None
    return found


def numbers_of(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", path)]


def test_it_works() -> None:
    roof = roofline()
    points = [
        RoofPoint("below", 0.5, 1000.0, "series-1", "/trials/1"),
        RoofPoint("on it", 150.0, 60_000.0, "series-2"),
    ]
    chart = roofline_chart("r", "Roofline", roof, points)
    [path] = re.findall(r'class="roof" d="M([^"]+)"', chart)
    start, ridge, end = numbers_of(path)
    assert start[1] > ridge[1] == end[1], "it rises, then it is level"
    assert start[0] < ridge[0] < end[0]
    dots = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="5"', chart)
    assert float(dots[0][1]) > ridge[1], "half of what the roof allows lies under it"
    assert float(dots[1][1]) == ridge[1]
    assert '<a href="/trials/1">below</a>' in chart
    assert "4,000 GB/s" in chart and "60,000 GFLOP/s" in chart
    assert "up to 15 operations a byte" in chart
    assert "style=" not in chart


def test_a_point_hangs_from_the_roof() -> None:
    chart = roofline_chart("r", "R", roofline(), [RoofPoint("p", 1.0, 2000.0, "series-0")])
    [line] = re.findall(r'<line x1="([\d.]+)" x2="\1" y1="([\d.]+)" y2="([\d.]+)"/><circle', chart)
    assert float(line[1]) < float(line[2])


@pytest.mark.parametrize(("peak_gb_s", "peak_gflop_s"), [(85.31, 7.976), (4000.0, 60_000.0)])
def test_the_roof_does_not_run_through_its_own_rate(peak_gb_s: float, peak_gflop_s: float) -> None:
    roof = Roofline.of({
        "roofline": {
            "peak_gb_s": peak_gb_s, "peak_gflop_s": peak_gflop_s, "intensity": 1 / 6,
            "attainable_gflop_s": 1.0, "limit": "memory", "percent": 50.0, "measured_at": "now",
        }
    })  # fmt: skip
    assert roof is not None
    drawn = str(roofline_chart("r", "Roofline", roof, [RoofPoint("a", 1 / 6, 5.0, "")]))
    (path,) = re.findall(r'class="roof" d="M([^"]+)"', drawn)
    begin, ridge, _ = ([*map(float, corner.split())] for corner in path.split("L"))
    end, base = map(float, re.findall(r'roof-label" x="([\d.]+)" y="([\d.]+)"', drawn)[0])
    slope = (ridge[1] - begin[1]) / (ridge[0] - begin[0])
    assert base <= max(12.0, ridge[1], begin[1] + slope * (end - begin[0])) - 5


def test_samples_are_dots_by_time_and_order() -> None:
    strip = dot_strip("s", "Samples", [1.0, 2.0, 1.5], 1.5, (1.2, 1.8), look_of(3), 3)
    dots = [
        (float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', strip)
    ]
    assert dots[0][0] < dots[2][0] < dots[1][0]
    assert dots[0][1] < dots[1][1] < dots[2][1]
    [(left, width)] = re.findall(r'class="band" x="([\d.]+)" y="\d+" width="([\d.]+)"', strip)
    [middle] = re.findall(r'class="middle" x1="([\d.]+)"', strip)
    assert float(left) < float(middle) < float(left) + float(width)
    assert "3 samples from 1 to 2 ms" in strip
    assert "3 of 900 samples" in dot_strip("s", "S", [1.0, 2, 3], 1, (1, 1), look_of(3), 900)


def test_samples_over_decades_and_no_samples_can_be_drawn() -> None:
    wide = dot_strip("s", "S", [1.0, float("nan"), 0.0, 1000.0], 1.0, (1.0, 1.0), look_of(0), 4)
    assert wide.count("<circle") == 2
    assert 'width="1.0"' in wide, "an interval without width is seen all the same"
    empty = dot_strip("s", "S", [], 1.0, (0.9, 1.1), look_of(0), 0)
    assert "<circle" not in empty and "median 1 ms" in empty


def test_sizes_are_drawn_over_decades() -> None:
    curve = Curve("wide", [1e3, 1e4, 1e5, 1e6], [1.0, 10.0, 0.0, 100.0])
    chart = log_log_chart("l", "GB/s by size", [curve], "n")
    [path] = re.findall(r'<path d="M([^"]+)"', chart)
    at = numbers_of(path)
    assert len(at) == 3, "nothing at 0 can be on a log axis"
    assert (at[1][0] - at[0][0]) * 2 == pytest.approx(at[2][0] - at[1][0], abs=0.3)
    assert at[0][1] - at[1][1] == pytest.approx(at[1][1] - at[2][1], abs=0.2)
    assert "wide 100 at 1M" not in chart and "wide: 100 at 1M" in chart
    assert "<svg" in log_log_chart("l", "none", [Curve("x", [], [])], "n")


def grid_lines(**many: list[Any]) -> Any:
    """A line for each combination of variants, threads and sizes."""
    trial, found = 0, []
    for n in many.get("n", [10**6]):
        for variant in many.get("variant", ["wide"]):
            for threads in many.get("threads", [128, 256]):
                trial += 1
                took = timed.metrics(1000.0 / (threads + (variant == "wide")), n)
                spec = timed.spec(n, variant, threads)
                found.append(Timed(trial, "gpu", spec, took, timed.summary(1.0, n)))
    return lines_of(found)


def test_a_grid_has_variants_down_and_one_parameter_across() -> None:
    notes: list[str] = []
    lines = grid_lines(variant=["one_each", "wide"], threads=[64, 1024, 256])
    [grid] = grids_of(lines, "gb_s", notes)
    assert (grid.across, grid.down, grid.columns) == ("threads", "variant", ["64", "256", "1024"])
    assert [head for head, _ in grid.rows] == ["one_each", "wide"]
    shades = [[cell.shade for cell in cells] for _, cells in grid.rows]
    assert shades == [["speed-0", "speed-0", "speed-4"], ["speed-0", "speed-1", "speed-5"]]
    assert [cell.best for _, cells in grid.rows for cell in cells].index(True) == 5
    assert grid.title == "GB/s at 1,000,000"
    assert notes == []


def test_a_grid_for_each_size_and_none_without_launch_parameters() -> None:
    notes: list[str] = []
    grids = grids_of(grid_lines(n=[10**power for power in range(1, 9)]), "gb_s", notes)
    assert len(grids) == 6 and notes == ["Grids of 6 of 8 sizes and types are shown."]
    assert grids[-1].title == "GB/s at 100,000,000" and grids[-1].rows[0][0] == ""
    assert grids_of(grid_lines(threads=[128], n=[1, 2]), "gb_s", notes) == []
    assert grids_of([], "gb_s", notes) == []


@pytest.mark.parametrize(
    ("registers", "warps"), [(16, 64), (32, 64), (33, 48), (64, 32), (128, 16), (168, 12), (255, 8)]
)
def test_registers_bound_the_warps(registers: int, warps: int) -> None:
    # By hand: 33 x 32 = 1,056 are given as 1,280, of which a quarter of 65,536 holds 12.
    assert warps_by_registers(64, registers) == warps


def test_only_what_is_sure_is_said_of_occupancy() -> None:
    few = Resources(**timed.RESOURCES)
    many = Resources(**{**timed.RESOURCES, "registers": 128, "shared_bytes": 48 * 1024})
    assert occupancy_words("sm_90", few) == (
        "Registers do not limit occupancy: there are enough for all 64 warps."
    )
    assert occupancy_words("sm_90a", many) == (
        "Registers allow at most 16 of 64 warps at once. "
        "Shared memory allows at most 4 blocks at once."
    )
    assert "at most 1 block at once" in occupancy_words("sm_75", many)
    assert occupancy_words("sm_121", many) == ""
    assert occupancy_words("sm_90", Resources(**{**timed.RESOURCES, "registers": 0})) == ""


def test_times_are_told_in_every_way_there_is() -> None:
    ways, discarded = timings_of(timed.metrics(1.0), timed.summary(1.0))
    assert [name for name, _ in ways] == ["cold", "batch"] and discarded == 3
    before, none = timings_of(timed.metrics(1.0), {"caches": "warm"})
    assert [name for name, _ in before] == ["warm"] and none == 0
    assert timings_of({}, {"timing": "quick"}) == ([], 0)


@pytest.mark.parametrize(
    "content",
    [
        None,
        "text",
        {},
        {"to_device_ms": -1, "from_device_ms": 1, "bytes_to_device": 1, "bytes_from_device": 1},
        {"to_device_ms": "<b>", "from_device_ms": 1, "bytes_to_device": 1, "bytes_from_device": 1},
        {"to_device_ms": float("nan"), "from_device_ms": 1, "bytes_to_device": 1,
         "bytes_from_device": 1},
    ],
)  # fmt: skip
def test_a_runner_that_talks_nonsense_gets_no_part(content: Any) -> None:
    assert Transfer.of(timed.summary(1.0)["transfer"]) is not None
    assert Transfer.of(content) is None


def test_a_log_is_cut_where_it_has_to_end() -> None:
    found = Compiled.of({**timed.summary(1.0)["compile"], "log": "x" * 100_000})
    assert found is not None and len(found.shown_log) == 16 * 1024
