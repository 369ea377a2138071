"""The table of `make gpu-test`: each kernel and variant, and the targets that they are held to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

MOST_NOISE_PERCENT = 1.0
MOST_DIFFERENCE_PERCENT = 2.0
COPY = "copy"
# Within the device: the others move bytes over the bus.
COPIES_WITHIN = ("on_device", "one_each", "by_driver")
SHARE_OF_COPY = {COPY: 90.0, "saxpy": 90.0, "vector_add": 90.0, "reduce_sum": 90.0}
TRANSPOSE, PADDED, SHARE_OF_PADDED = "transpose", "padded", 85.0
MATMUL, SHARE_OF_LIBRARY = "matmul", 60.0


@dataclass(frozen=True)
class Row:
    """One variant as the harness measured it; times in ms.

    ``peak_gb_s`` is the copy peak that was measured beside it, ``independent_ms`` the median of a
    loop of its own. None is what was not measured. ``failed`` says why there are no numbers.
    """

    kernel: str
    variant: str
    median_ms: float | None = None
    noise_percent: float | None = None
    gb_s: float | None = None
    gflop_s: float | None = None
    percent_of_peak: float | None = None
    peak_gb_s: float | None = None
    independent_ms: float | None = None
    failed: str = ""

    @classmethod
    def of(
        cls,
        kernel: str,
        variant: str,
        metrics: Mapping[str, float],
        summary: Mapping[str, Any],
        independent_ms: float | None,
    ) -> Row:
        """From a result as a runner sends it."""
        names = ("median_ms", "noise_percent", "gb_s", "gflop_s", "percent_of_peak")
        roofline = summary.get("roofline")
        peak = roofline.get("peak_gb_s") if isinstance(roofline, Mapping) else None
        known = {name: metrics.get(name) for name in names}
        return cls(kernel, variant, **known, peak_gb_s=peak, independent_ms=independent_ms)

    @property
    def difference_percent(self) -> float | None:
        """By how much the two medians differ, as a share of the independent one."""
        if self.median_ms is None or not self.independent_ms:
            return None
        return 100 * abs(self.median_ms - self.independent_ms) / self.independent_ms


@dataclass(frozen=True)
class Target:
    """What was asked for and what was found; ``found`` is None where it was not measured."""

    name: str
    wanted: float
    found: float | None
    at_most: bool = False

    @property
    def met(self) -> bool:
        """What was not measured is not met."""
        if self.found is None:
            return False
        return self.found <= self.wanted if self.at_most else self.found >= self.wanted


def targets_of(rows: Sequence[Row], library_gflop_s: float | None) -> list[Target]:
    """The targets of a GPU; ``library_gflop_s`` is the vendor's fp32 product at the same size."""
    best_copy = _most(
        [row.peak_gb_s for row in rows]
        + [row.gb_s for row in rows if row.kernel == COPY and row.variant in COPIES_WITHIN]
    )
    found = [
        Target(f"{kernel}: % of the best copy", wanted, _share(_best_gb_s(rows, kernel), best_copy))
        for kernel, wanted in SHARE_OF_COPY.items()
    ]
    padded = _most(row.gb_s for row in rows if (row.kernel, row.variant) == (TRANSPOSE, PADDED))
    found.append(
        Target(f"{TRANSPOSE} {PADDED}: % of the best copy", SHARE_OF_PADDED,
               _share(padded, best_copy))
    )  # fmt: skip
    product = _most(row.gflop_s for row in rows if row.kernel == MATMUL)
    found.append(
        Target(f"{MATMUL}: % of the vendor's library", SHARE_OF_LIBRARY,
               _share(product, library_gflop_s))
    )  # fmt: skip
    for name, values, limit in (
        ("noise of each row, %", [row.noise_percent for row in rows], MOST_NOISE_PERCENT),
        (
            "median against the independent one, %",
            [row.difference_percent for row in rows],
            MOST_DIFFERENCE_PERCENT,
        ),
    ):
        whole = None if any(value is None for value in values) else _most(values)
        found.append(Target(name, limit, whole, at_most=True))
    return found


def lines_of(rows: Sequence[Row], targets: Iterable[Target]) -> list[str]:
    """The table as text."""
    heads = (
        "kernel",
        "variant",
        "ms",
        "GB/s",
        "GFLOP/s",
        "% peak",
        "noise %",
        "apart ms",
        "diff %",
    )
    table = [heads, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(heads))]
    lines = [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]
    lines += [f"{row.kernel} {row.variant}: {row.failed}" for row in rows_failed(rows)]
    lines.append("")
    for target in targets:
        sign = "<=" if target.at_most else ">="
        verdict = "met" if target.met else "NOT MET"
        lines.append(f"{verdict:8}{target.name} {_number(target.found)} {sign} {target.wanted:g}")
    return lines


def rows_failed(rows: Iterable[Row]) -> list[Row]:
    """Those without a result."""
    return [row for row in rows if row.failed]


def as_json(rows: Iterable[Row], targets: Iterable[Target]) -> dict[str, Any]:
    """Both for the last line."""
    return {
        "rows": [{**asdict(row), "difference_percent": row.difference_percent} for row in rows],
        "targets": [{**asdict(target), "met": target.met} for target in targets],
    }


def _cells(row: Row) -> tuple[str, ...]:
    numbers = (
        row.median_ms, row.gb_s, row.gflop_s, row.percent_of_peak, row.noise_percent,
        row.independent_ms, row.difference_percent,
    )  # fmt: skip
    return row.kernel, row.variant, *map(_number, numbers)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _best_gb_s(rows: Iterable[Row], kernel: str) -> float | None:
    within = [
        row for row in rows
        if row.kernel == kernel and (kernel != COPY or row.variant in COPIES_WITHIN)
    ]  # fmt: skip
    return _most(row.gb_s for row in within)


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _share(value: float | None, whole: float | None) -> float | None:
    return None if value is None or not whole else 100 * value / whole
