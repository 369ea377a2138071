"""Whether the LABPOOL_… variables can be read."""

from __future__ import annotations

from pydantic import ValidationError

from labpool.diagnosis import Finding, problem
from labpool.settings import Settings, load_settings


def check_settings() -> tuple[Settings | None, list[Finding]]:
    """The settings, or a finding for each that is wrong."""
    try:
        return load_settings(), []
    except ValidationError as error:
        findings = []
        for wrong in error.errors():
            name = f"LABPOOL_{'_'.join(map(str, wrong['loc'])).upper()}"
            says = f"{name}: {wrong['msg']}."
            findings.append(problem("settings", says, f"unset {name}        (or correct it)"))
        return None, findings
