"""Which slots a host has, with a fake NVML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_nvml import FakeNvml
from worker.devices import (
    CONTEXT_MB,
    LEAST_SHARE_MB,
    Device,
    Gpu,
    Nvml,
    host_devices,
    processor_name,
    shares_of,
    usable_cores,
)

TWO = Nvml(FakeNvml([{"uuid": "GPU-aa"}, {"uuid": "GPU-bb", "old": True}]))
NONE = Nvml(FakeNvml([]))


def has_all(module: str) -> bool:
    return True


def has_no_pycuda(module: str) -> bool:
    return module != "pycuda"


def test_a_slot_for_each_gpu() -> None:
    slots = host_devices(gpus=TWO, cores=8, has_module=has_all)
    assert slots == (
        Device("gpu", "NVIDIA H200", 4, ("train", "benchmark"), "GPU-aa", 141 * 1024),
        Device("gpu", "NVIDIA H200", 4, ("train", "benchmark"), "GPU-bb", None),
    )


def test_a_gpu_slot_without_pycuda_only_trains() -> None:
    slots = host_devices(gpus=TWO, cores=8, has_module=has_no_pycuda)
    assert {slot.kinds for slot in slots} == {("train",)}


def test_a_divided_gpu_is_a_slot_for_each_part() -> None:
    divided = Nvml(FakeNvml([{"uuid": "GPU-aa", "parts": [{"uuid": "MIG-1"}, {"uuid": "MIG-2"}]}]))
    slots = host_devices(gpus=divided, cores=2, has_module=has_all)
    assert [slot.gpu_uuid for slot in slots] == ["MIG-1", "MIG-2"]


@pytest.mark.parametrize("library", [FakeNvml([]), FakeNvml([{"uuid": "GPU-aa"}], broken=True)])
def test_without_a_gpu_up_to_two_slots_share_the_cores(library: FakeNvml) -> None:
    slots = host_devices(gpus=Nvml(library), cores=5, has_module=has_no_pycuda)
    assert [(slot.kind, slot.threads, slot.kinds) for slot in slots] == [
        ("cpu", 2, ("train", "benchmark"))
    ] * 2
    assert len(host_devices(gpus=Nvml(library), cores=1, has_module=has_all)) == 1


@pytest.mark.parametrize(
    ("wanted", "kinds"),
    [(0, []), (1, ["gpu"]), (2, ["gpu", "gpu"]), (3, ["gpu", "gpu", "cpu"])],
)
def test_a_number_of_slots_takes_gpus_first(wanted: int, kinds: list[str]) -> None:
    slots = host_devices(wanted, gpus=TWO, cores=8, has_module=has_all)
    assert [slot.kind for slot in slots] == kinds


def test_shares_of_a_gpu_divide_its_memory_and_only_train() -> None:
    one = Nvml(FakeNvml([{"uuid": "GPU-aa"}]))
    slots = host_devices(gpus=one, cores=8, has_module=has_all, slots_per_gpu=2)
    part_mb = 141 * 1024 // 2 - CONTEXT_MB
    assert slots == tuple(
        Device("gpu", "NVIDIA H200", 4, ("train",), "GPU-aa", part_mb, share, 2) for share in (1, 2)
    )
    assert [slot.label for slot in slots] == [
        "NVIDIA H200, share 1 of 2", "NVIDIA H200, share 2 of 2",
    ]  # fmt: skip
    assert host_devices(gpus=one, has_module=has_all)[0].label == "NVIDIA H200"


@pytest.mark.parametrize(
    ("wanted", "dealt"),
    [
        ("auto", ["aa 1/2", "bb 1/2", "aa 2/2", "bb 2/2"]),
        (1, ["aa 1/2"]),
        (2, ["aa 1/2", "bb 1/2"]),
        (3, ["aa 1/2", "bb 1/2", "aa 2/2"]),
        (5, ["aa 1/2", "bb 1/2", "aa 2/2", "bb 2/2", "cpu"]),
    ],
)
def test_shares_are_dealt_in_turn(wanted: Any, dealt: list[str]) -> None:
    gpus = Nvml(FakeNvml([{"uuid": "aa"}, {"uuid": "bb"}]))
    slots = host_devices(wanted, gpus=gpus, cores=8, has_module=has_all, slots_per_gpu=2)
    assert dealt == [
        f"{slot.gpu_uuid} {slot.share}/{slot.shares}" if slot.gpu_uuid else "cpu" for slot in slots
    ]
    assert {slot.threads for slot in slots} == {8 // len(slots)}


def test_a_gpu_that_cannot_be_divided_stays_whole() -> None:
    # Nobody tells how much memory the second one has.
    slots = host_devices(gpus=TWO, cores=8, has_module=has_all, slots_per_gpu=2)
    assert [(slot.gpu_uuid, slot.shares) for slot in slots] == [
        ("GPU-aa", 2), ("GPU-bb", 1), ("GPU-aa", 2),
    ]  # fmt: skip
    assert slots[1].kinds == ("train", "benchmark")
    kernels_only = host_devices(gpus=TWO, has_module=lambda name: name == "pycuda", slots_per_gpu=2)
    assert {(slot.shares, slot.kinds) for slot in kernels_only} == {(1, ("benchmark",))}


@pytest.mark.parametrize(
    ("memory_mb", "wanted", "shares"),
    [(24_576, 2, 2), (24_576, 16, 15), (6_144, 16, 3), (2_048, 4, 1), (512, 4, 1), (None, 4, 1)],
)
def test_a_small_gpu_has_fewer_shares(memory_mb: int | None, wanted: int, shares: int) -> None:
    assert shares_of(memory_mb, wanted) == shares
    if shares > 1 and memory_mb is not None:
        assert memory_mb // shares - CONTEXT_MB >= LEAST_SHARE_MB


def test_threads_can_be_set() -> None:
    slots = host_devices(3, threads_per_slot=7, gpus=NONE, cores=2, has_module=has_all)
    assert [slot.threads for slot in slots] == [7, 7, 7]


def test_a_host_without_tensorflow_only_times_kernels() -> None:
    slots = host_devices(1, gpus=NONE, cores=2, has_module=lambda name: name != "tensorflow")
    assert slots[0].kinds == ("benchmark",)


@pytest.mark.parametrize(
    ("visible", "uuids"),
    [
        ("1", ["GPU-bb"]),
        ("1,0", ["GPU-bb", "GPU-aa"]),
        ("GPU-b", ["GPU-bb"]),
        ("0,7,1", ["GPU-aa"]),
        ("-1", []),
        ("", []),
        ("0,0", ["GPU-aa"]),
    ],
)
def test_a_worker_keeps_to_its_share_of_the_gpus(visible: str, uuids: list[str]) -> None:
    slots = host_devices(gpus=TWO, visible=visible, cores=2, has_module=has_all)
    assert [slot.gpu_uuid for slot in slots if slot.kind == "gpu"] == uuids


def test_nvml_is_always_shut_down() -> None:
    library = FakeNvml([{"uuid": "GPU-aa"}])
    assert Nvml(library).gpus() == (Gpu("GPU-aa", "NVIDIA H200", 141 * 1024),)
    assert library.shut_down == 1


def test_a_quota_bounds_the_cores(tmp_path: Path) -> None:
    free = usable_cores(tmp_path)
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    assert usable_cores(tmp_path) == 1
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert usable_cores(tmp_path) == free
    (tmp_path / "cpu.max").unlink()
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("50000\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert usable_cores(tmp_path) == 1


def test_the_processor_is_named(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    assert processor_name(info) == "CPU"
    info.write_text("processor : 0\nmodel name\t: A  fast   one\n")
    assert processor_name(info) == "A fast one"
