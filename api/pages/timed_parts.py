"""The parts of a benchmark's summary, checked before they are shown: they come from a runner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_Number = Annotated[float, Field(ge=0, lt=1e18, allow_inf_nan=False)]
_Text = Annotated[str, Field(max_length=500)]
_Bytes = Annotated[int, Field(ge=0, lt=2**60)]
_MOST_LOG = 16 * 1024


class Part(BaseModel):
    """A part by its name; what a newer runner adds to it is left aside."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @classmethod
    def of(cls, content: Any) -> Self | None:
        """None where there is none, or nothing that could be shown."""
        try:
            return cls.model_validate(content)
        except ValidationError:
            return None


class Timing(Part):
    """How long it took in one way of timing, in milliseconds."""

    samples: _Number | None = None
    median_ms: _Number
    median_low_ms: _Number
    median_high_ms: _Number
    p5_ms: _Number
    p95_ms: _Number
    noise_percent: _Number | None = None


class Transfer(Part):
    """What it takes to bring the inputs to a GPU and the output back."""

    to_device_ms: _Number
    from_device_ms: _Number
    bytes_to_device: _Bytes
    bytes_from_device: _Bytes


class Resources(Part):
    """What one thread (registers, stack, spills) and one block (shared memory) of a kernel use."""

    registers: Annotated[int, Field(ge=0, le=4096)]
    shared_bytes: _Bytes
    stack_bytes: _Bytes
    spill_store_bytes: _Bytes
    spill_load_bytes: _Bytes


class Compiled(Part):
    """How the kernel was compiled, and what came of it."""

    architecture: _Text
    options: Annotated[list[_Text], Field(max_length=64)] = []
    compiler: _Text
    cached: bool = False
    seconds: _Number = 0.0
    log: str = ""
    kernels: Annotated[dict[_Text, Resources], Field(max_length=32)] = {}

    @property
    def shown_log(self) -> str:
        """What the compiler said, no longer than it may be."""
        return self.log.strip()[:_MOST_LOG]


class Moment(Part):
    """What the driver said of the GPU at one time."""

    clock_mhz: _Number | None = None
    memory_clock_mhz: _Number | None = None
    power_w: _Number | None = None
    temperature_c: _Number | None = None
    throttled: Annotated[list[_Text], Field(max_length=20)] = []


class Gpu(Part):
    """The GPU, before and after the samples."""

    name: _Text
    uuid: _Text = ""
    driver: _Text = ""
    cuda: _Text = ""
    memory_bytes: _Bytes | None = None
    before: Moment = Moment()
    after: Moment = Moment()


class Referee(Part):
    """Whether the device's peaks allow so short a time."""

    verdict: _Text
    least_ms: _Number
    why: _Text = ""


def timings_of(
    metrics: Mapping[str, Any], summary: Mapping[str, Any]
) -> tuple[list[tuple[str, Timing]], int]:
    """Every way in which it was timed, and how many samples were discarded.

    A result of before there were two ways has the metrics' own.
    """
    told = summary.get("timing")
    told = told if isinstance(told, Mapping) else {}
    found = [(name, Timing.of(told.get(name))) for name in ("cold", "warm", "batch")]
    kept = [(name, timing) for name, timing in found if timing is not None]
    if not kept and (own := Timing.of(dict(metrics))) is not None:
        kept = [("warm" if summary.get("caches") == "warm" else "as it is", own)]
    discarded = told.get("discarded")
    return kept, discarded if isinstance(discarded, int) and discarded > 0 else 0
