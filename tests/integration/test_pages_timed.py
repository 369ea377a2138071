"""The pages of benchmarks: one trial's times, and a sweep over sizes, variants and launches."""

from __future__ import annotations

import itertools
import re
from html import unescape
from typing import Any

import pytest

from tests.support import timed, timed_rows
from tests.support.api import BENCHMARK, TRAIN, Api, claimed, succeeded
from tests.support.timed_rows import COUNT, SWEEP, record

pytest_plugins = ["tests.support.api_fixtures"]

ONE: dict[str, Any] = {
    "kind": "benchmark", "kernel": "saxpy", "device": "gpu", "sizes": {"n": 1_000_000},
}  # fmt: skip


def page_of(api: Api, path: str) -> str:
    answer = api.browser().get(path)
    assert answer.status_code == 200
    return answer.text


def one_timed(api: Api, change: timed_rows.Change | None = None) -> str:
    """The page of one benchmark."""
    api.submitted(ONE)
    [trial] = record(api.database, api.catalog, 1, change)
    return page_of(api, f"/trials/{trial}")


def panel(page: str, ident: str) -> str:
    """A section of a page, as text between tags."""
    [found] = re.findall(rf'<section class="panel" id="{ident}".*?</section>', page, re.DOTALL)
    return str(found)


