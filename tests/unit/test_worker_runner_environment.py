"""A runner's environment is made from nothing: no secrets, no URLs."""

from __future__ import annotations

from pathlib import Path

from labpool.settings import unknown_variables
from labpool.shares import RUNNER_GPU_MEMORY
from worker.devices import Device
from worker.surroundings import runner_environment

CPU = Device("cpu", "a processor", 3, ("train",))
GPU = Device("gpu", "NVIDIA H200", 4, ("train",), "GPU-aa", 1)
HOST = {
    "PATH": "/usr/bin",
    "LD_LIBRARY_PATH": "/usr/local/cuda/lib64",
    "HOME": "/home/ada",
    "LABPOOL_DATABASE_URL": "postgresql://ada:secret@db/labpool",
    "LABPOOL_BROKER_URL": "redis://:secret@broker",
    "LABPOOL_TOKEN": "lp_1_secret",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "PGPASSWORD": "secret",
    "PYTHONSTARTUP": "/home/ada/secret.py",
    "LD_PRELOAD": "/home/ada/secret.so",
    "CUDA_VISIBLE_DEVICES": "0,1,2,3",
}


def test_nothing_secret_gets_through(tmp_path: Path) -> None:
    environment = runner_environment(CPU, tmp_path / "home", HOST)
    values = " ".join(environment.values()).replace(str(tmp_path), "")
    assert "secret" not in values
    ours = {name for name in environment if name.startswith("LABPOOL_")}
    assert ours == {"LABPOOL_DATASETS_DIR"}, "a place, and no secret"
    assert environment["HOME"] == str(tmp_path / "home")
    assert environment["LD_LIBRARY_PATH"] == "/usr/local/cuda/lib64"


def test_a_gpu_slots_runner_sees_its_gpu_alone(tmp_path: Path) -> None:
    assert runner_environment(GPU, tmp_path, HOST)["CUDA_VISIBLE_DEVICES"] == "GPU-aa"
    assert runner_environment(CPU, tmp_path, HOST)["CUDA_VISIBLE_DEVICES"] == ""


def test_a_shares_runner_is_told_its_memory(tmp_path: Path) -> None:
    share = Device("gpu", "NVIDIA H200", 4, ("train",), "GPU-aa", 4000, 2, 3)
    environment = runner_environment(share, tmp_path, {**HOST, RUNNER_GPU_MEMORY: "9"})
    assert environment[RUNNER_GPU_MEMORY] == "4000"
    # TensorFlow would take all of it at once otherwise.
    assert environment["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert RUNNER_GPU_MEMORY not in runner_environment(GPU, tmp_path, HOST)
    assert unknown_variables([RUNNER_GPU_MEMORY, "LABPOOL_SLOTS_PER_GPU"]) == []


def test_threads_are_those_of_the_slot(tmp_path: Path) -> None:
    environment = runner_environment(CPU, tmp_path, {})
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        assert environment[name] == "3"
    assert environment["PYTHONHASHSEED"] == "0"
    assert environment["PATH"]
