"""What `make gpu` decides, from made-up answers of nvidia-smi; what it would install, and how."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
from importlib.metadata import PackagePath
from pathlib import Path

import pytest

from deploy import gpu_choice, gpu_environment, pycuda_build
from deploy.gpu_choice import Answer, Cuda, Unfit
from labpool.settings import CHECKOUT

LOGGED = """
==============NVSMI LOG==============

Timestamp                                 : Tue Nov 24 09:00:00 2026
Driver Version                            : {driver}
CUDA Version                              : {cuda}

Attached GPUs                             : {count}
GPU 00000000:17:00.0
    Product Name                          : NVIDIA H200
"""
TOOLS = "/usr/local/bin:/usr/bin:/bin"


def logged(cuda: str, driver: str = "575.51.03", count: int = 1) -> Answer:
    return Answer(0, LOGGED.format(cuda=cuda, driver=driver, count=count))


def chosen(answer: Answer) -> str:
    return gpu_choice.lock_for(gpu_choice.cuda_of_driver({}, lambda: answer))


@pytest.mark.parametrize(
    ("cuda", "lock"),
    [("12.9", "gpu"), ("13.0", "gpu"), ("14.2", "gpu"), ("12.8", "nvrtc-12.8"),
     ("12.7", "nvrtc-12.6"), ("12.6", "nvrtc-12.6"), ("12.5", "nvrtc-12.5")],
)  # fmt: skip
def test_it_works_the_compiler_is_no_newer_than_the_driver(cuda: str, lock: str) -> None:
    assert chosen(logged(cuda)) == lock
    assert gpu_choice.compilers() and gpu_choice.parse_cuda(cuda) >= next(
        version for version, name in gpu_choice.compilers().items() if name == lock
    )


@pytest.mark.parametrize("text", ["CUDA UMD Version : 12.8", "CUDA Version: 12.8  |"])
def test_other_ways_of_saying_it_are_read(text: str) -> None:
    assert gpu_choice.read_answer(Answer(0, text)) == (12, 8)


@pytest.mark.parametrize(
    ("answer", "words", "mend"),
    [
        (Answer(None, ""), "no NVIDIA driver", "apt install nvidia-driver"),
        (logged("12.4"), "too old: it serves CUDA 12.4", "apt install nvidia-driver"),
        (logged("11.8"), "begin with 12.5", "apt install nvidia-driver"),
        (Answer(9, "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."),
         "cannot talk to", "modprobe nvidia"),
        (Answer(18, "Failed to initialize NVML: Driver/library version mismatch"),
         "old one is still loaded", "reboot"),
        (Answer(6, "No devices were found"), "sees no GPU", "nvidia-smi -L"),
        (logged("12.9", count=0), "sees no GPU", "nvidia-smi -L"),
        (Answer(0, ""), "it says nothing", "modprobe"),
        (Answer(0, "CUDA Version : N/A"), "cannot talk to", "modprobe"),
    ],
)  # fmt: skip
def test_what_is_amiss_is_named_with_its_command(answer: Answer, words: str, mend: str) -> None:
    with pytest.raises(Unfit, match=re.escape(words)) as refused:
        chosen(answer)
    assert mend in refused.value.mend


def test_a_driver_elsewhere_is_spoken_for() -> None:
    def never() -> Answer:
        raise AssertionError("nvidia-smi was asked")

    assert gpu_choice.cuda_of_driver({"GPU_CUDA": "12.6"}, never) == (12, 6)
    with pytest.raises(Unfit, match="GPU_CUDA"):
        gpu_choice.cuda_of_driver({"GPU_CUDA": "latest"}, never)


def test_what_pycuda_is_built_with_is_looked_for_first(tmp_path: Path) -> None:
    with pytest.raises(Unfit, match=r"no g\+\+") as refused:
        gpu_choice.require_compiler(str(tmp_path))
    assert refused.value.mend == "sudo apt install g++"
    (tmp_path / "g++").touch(mode=0o755)
    with pytest.raises(Unfit, match="Python's headers"):
        gpu_choice.require_compiler(str(tmp_path), tmp_path)
    (tmp_path / "Python.h").touch()
    gpu_choice.require_compiler(str(tmp_path), tmp_path)


def test_every_lock_of_a_compiler_is_of_the_version_in_its_name() -> None:
    found = gpu_choice.compilers()
    assert len(found) >= 4 and found[max(found)] == "gpu"
    for version, name in found.items():
        assert name in ("gpu", f"nvrtc-{gpu_choice.text_of(version)}")
        text = (gpu_choice.LOCKS / f"{name}.lock").read_text(encoding="utf-8")
        assert pycuda_build.block_of(gpu_choice.COMPILER, text).count("--hash=sha256:") >= 1
        assert "index-url" not in text


def test_tensorflow_and_pycuda_share_one_cuda() -> None:
    """Why one environment is enough: nothing in the lock is of another CUDA than 12."""
    text = (gpu_choice.LOCKS / "gpu.lock").read_text(encoding="utf-8")
    assert set(re.findall(r"^nvidia-[a-z-]+-(cu\d+)==", text, re.MULTILINE)) == {"cu12"}
    assert gpu_choice.COMPILER.endswith("cu12")
    assert all(name.endswith("-cu12") for name in pycuda_build.HEADERS)
    oldest: Cuda = min(gpu_choice.compilers())
    assert oldest == (12, 5), "TensorFlow's wheel asks for NVRTC 12.5.82 or newer"


@pytest.mark.parametrize("lock", ["gpu", "nvrtc-12.5", "nvrtc-12.6", "nvrtc-12.8"])
def test_the_lock_that_is_installed_has_one_compiler_and_no_pycuda(lock: str) -> None:
    whole = (gpu_choice.LOCKS / "gpu.lock").read_text(encoding="utf-8")
    text = gpu_environment.text_of_locks(lock)
    assert not re.search(r"^pycuda==", text, re.MULTILINE)
    [version] = re.findall(rf"^{gpu_choice.COMPILER}==(\S+)", text, re.MULTILINE)
    wanted = max(gpu_choice.compilers()) if lock == "gpu" else gpu_choice.parse_cuda(lock[6:])
    assert gpu_choice.parse_cuda(version) == wanted
    assert text.count("==") == whole.count("==") - 1


def test_a_build_names_headers_and_a_driver_that_is_elsewhere(tmp_path: Path) -> None:
    includes = [tmp_path / "one", tmp_path / "two"]
    pycuda_build.prepare(tmp_path, includes)
    settings = runpy.run_path(str(tmp_path / ".aksetup-defaults.py"))
    assert settings["CUDA_INC_DIR"] == [*map(str, includes), str(tmp_path / "include")]
    assert settings["CUDA_ENABLE_CURAND"] is False
    [stub] = settings["CUDADRV_LIB_DIR"]
    assert b"libcuda.so.1\0" in (Path(stub) / "libcuda.so").read_bytes()
    # What is linked with the stand-in asks for the driver's own library.
    program = tmp_path / "program.cpp"
    program.write_text(
        '#include "cudaProfiler.h"\nextern "C" int cuInit(unsigned);\n'
        "int main() { return cuInit(0); }\n"
    )
    (tmp_path / "include" / "cuda.h").write_text(
        "#pragma once\n#define CUDAAPI\ntypedef int CUresult;\n"
    )
    command = ["g++", "-Wall", "-Werror", "-I", tmp_path / "include", program, "-L", stub, "-lcuda"]
    subprocess.run([*command, "-o", tmp_path / "program"], check=True)
    assert b"libcuda.so.1\0" in (tmp_path / "program").read_bytes()


@pytest.mark.parametrize(("content", "is_named"), [(b"..libcuda.so.1\0..", True), (b"..", False)])
def test_a_build_that_forgot_the_driver_is_refused(
    tmp_path: Path, content: bytes, is_named: bool
) -> None:
    class File(PackagePath):
        def locate(self) -> Path:
            return tmp_path / "_driver.so"

    (tmp_path / "_driver.so").write_bytes(content)
    if is_named:
        pycuda_build.require_driver_named([File("pycuda/_driver.so")])
        return
    with pytest.raises(pycuda_build.BuildFailed, match=r"libcuda\.so\.1"):
        pycuda_build.require_driver_named([File("pycuda/_driver.so")])


def test_it_is_tried_on_the_gpu_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu_environment.try_it(os.environ, ["pass", "pass"]) == 0
    assert gpu_environment.try_it(os.environ, ["pass", "raise SystemExit(3)"]) == 1
    assert "labpool doctor" in capsys.readouterr().err
    assert gpu_environment.try_it({"GPU_CUDA": "12.8"}, ["raise SystemExit(3)"]) == 0
    grows = "import os; raise SystemExit(os.environ['TF_FORCE_GPU_ALLOW_GROWTH'] != 'true')"
    assert gpu_environment.try_it(os.environ, [grows]) == 0


def test_make_gpu_refuses_without_a_driver_before_anything_is_fetched(tmp_path: Path) -> None:
    if any((Path(folder) / "nvidia-smi").exists() for folder in TOOLS.split(":")):
        pytest.skip("this machine has an NVIDIA driver")
    command = ["make", "gpu", f"PYTHON={sys.executable}"]
    done = subprocess.run(
        command, cwd=CHECKOUT, env={"PATH": TOOLS, "HOME": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "There is no NVIDIA driver here" in done.stderr
    assert "→ sudo apt install nvidia-driver" in done.stderr
    assert "Installing" not in done.stderr


def test_a_compiler_that_another_lock_brought_is_noticed() -> None:
    lock = gpu_environment.text_of_locks("nvrtc-12.6")
    assert gpu_environment.has_compiler_of(lock, lambda name: "12.6.85")
    assert not gpu_environment.has_compiler_of(lock, lambda name: "12.9.86")
    assert not gpu_environment.has_compiler_of(lock, lambda name: "12.6.8")


def test_the_image_is_made_as_make_gpu_makes_the_environment() -> None:
    text = (CHECKOUT / "deploy" / "docker" / "Dockerfile.worker-gpu").read_text(encoding="utf-8")
    joined = text.replace("\\\n", " ")
    script = (CHECKOUT / "deploy" / "gpu_environment.sh").read_text(encoding="utf-8")
    for module in ("deploy.gpu_choice", "deploy.gpu_environment"):
        assert f"-m {module}" in joined and f"-m {module}" in script
    assert "nvidia/cuda" not in text, "no toolkit: its CUDA would be another one"
    [default] = re.findall(r"^ARG GPU_CUDA=(\S+)$", text, re.MULTILINE)
    assert gpu_choice.lock_for(gpu_choice.parse_cuda(default)) == gpu_choice.WHOLE_LOCK
    assert "g++" in joined


def test_the_images_steps_work_on_what_is_copied_into_it(tmp_path: Path) -> None:
    """The choice of the lock, from the two folders that the image has by then and nothing else."""
    for folder in ("requirements", "deploy"):
        shutil.copytree(CHECKOUT / folder, tmp_path / folder)
    for cuda, lock in (("12.9", "gpu"), ("12.8", "nvrtc-12.8")):
        chosen = subprocess.run(
            [sys.executable, "-m", "deploy.gpu_choice"], cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "GPU_CUDA": cuda},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert chosen.stdout.strip() == lock
    program = f"from deploy.gpu_environment import text_of_locks as t; print(t({lock!r}))"
    locked = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={"PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "nvidia-cuda-nvrtc-cu12==12.8" in locked.stdout
