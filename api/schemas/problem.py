"""RFC 9457 problem documents, as the OpenAPI document shows them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ProblemField(BaseModel):
    """One bad field."""

    detail: str
    pointer: str | None = Field(default=None, description="RFC 6901 pointer into the body.")
    parameter: str | None = Field(default=None, description="Name of a query parameter.")
    suggestion: str | None = Field(default=None, description="What to write instead.")


class ProblemDocument(BaseModel):
    """An error: what went wrong, and every field that has a part in it."""

    model_config = ConfigDict(title="ProblemDocument")

    type: str = Field(description="Stable name of the kind of problem, urn:labpool:problem:…")
    title: str
    status: int
    detail: str
    request_id: str = Field(description="The same id stands in the server's log.")
    errors: list[ProblemField] | None = None
