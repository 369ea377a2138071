"""Every setting, read from the environment: ``LABPOOL_`` and the field's name in capitals."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import quote

from pydantic import Field, ValidationError
from pydantic.functional_validators import field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from labpool.errors import LabpoolError
from labpool.shares import RUNNER_GPU_MEMORY

CHECKOUT = Path(__file__).resolve().parent.parent
# One place for every labpool of a host: unlike /tmp it is not a service's own.
GPU_LOCKS = Path("/run/lock/labpool")

# A unix socket's path must fit into 108 bytes on Linux, the terminating zero included.
LONGEST_SOCKET_PATH = 107
# One beat may be lost and the next one late.
LEAST_BEATS = 3
# Read by the command line and by runners, not by the service.
OTHER_VARIABLES = frozenset(
    {"LABPOOL_URL", "LABPOOL_TOKEN", "LABPOOL_RUNNER_LAZY", RUNNER_GPU_MEMORY}
)
_SAYS = {"slots": "say a number from 1, or auto"}


class WrongSettings(LabpoolError):
    """The settings cannot be read.

    ``problems`` are pairs of a variable and what is wrong with it, each variable once; it is empty
    where the fault is in how several fit together.
    """

    def __init__(self, problems: Iterable[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        told = [f"{name}: {says}" if name else says for name, says in self.problems]
        super().__init__(f"{'; '.join(told)}. Correct what is set in the environment, or unset it.")


class Settings(BaseSettings):
    """How this process is set up. Durations end in ``_s``, sizes in ``_bytes`` or ``_mb``."""

    model_config = SettingsConfigDict(env_prefix="LABPOOL_", frozen=True, extra="ignore")

    data_dir: Path = Field(
        default=Path("~/.labpool"), description="Database, artifacts, logs and the broker's socket."
    )
    store_dir: Path | None = Field(
        default=None,
        description="Artifacts, shared by all hosts; in the data directory when unset.",
    )
    datasets_dir: Path | None = Field(
        default=None,
        description="Data sets' files, for a host's workers; in the data directory when unset.",
    )
    database_url: str | None = Field(
        default=None, description="SQLAlchemy URL; SQLite in the data directory when unset."
    )
    broker_url: str | None = Field(
        default=None, description="Redis or Valkey URL; the bundled server when unset."
    )
    host: str = Field(default="127.0.0.1", description="Address that the API binds.")
    port: int = Field(default=8642, ge=0, le=65535, description="Port that the API binds.")
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Further host names the API answers to, separated by commas."
    )
    catalog_path: str = Field(
        default="", description=f"Further catalog folders, separated by {os.pathsep!r}."
    )
    private_results: bool = Field(
        default=False, description="Hide each member's experiments from other members."
    )

    lease_ttl_s: float = Field(
        default=90.0, gt=0, description="A slot silent for longer loses its trial."
    )
    beat_s: float = Field(default=10.0, gt=0, description="Time between two heartbeats.")
    poll_s: float = Field(
        default=30.0, gt=0, description="An idle slot looks for work this often without a ring."
    )
    drain_grace_s: float = Field(
        default=10.0, ge=0, description="How long a stopping worker waits for its runners."
    )
    max_losses: int = Field(
        default=3, ge=1, description="A trial lost this often with its worker is given up as LOST."
    )

    max_running_per_user: int | None = Field(
        default=None, ge=1, description="Most slots of one user at once; no limit when unset."
    )
    ageing_s: float = Field(
        default=86400.0, gt=0, description="A trial that waits longer may be taken out of turn."
    )
    ageing_turn: int = Field(
        default=4, ge=1, description="At most one in so many claims of a slot goes by age."
    )

    slots: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        default="auto",
        description="Slots of this host: those of its GPUs, else up to two on the CPU.",
    )
    slots_per_gpu: int = Field(
        default=1,
        ge=1,
        le=16,
        description="Slots that share each GPU and its memory; with more than one they only train.",
    )
    threads_per_slot: int | None = Field(
        default=None,
        ge=1,
        description="Threads of a CPU slot; the cores are shared out when unset.",
    )
    memory_limit_mb: int | None = Field(
        default=None, ge=64, description="Most memory a runner's processes may hold together."
    )
    min_free_mb: int = Field(
        default=1024,
        ge=0,
        description="A slot with less free space for scratch files or artifacts claims nothing.",
    )
    gpu_lock_dir: Path | None = Field(
        default=None,
        description=f"The GPUs' locks, one place for all workers of a host; {GPU_LOCKS} if unset.",
    )
    trials_per_runner: int = Field(
        default=200, ge=1, description="A warm runner is replaced after this many trials."
    )
    runner_growth_mb: int = Field(
        default=512, ge=64, description="It is replaced before, once it has grown by so many MiB."
    )
    standby: bool = Field(
        default=True,
        description="A second runner a slot, ready to take over; it takes about 250 MiB more.",
    )
    log_limit_bytes: int = Field(
        default=16 * 1024 * 1024, ge=4096, description="A longer log loses its middle."
    )

    own_kernels: bool = Field(
        default=False,
        description="Take CUDA source of those who were granted it: `labpool user grant`.",
    )

    max_body_bytes: int = Field(
        default=1024 * 1024, ge=1024, description="Largest request body that is read."
    )
    max_upload_bytes: int = Field(
        default=64 * 1024 * 1024, ge=1024, description="Largest upload of a data set."
    )
    upload_quota_bytes: int = Field(
        default=1024**3, ge=0, description="Most that one user's uploads take in the store."
    )
    upload_cache_bytes: int = Field(
        default=4 * 1024**3,
        ge=0,
        description="Most that copies of uploads take on a worker's host.",
    )
    max_trials_per_sweep: int = Field(default=1000, ge=1, description="Largest sweep.")
    max_queued_per_user: int = Field(
        default=5000, ge=1, description="Most trials of one user that may wait at once."
    )
    max_streams: int = Field(
        default=32,
        ge=0,
        le=500,
        description="Event streams open at once, each with a thread of its own; pages beyond poll.",
    )
    stream_lifetime_s: float = Field(
        default=300.0, gt=0, description="An event stream ends after this and is opened again."
    )

    max_prediction_bytes: int = Field(
        default=4 * 1024 * 1024, ge=1024, description="Largest picture or file to predict from."
    )
    max_open_predictions: int = Field(
        default=8, ge=1, description="Predictions of one user that may be unanswered at once."
    )
    max_predictions_per_minute: int = Field(
        default=60, ge=1, description="Predictions that one user may ask for in a minute."
    )
    prediction_limit_s: float = Field(
        default=120.0, gt=0, description="A prediction is answered within this, or ends unanswered."
    )
    predictor_idle_s: float = Field(
        default=300.0,
        gt=0,
        description="A worker's process for predictions ends when idle so long.",
    )
    predictions_kept_s: float = Field(
        default=86400.0, gt=0, description="Predictions and their answers are deleted after this."
    )

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("data_dir", "store_dir", "datasets_dir", "gpu_lock_dir")
    @classmethod
    def _expand(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @field_validator("slots", mode="before")
    @classmethod
    def _number_of_slots(cls, value: object) -> object:
        return int(value) if isinstance(value, str) and value.isdigit() else value

    @model_validator(mode="after")
    def _beats_keep_leases(self) -> Self:
        if self.lease_ttl_s < LEAST_BEATS * self.beat_s:
            raise ValueError(
                f"LABPOOL_LEASE_TTL_S ({self.lease_ttl_s:g}) has to be at least {LEAST_BEATS} "
                f"times LABPOOL_BEAT_S ({self.beat_s:g}), or slots lose their trials between beats"
            )
        return self

    @property
    def database(self) -> str:
        """The database's SQLAlchemy URL."""
        return self.database_url or f"sqlite:///{self.data_dir / 'labpool.db'}"

    @property
    def broker(self) -> str:
        """The broker's kombu URL."""
        socket = quote(str(self.broker_socket))
        return self.broker_url or f"redis+socket://{socket}?virtual_host=0"

    @cached_property
    def broker_socket(self) -> Path:
        """Where the bundled broker listens: a private unix socket, no port."""
        inside = self.run_dir / "broker.sock"
        if len(os.fsencode(inside)) <= LONGEST_SOCKET_PATH:
            return inside
        name = sha256(os.fsencode(self.data_dir)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"labpool-{os.getuid()}-{name}" / "broker.sock"

    @property
    def run_dir(self) -> Path:
        return self.data_dir / "run"

    @property
    def logs_dir(self) -> Path:
        return self.data_dir / "logs"

    @property
    def artifacts_dir(self) -> Path:
        """The artifact store's folder: the same for the API and every worker."""
        return self.store_dir or self.data_dir / "artifacts"

    @property
    def datasets_folder(self) -> Path:
        """Where this host's fetched and imported data sets are."""
        return self.datasets_dir or self.data_dir / "datasets"

    @property
    def scratch_dir(self) -> Path:
        return self.data_dir / "scratch"

    @property
    def catalog_roots(self) -> tuple[Path, ...]:
        """The catalog folders: labpool's own first, then the lab's."""
        parts = filter(None, self.catalog_path.split(os.pathsep))
        more = (Path(part).expanduser().absolute() for part in parts)
        return (CHECKOUT / "catalog", *more)


def load_settings() -> Settings:
    """The settings of this process's environment. Raises WrongSettings."""
    try:
        return Settings()
    except ValidationError as error:
        raise WrongSettings(_problems_of(error)) from None


def _problems_of(error: ValidationError) -> list[tuple[str, str]]:
    found = {}
    for wrong in error.errors():
        field = str(wrong["loc"][0]) if wrong["loc"] else ""
        says = _SAYS.get(field) or wrong["msg"].removeprefix("Value error, ")
        found[f"LABPOOL_{field.upper()}" if field else ""] = says
    return list(found.items())


def unknown_variables(names: Iterable[str]) -> list[str]:
    """LABPOOL_… variables that mean nothing: misspelt, or of another version."""
    known = {f"LABPOOL_{field.upper()}" for field in Settings.model_fields} | OTHER_VARIABLES
    return sorted(name for name in names if name.startswith("LABPOOL_") and name not in known)
