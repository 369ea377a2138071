"""Results of benchmarks as runners report them, made of round numbers: no measurement."""

from __future__ import annotations

from typing import Any

PEAK_GB_S, PEAK_GFLOP_S = 4000.0, 60_000.0


def spec(
    n: int = 1_000_000, variant: str = "one_each", threads: int = 256, dtype: str = "float32"
) -> dict[str, Any]:
    """A resolved spec of saxpy."""
    return {
        "kind": "benchmark", "kernel": "saxpy", "variant": variant, "sizes": {"n": n},
        "launch": {"threads": threads}, "dtype": dtype, "device": "gpu", "seed": 0,
    }  # fmt: skip


def metrics(median_ms: float, n: int = 1_000_000, spread: float = 0.005) -> dict[str, float]:
    """Of saxpy in float32 at `n`; the median's interval is `spread` to either side."""
    gb_s = (12 * n + 4) / median_ms / 1e6
    return {
        "samples": 40.0,
        "median_ms": median_ms,
        "median_low_ms": median_ms * (1 - spread),
        "median_high_ms": median_ms * (1 + spread),
        "p5_ms": median_ms * (1 - 2 * spread),
        "p95_ms": median_ms * (1 + 2 * spread),
        "noise_percent": 100 * spread,
        "gflop_s": 2 * n / median_ms / 1e6,
        "gb_s": gb_s,
        "max_relative_error": 1e-8,
        "percent_of_peak": 100 * gb_s / PEAK_GB_S,
        "batch_ms": median_ms * 0.9,
        "to_device_ms": 0.25,
        "from_device_ms": 0.125,
    }


def summary(median_ms: float, n: int = 1_000_000, **changes: Any) -> dict[str, Any]:
    """Of the same on a GPU that does not exist."""
    found = metrics(median_ms, n)
    names = ("samples", "median_ms", "median_low_ms", "median_high_ms", "p5_ms", "p95_ms")
    timing = {name: found[name] for name in (*names, "noise_percent")}
    intensity = 2 * n / (12 * n + 4)
    attainable = intensity * PEAK_GB_S
    return {
        "bytes": 12 * n + 4,
        "operations": 2 * n,
        "tolerance": 1e-6,
        "settled": True,
        "timing": {"cold": timing, "batch": timing, "discarded": 3},
        "roofline": {
            "peak_gb_s": PEAK_GB_S,
            "peak_gflop_s": PEAK_GFLOP_S,
            "intensity": intensity,
            "attainable_gflop_s": attainable,
            "limit": "memory",
            "percent": 100 * found["gflop_s"] / attainable,
            "measured_at": "2026-11-23T12:00:00Z",
        },
        "transfer": {
            "to_device_ms": 0.25,
            "from_device_ms": 0.125,
            "bytes_to_device": 8 * n,
            "bytes_from_device": 4 * n,
        },
        "compile": {
            "architecture": "sm_90",
            "options": ["--std=c++17", "-DREAL=float"],
            "compiler": "NVRTC 12.9",
            "cached": False,
            "seconds": 0.31,
            "log": "saxpy.cu(3): warning: <b>a variable is not used</b>",
            "kernels": {"saxpy": RESOURCES},
        },
        "gpu": {
            "name": "Test GPU",
            "uuid": "GPU-0000",
            "driver": "575.1",
            "cuda": "12.9",
            "memory_bytes": 16 * 2**30,
            "before": moment(1980.0, 41.0),
            "after": moment(1965.0, 48.0, "power cap"),
        },
        "referee": {"verdict": "possible", "least_ms": 12e-6 * n / PEAK_GB_S, "why": ""},
        **changes,
    }


RESOURCES: dict[str, int] = {
    "registers": 18,
    "shared_bytes": 0,
    "stack_bytes": 0,
    "spill_store_bytes": 0,
    "spill_load_bytes": 0,
}


def moment(clock_mhz: float, temperature_c: float, *throttled: str) -> dict[str, Any]:
    """What the driver says of a GPU at one time."""
    return {
        "clock_mhz": clock_mhz,
        "memory_clock_mhz": 3201.0,
        "power_w": 312.5,
        "temperature_c": temperature_c,
        "throttled": list(throttled),
    }
