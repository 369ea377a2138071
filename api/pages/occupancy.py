"""What a kernel's resources say of how many warps a multiprocessor can hold at once.

Only what follows from the architecture's fixed sizes is said; an architecture that is not in the
table gets no sentence.
"""

from __future__ import annotations

from dataclasses import dataclass

from api.pages.timed_parts import Resources

_KIB = 1024
_WARP = 32
_REGISTERS_PER_PART = 16_384
_PARTS = 4
_REGISTERS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class _Multiprocessor:
    """Largest number of warps and bytes of shared memory; `kept` bytes of it in each block."""

    warps: int
    shared_bytes: int
    kept: int = _KIB


# CUDA C++ programming guide, table "Technical specifications per compute capability".
_KNOWN = {
    "sm_75": _Multiprocessor(32, 64 * _KIB, kept=0),
    "sm_80": _Multiprocessor(64, 164 * _KIB),
    "sm_86": _Multiprocessor(48, 100 * _KIB),
    "sm_89": _Multiprocessor(48, 100 * _KIB),
    "sm_90": _Multiprocessor(64, 228 * _KIB),
}


def occupancy_words(architecture: str, found: Resources) -> str:
    """A sentence about registers and one about shared memory; empty where nothing is sure."""
    # sm_90a is sm_90 with more instructions.
    device = _KNOWN.get(architecture.rstrip("af"))
    if device is None or not found.registers:
        return ""
    parts = [_registers_words(device, found.registers)]
    if found.shared_bytes:
        blocks = device.shared_bytes // (found.shared_bytes + device.kept)
        parts.append(
            f"Shared memory allows at most {blocks} block{'' if blocks == 1 else 's'} at once."
        )
    return " ".join(parts)


def warps_by_registers(most: int, registers: int) -> int:
    """Warps that a multiprocessor's registers suffice for: each quarter of it has its own."""
    wanted = -(-registers * _WARP // _REGISTERS_AT_ONCE) * _REGISTERS_AT_ONCE
    return min(most, _PARTS * (_REGISTERS_PER_PART // wanted))


def _registers_words(device: _Multiprocessor, registers: int) -> str:
    warps = warps_by_registers(device.warps, registers)
    if warps == device.warps:
        return f"Registers do not limit occupancy: there are enough for all {warps} warps."
    return f"Registers allow at most {warps} of {device.warps} warps at once."
