"""A benchmark's result on its trial's page: times, roofline, transfer, compiler, GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from api.charts.colours import look_of
from api.charts.dot_strip import dot_strip
from api.charts.roofline import RoofPoint, roofline_chart
from api.pages.filters import bytes_value, metric_value
from api.pages.occupancy import occupancy_words
from api.pages.timed_parts import (
    Compiled,
    Gpu,
    Moment,
    Referee,
    Resources,
    Timing,
    Transfer,
    timings_of,
)
from db.reads.curves import Curve
from db.reads.trials import TrialRow
from labpool.roofline import Roofline, rate_text

_SAMPLES = "sample_ms"
_MOMENTS = (
    ("Clock", "clock_mhz", "MHz"),
    ("Memory clock", "memory_clock_mhz", "MHz"),
    ("Power", "power_w", "W"),
    ("Temperature", "temperature_c", "°C"),
)


@dataclass(frozen=True, slots=True)
class TransferLine:
    way: str
    milliseconds: str
    size: str
    rate: str


@dataclass(frozen=True, slots=True)
class KernelLine:
    """One entry of the compiled source; `words` are about its occupancy."""

    name: str
    found: Resources
    words: str

    @property
    def spills(self) -> int:
        return self.found.spill_store_bytes + self.found.spill_load_bytes


@dataclass(frozen=True, slots=True)
class TimedPanel:
    """`timings` are rows of text; `moments` have the name and the values before and after."""

    timings: list[tuple[str, list[str]]]
    discarded: int
    settled: bool | None
    strip: Markup | None
    roofline: Roofline | None
    roofline_chart: Markup | None
    roofline_rows: list[tuple[str, str]]
    referee: str
    transfers: list[TransferLine]
    compiled: Compiled | None
    kernels: list[KernelLine]
    gpu: Gpu | None
    moments: list[tuple[str, str, str]]
    throttled: list[str]


def timed_panel(trial: TrialRow, curves: Sequence[Curve]) -> TimedPanel | None:
    """None for what is no benchmark, or has no time yet."""
    if trial.kind != "benchmark" or not trial.metrics:
        return None
    timings, discarded = timings_of(trial.metrics, trial.summary)
    roofline = Roofline.of(trial.summary)
    compiled = Compiled.of(trial.summary.get("compile"))
    gpu = Gpu.of(trial.summary.get("gpu"))
    settled = trial.summary.get("settled")
    return TimedPanel(
        timings=[(name, _timing_cells(timing)) for name, timing in timings],
        discarded=discarded,
        settled=settled if isinstance(settled, bool) else None,
        strip=_strip(trial, curves, timings),
        roofline=roofline,
        roofline_chart=_roofline_chart(trial, roofline),
        roofline_rows=_roofline_rows(roofline),
        referee=_referee_words(trial),
        transfers=_transfers(Transfer.of(trial.summary.get("transfer"))),
        compiled=compiled,
        kernels=_kernels(compiled),
        gpu=gpu,
        moments=_moments(gpu),
        throttled=sorted({*gpu.before.throttled, *gpu.after.throttled}) if gpu else [],
    )


def _timing_cells(timing: Timing) -> list[str]:
    values = (
        None if timing.samples is None else int(timing.samples),
        timing.median_ms,
        timing.median_low_ms,
        timing.median_high_ms,
        timing.p5_ms,
        timing.p95_ms,
        timing.noise_percent,
    )
    return [metric_value(value) for value in values]


def _strip(
    trial: TrialRow, curves: Sequence[Curve], timings: Sequence[tuple[str, Timing]]
) -> Markup | None:
    samples = next((curve.values for curve in curves if curve.name == _SAMPLES), None)
    if samples is None or not timings:
        return None
    timing = timings[0][1]
    interval = timing.median_low_ms, timing.median_high_ms
    if not min(timing.median_ms, *interval) > 0:
        return None
    known = [value for value in samples if value is not None]
    taken = int(timing.samples or len(known))
    look = look_of(trial.id)
    return dot_strip("strip", "Samples", known, timing.median_ms, interval, look, taken)


def _roofline_chart(trial: TrialRow, roofline: Roofline | None) -> Markup | None:
    rate = trial.metrics.get("gflop_s")
    if roofline is None or not isinstance(rate, int | float) or not 0 < rate < 1e15:
        return None
    point = RoofPoint(f"Trial {trial.id}", roofline.intensity, rate, look_of(trial.id).classes)
    return roofline_chart("roofline", "Roofline", roofline, [point])


def _roofline_rows(roofline: Roofline | None) -> list[tuple[str, str]]:
    if roofline is None:
        return []
    return [
        ("Measured peak of memory", f"{rate_text(roofline.peak_gb_s)} GB/s"),
        ("Measured peak of arithmetic", f"{rate_text(roofline.peak_gflop_s)} GFLOP/s"),
        ("Operations a byte", f"{roofline.intensity:.4g}"),
        ("Attainable at these", f"{rate_text(roofline.attainable_gflop_s)} GFLOP/s"),
        ("Reached of it", f"{roofline.percent:.1f} %"),
        ("Peaks measured", roofline.measured_at or "–"),
    ]


def _referee_words(trial: TrialRow) -> str:
    found = Referee.of(trial.summary.get("referee"))
    if found is None:
        return ""
    least = f"{metric_value(found.least_ms)} ms"
    if found.verdict == "possible":
        return f"Physics allows it: by the measured peaks it takes at least {least}."
    return (
        f"Physics does not allow it: by the measured peaks it takes at least {least}. {found.why}"
    )


def _transfers(transfer: Transfer | None) -> list[TransferLine]:
    if transfer is None:
        return []
    ways = (
        ("To the device", transfer.to_device_ms, transfer.bytes_to_device),
        ("From the device", transfer.from_device_ms, transfer.bytes_from_device),
    )
    return [
        TransferLine(
            way,
            metric_value(milliseconds),
            bytes_value(size),
            metric_value(size / milliseconds / 1e6) if milliseconds else "–",
        )
        for way, milliseconds, size in ways
    ]


def _kernels(compiled: Compiled | None) -> list[KernelLine]:
    if compiled is None:
        return []
    return [
        KernelLine(name, found, occupancy_words(compiled.architecture, found))
        for name, found in compiled.kernels.items()
    ]


def _moments(gpu: Gpu | None) -> list[tuple[str, str, str]]:
    if gpu is None:
        return []
    lines = [
        (name, _moment(gpu.before, field, unit), _moment(gpu.after, field, unit))
        for name, field, unit in _MOMENTS
    ]
    throttled = [", ".join(moment.throttled) or "no" for moment in (gpu.before, gpu.after)]
    return [*lines, ("Throttled", throttled[0], throttled[1])]


def _moment(moment: Moment, field: str, unit: str) -> str:
    value = getattr(moment, field)
    return "–" if value is None else f"{value:,.4g} {unit}"