def words(markup: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", markup)).split())


def test_it_works(quick_api: Api) -> None:
    page = one_timed(quick_api)
    timing = panel(page, "timing")
    rows = [words(row) for row in re.findall(r"<tr>.*?</tr>", timing)]
    assert rows[1] == "cold 40 0.006615 ms 0.006582 – 0.006648 ms 0.006549 – 0.006682 ms 0.5000 %"
    assert rows[2].startswith("batch 40 ")
    assert "3 samples discarded: the clock was low" in timing
    assert "Memory is the limit: its 0.167 operations a byte" in words(timing)
    assert timing.count("<svg") == 2 and timing.count('class="strip ') == 1
    assert timing.count("<circle") == 41, "40 samples, and a point under the roof"
    assert "Measured peak of memory 4,000 GB/s" in words(timing)
    assert "Physics allows it: by the measured peaks it takes at least 0.003 ms." in words(timing)

    assert words(panel(page, "transfer")).endswith(
        "To the device 0.2500 ms 7.6 MiB 32 GB/s From the device 0.1250 ms 3.8 MiB 32 GB/s"
    )
    compiled = words(panel(page, "compiled"))
    assert "NVRTC 12.9 for sm_90, 0.31 s" in compiled
    assert "saxpy Registers do not limit occupancy" in compiled and "none" in compiled
    assert "--std=c++17 -DREAL=float" in compiled
    gpu = words(panel(page, "gpu"))
    assert "Test GPU, 16 GiB · driver 575.1 · CUDA 12.9" in gpu
    assert "Clock 1,980 MHz 1,965 MHz" in gpu and "Throttled: power cap." in gpu
    assert "GPU-0000" in gpu


def test_a_compiler_cannot_write_into_the_page(quick_api: Api) -> None:
    compiled = panel(one_timed(quick_api), "compiled")
    assert "<b>" not in compiled
    assert "warning: &lt;b&gt;a variable is not used&lt;/b&gt;" in compiled


def test_spills_are_named(quick_api: Api) -> None:
    def spilling(_: dict[str, Any], summary: dict[str, Any]) -> None:
        spills = {"spill_store_bytes": 64, "spill_load_bytes": 128}
        summary["compile"]["kernels"]["saxpy"] = {**timed.RESOURCES, **spills}
        summary["compile"].update(log="", cached=True)

    compiled = words(panel(one_timed(quick_api, spilling), "compiled"))
    assert "64 B out, 128 B in" in compiled
    assert "The compiler said nothing." in compiled and "from the cache" in compiled


def test_what_a_result_lacks_is_left_out(quick_api: Api) -> None:
    def plain(_: dict[str, Any], summary: dict[str, Any]) -> None:
        for name in ("timing", "roofline", "transfer", "compile", "gpu", "referee"):
            del summary[name]
        summary.update(caches="warm", settled=False)

    page = one_timed(quick_api, plain)
    timing = words(panel(page, "timing"))
    assert "No roofline: the peaks of this device have not been measured." in timing
    assert "warm 40 0.006615 ms" in timing and "The budget was spent" in timing
    assert not re.search(r'id="(transfer|compiled|gpu|roofline)"', page)


@pytest.mark.parametrize("part", ["timing", "roofline", "transfer", "compile", "gpu", "referee"])
def test_nonsense_in_one_part_spoils_no_other(quick_api: Api, part: str) -> None:
    def spoil(_: dict[str, Any], summary: dict[str, Any]) -> None:
        summary[part] = {"cold": 7, "kernels": "<b>", "name": ["x"], "percent": -1}

    page = one_timed(quick_api, spoil)
    shown = set(re.findall(r'<section class="panel" id="(\w+)"', page))
    ids = {"transfer": "transfer", "compile": "compiled", "gpu": "gpu"}
    lacking = {ids[part]} if part in ids else set()
    assert {"timing", "transfer", "compiled", "gpu"} - shown == lacking


def test_what_is_not_timed_has_no_panel(quick_api: Api) -> None:
    quick_api.submitted(TRAIN)
    succeeded(quick_api, claimed(quick_api))
    assert 'id="timing"' not in page_of(quick_api, "/trials/1")
    assert 'id="timed"' not in page_of(quick_api, "/experiments/1")
    quick_api.submitted(BENCHMARK)
    waiting = page_of(quick_api, "/trials/2")
    assert 'id="timing"' not in waiting
    assert "pages/timed.css" in waiting, "the panel comes by itself when there is a time"


def test_a_sweep_is_a_table_with_verdicts(quick_api: Api) -> None:
    experiment, trials = quick_api.submitted(SWEEP)
    assert len(trials) == COUNT
    record(quick_api.database, quick_api.catalog, COUNT)
    section = panel(page_of(quick_api, f"/experiments/{experiment}"), "timed")
    rows = [words(row) for row in re.findall(r"<tr>.*?</tr>", section)[1:]]
    assert len(rows) == COUNT
    assert rows[0].startswith("1 10,000 one_each, threads=128 ") and rows[0].endswith(" first")
    ends = [row.rsplit(" ", 1)[1] for row in rows]
    assert ends[:6] == ["first", *["SAME"] * 5], "at this size all take what a start takes"
    assert ends[-6:] == ["first", *["FAST"] * 5]
    assert 'title="against trial 9">FAST' in section


def test_a_sweep_is_drawn_by_size_and_under_the_roof(quick_api: Api) -> None:
    experiment, _ = quick_api.submitted(SWEEP)
    record(quick_api.database, quick_api.catalog, COUNT)
    page = page_of(quick_api, f"/experiments/{experiment}")
    section = panel(page, "timed")
    assert "<span>GB/s by size</span>" in section
    by_size = section.partition('id="by-size"')[2].partition("</figure>")[0]
    assert by_size.count("data-name=") == 6 and by_size.count('class="mark"') == COUNT
    assert '<a href="/trials/30">wide, threads=512 at 100,000,000</a>' in section

    grids = panel(page, "grids")
    assert grids.count('class="speed-grid"') == 5
    assert grids.count("speed-5") == grids.count(" fastest</span>") == 5
    assert "GB/s at 10,000; threads across, variant down" in words(grids)
    assert re.search(r'class="speed-5" title="Trial 20: [^"]+"><a href="/trials/20">', grids)


def test_peaks_that_were_measured_anew_are_one_roof(quick_api: Api) -> None:
    """Every trial measures its own, so no two are ever equal to the last digit."""
    drift = itertools.count()

    def remeasured(_: dict[str, Any], summary: dict[str, Any]) -> None:
        summary["roofline"]["peak_gb_s"] *= 0.98 + next(drift) / 1000

    experiment, _ = quick_api.submitted(SWEEP)
    record(quick_api.database, quick_api.catalog, COUNT, remeasured)
    section = panel(page_of(quick_api, f"/experiments/{experiment}"), "timed")
    drawn = section.partition('id="roofline"')[2].partition("</figure>")[0]
    assert drawn.count("<circle") == 6, "the best of each way"
    assert "The roofline has" not in section


def test_results_under_other_peaks_are_left_out_and_counted(quick_api: Api) -> None:
    every = itertools.count(1)

    def slower(_: dict[str, Any], summary: dict[str, Any]) -> None:
        if next(every) <= 10:
            summary["roofline"]["peak_gflop_s"] /= 2

    experiment, _ = quick_api.submitted(SWEEP)
    record(quick_api.database, quick_api.catalog, COUNT, slower)
    section = panel(page_of(quick_api, f"/experiments/{experiment}"), "timed")
    assert "The roofline has 20 of 30 results" in words(section)


def test_a_sweep_that_is_half_done_shows_what_there_is(quick_api: Api) -> None:
    experiment, _ = quick_api.submitted(SWEEP)
    record(quick_api.database, quick_api.catalog, 1)
    assert 'id="timed"' not in page_of(quick_api, f"/experiments/{experiment}")
    record(quick_api.database, quick_api.catalog, 1)
    section = panel(page_of(quick_api, f"/experiments/{experiment}"), "timed")
    assert len(re.findall("<tr>", section)) == 3
    assert 'id="by-size"' not in section, "there is one size so far"


def test_many_sizes_at_once_are_drawn_by_bytes(quick_api: Api) -> None:
    space = {"sizes.rows": [64, 128], "sizes.columns": [64, 128], "device": ["cpu"]}
    spec = {**SWEEP, "base": {"kind": "benchmark", "kernel": "transpose"}, "space": space}
    experiment, trials = quick_api.submitted(spec)
    for number, _ in enumerate(trials):
        succeeded(quick_api, claimed(quick_api), **timed.metrics(0.1 * (number + 1)))
    page = page_of(quick_api, f"/experiments/{experiment}")
    assert ">bytes moved</text>" in panel(page, "timed")
    text = words(panel(page, "timed"))
    assert "rows=64, columns=128" in text
    assert " first " not in text.partition("Verdict")[2], "each size stands by itself"
