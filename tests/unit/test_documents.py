"""What the documents and deployment files promise exists."""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from labpool.catalog import Catalog
from labpool.cli import main
from labpool.planning import plan
from labpool.reading import read_spec
from labpool.settings import CHECKOUT, GPU_LOCKS, Settings

DOCUMENTS = ("README.md", "CONTRIBUTING.md")
COMPOSE = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text(encoding="utf-8"))
UNITS = sorted((CHECKOUT / "deploy" / "systemd").glob("*.service"))
DOCKERFILES = sorted((CHECKOUT / "deploy" / "docker").glob("Dockerfile.*"))


def documents() -> str:
    return "\n".join((CHECKOUT / name).read_text(encoding="utf-8") for name in DOCUMENTS)


def deployment_files() -> list[Path]:
    environment = CHECKOUT / "deploy" / "systemd" / "labpool.env.example"
    return [CHECKOUT / "docker-compose.yml", environment, *UNITS, *DOCKERFILES]


@pytest.mark.parametrize(
    "path", sorted((CHECKOUT / "examples").glob("*.yaml")), ids=lambda path: path.name
)
def test_every_example_can_be_submitted(path: Path, catalog: Catalog) -> None:
    assert plan(read_spec(path.read_bytes(), "yaml"), catalog).trials


def test_the_readmes_spec_can_be_submitted(catalog: Catalog) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", (CHECKOUT / "README.md").read_text(), re.DOTALL)
    assert len(plan(read_spec(block, "yaml"), catalog).trials) == 4


def test_every_command_in_the_documents_exists() -> None:
    commands = set(re.findall(r"(?:bin/|`)labpool ([a-z]+)", documents()))
    assert {"up", "submit", "board", "schema", "worker"} <= commands <= set(main.commands)


def test_every_make_target_in_the_documents_exists() -> None:
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"^make ([a-z-]+)", documents(), re.MULTILINE)) <= targets
    assert set(re.findall(r"`make ([a-z-]+)`", documents())) <= targets


def test_every_file_in_the_documents_exists() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", documents()):
        assert (CHECKOUT / link).exists(), link
    for picture in re.findall(r'(?:src|srcset)="([^":]+)"', documents()):
        assert (CHECKOUT / picture).stat().st_size < 200_000, picture


@pytest.mark.parametrize("path", deployment_files(), ids=lambda path: path.name)
def test_every_setting_in_the_deployment_files_exists(path: Path) -> None:
    known = {f"LABPOOL_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"LABPOOL_[A-Z_]+[A-Z]", path.read_text(encoding="utf-8"))) <= known


def test_no_service_has_a_password_that_works_by_default() -> None:
    text = (CHECKOUT / "docker-compose.yml").read_text(encoding="utf-8")
    assert re.findall(r"PASSWORD: (.)", text) == ["$", "$"]
    assert not re.search(r"PASSWORD:-", text)


def test_only_the_api_has_a_port_and_only_on_this_machine() -> None:
    ports: dict[str, Any] = {
        name: service["ports"]
        for name, service in COMPOSE["services"].items()
        if "ports" in service
    }
    assert list(ports) == ["api"]
    assert all(port.startswith("127.0.0.1:") for port in ports["api"])


def test_gpus_are_reserved_by_profile_only() -> None:
    by_profile = {name for name, service in COMPOSE["services"].items() if "profiles" in service}
    reserved = {name for name, service in COMPOSE["services"].items() if "deploy" in service}
    assert by_profile == reserved == {"worker-gpu"}


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_stop_the_main_process_first_and_gain_no_rights(path: Path) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(path)
    service = unit["Service"]
    assert service["KillMode"] == "mixed"
    assert service["NoNewPrivileges"] == "true"
    assert service["User"] == "labpool"


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_images_run_without_root_and_from_a_lock_with_hashes(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "\nUSER 10001\n" in text
    # A GPU's worker is installed by the same module that `make gpu` uses.
    installs = (CHECKOUT / "deploy" / "gpu_environment.py").read_text(encoding="utf-8")
    assert "--require-hashes" in (installs if "-m deploy.gpu_environment" in text else text)
    assert "\nHEALTHCHECK " in text
    for source in re.findall(r"^COPY ([a-z][^ ]*) ", text, re.MULTILINE):
        assert (CHECKOUT / source).exists(), source


@pytest.mark.parametrize("name", ["server", "dev", "api", "worker", "gpu"])
def test_every_package_of_a_lock_has_hashes(name: str) -> None:
    text = (CHECKOUT / "requirements" / f"{name}.lock").read_text(encoding="utf-8")
    packages = re.findall(r"^[a-z0-9][^ ]*==.*$", text, re.MULTILINE)
    assert packages
    assert all(package.endswith("\\") for package in packages)
    assert "index-url" not in text


def test_every_worker_as_shipped_uses_the_hosts_gpu_locks() -> None:
    for name in ("labpool", "labpool-worker"):
        unit = (CHECKOUT / "deploy" / "systemd" / f"{name}.service").read_text(encoding="utf-8")
        assert f"ReadWritePaths=-{GPU_LOCKS}\n" in unit
        assert f"install -d -m 1777 {GPU_LOCKS}\n" in unit
    assert f"{GPU_LOCKS.parent}:{GPU_LOCKS.parent}" in COMPOSE["services"]["worker-gpu"]["volumes"]
