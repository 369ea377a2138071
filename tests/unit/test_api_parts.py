"""Parts of the API that need neither database nor request."""

from __future__ import annotations

import math

import pytest
from flask import Flask

from api.binding import UnsafeBinding, check_binding, is_loopback
from api.charts.line import Line, line_chart
from api.charts.scale import fit, label, linear_ticks
from api.files import safe_media_type
from api.pages.filters import bytes_value, metric_value, relative_time, spec_value
from api.pages.session import local_path
from api.paging import decode_cursor, encode_cursor
from api.problems import ApiProblem
from labpool.durations import duration

EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing is bound


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "::1", "[::1]"])
def test_loopback_needs_no_user(host: str) -> None:
    assert is_loopback(host)
    check_binding(host, 0)


@pytest.mark.parametrize(
    "host", [EVERYWHERE, "::", "", "192.168.1.2", "pool.lab", "localhost.evil"]
)
def test_other_addresses_need_one(host: str) -> None:
    with pytest.raises(UnsafeBinding, match="labpool user add"):
        check_binding(host, 0)
    check_binding(host, 1)


def test_cursors_come_back_as_they_were() -> None:
    for key, types in (([7], (int,)), ([1.5, "x", None], (float, str, int))):
        assert decode_cursor(encode_cursor(key), types) == tuple(key)
    assert decode_cursor(None, (int,)) is None


def test_cursors_of_others_are_refused() -> None:
    with Flask("x").test_request_context():
        for key, types in (([7], (str,)), ([True], (int,)), ([1, 2], (int,)), ([2**70], (int,))):
            with pytest.raises(ApiProblem):
                decode_cursor(encode_cursor(key), types)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (1, 12, [2.5, 5, 7.5, 10]),
        (-0.5, 0.5, [-0.4, -0.2, 0, 0.2, 0.4]),
        (0.001, 0.002, [0.001, 0.0012, 0.0014, 0.0016, 0.0018, 0.002]),
        (3, 3, [3]),
    ],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert linear_ticks(low, high) == pytest.approx(ticks)


def test_scales_hold_what_they_are_given() -> None:
    for values in ([1, 2], [5], [], [math.nan, 1], [-1e9, 1e9], [1e-300, 1e300]):
        scale = fit(values, 200, 0)
        for value in values:
            if math.isfinite(value):
                assert -1e-6 <= scale.position(value) <= 200 + 1e-6
        assert len(scale.ticks()) < 20
    log = fit([0.001, 1000], 0, 100, "log")
    assert log.kind == "log"
    assert log.position(1) == pytest.approx(50)
    assert fit([0, 10], 0, 100, "log").kind == "linear"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.25, "0.25"), (12345, "12.35k"), (2e6, "2M"), (1e-6, "1e-6"), (3e12, "3e12")],
)
def test_labels_are_short(value: float, text: str) -> None:
    assert label(value) == text


def test_a_chart_says_in_words_what_it_shows() -> None:
    chart = line_chart(
        "Loss <b>", [Line("training", [1, 2, 3], [2.0, math.nan, 0.5])], "epoch", ident="c"
    )
    assert "Loss &lt;b&gt;" in chart
    assert "training: 3 points from 2 to 0.5, least 0.5, greatest 2" in chart
    # The gap parts the curve in two.
    assert chart.count("M") == 2
    assert "style=" not in chart


def test_a_long_curve_keeps_its_peaks() -> None:
    ys = [0.0] * 50_000
    ys[31_234] = 9.0
    chart = line_chart("x", [Line("y", list(range(50_000)), ys)], "step", ident="c")

    assert "greatest 9" in chart
    assert len(chart) < 40_000
    points = chart.partition('<path d="M')[2].partition('"')[0].split("L")
    low = min(float(point.split(" ")[1]) for point in points)
    assert low < 30


def test_an_empty_chart_is_a_chart() -> None:
    assert "no values" in line_chart("x", [Line("y", [], [])], "epoch", ident="c")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.97, "0.9700"),
        (1.0, "1.0000"),
        (0.0123456, "0.01235"),
        (1234.5678, "1,234.6"),
        (120, "120"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (True, "True"),
    ],
)
def test_metrics_are_written_alike(value: object, text: str) -> None:
    assert metric_value(value) == text


def test_values_are_written_for_people() -> None:
    assert [bytes_value(n) for n in (0, 1023, 1536, 250_000, 3 * 2**30)] == [
        "0 B", "1023 B", "1.5 KiB", "244 KiB", "3.0 GiB",
    ]  # fmt: skip
    assert [duration(s) for s in (0.4, 59, 200, 7500)] == ["0 s", "59 s", "3 min 20 s", "2 h 5 min"]
    assert [relative_time(100 - age, 100) for age in (1, 30, 61)] == [
        "just now",
        "30 s ago",
        "1 min ago",
    ]
    assert spec_value({"a": [1, 2], "b": 1.0, "c": True}) == "a=[1, 2], b=1, c=true"


@pytest.mark.parametrize("path", ["/", "/trials/1?x=1", "/a%0d%0ab"])
def test_local_paths_stay(path: str) -> None:
    assert local_path(path) == path


@pytest.mark.parametrize("path", ["", "x", "//x", "/\\x", "/x\ny", "http://x", "/" + "x" * 999])
def test_other_paths_become_the_first_page(path: str) -> None:
    assert local_path(path) == "/"


def test_media_types_are_an_open_list_of_harmless_ones() -> None:
    assert safe_media_type("Image/PNG") == "image/png"
    assert safe_media_type("text/plain;charset=utf-7") == "text/plain; charset=utf-8"
    for risky in ("text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "", "x"):
        assert safe_media_type(risky) == "application/octet-stream"
