"""Where the files of a data set come from, as its TOML says: our pins of sizes and checksums."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def _safe_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK):
        return url
    raise ValueError(f"a mirror begins with https://, not {url!r}")


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Url = Annotated[str, AfterValidator(_safe_url)]


class SourceFile(BaseModel):
    """One file as it was published. ``content_sha256`` is that of what the gzip file holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
    bytes: Annotated[int, Field(gt=0)]
    sha256: Sha256
    content_sha256: Sha256 | None = None
    mirrors: Annotated[list[Url], Field(min_length=1)]


class Files(BaseModel):
    """The files of a data set that is fetched or imported once.

    An ``idx`` set has four: the images and labels to train with, then those to test with. A
    ``cifar`` set has the one archive of the binary version. ``counts`` are the examples by class;
    the last ``test`` examples are the authors' test set.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["idx", "cifar"]
    counts: Annotated[list[int], Field(min_length=2)]
    test: Annotated[int, Field(gt=0)]
    most_bytes: Annotated[int, Field(gt=0)]
    parts: list[SourceFile]

    @model_validator(mode="after")
    def _parts_of_the_format(self) -> Self:
        wanted = 4 if self.format == "idx" else 1
        if len(self.parts) != wanted:
            raise ValueError(f"parts: a set in the format {self.format} has {wanted} files.")
        if any(part.bytes > self.most_bytes for part in self.parts):
            raise ValueError("most_bytes: is less than one of the files has.")
        return self

    @property
    def examples(self) -> int:
        """Examples of all classes."""
        return sum(self.counts)
