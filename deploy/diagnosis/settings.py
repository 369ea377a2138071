"""Whether the LABPOOL_… variables can be read, and mean something."""

from __future__ import annotations

import os
from collections.abc import Iterable
from difflib import get_close_matches

from labpool.diagnosis import Finding, note, problem
from labpool.settings import Settings, WrongSettings, load_settings, unknown_variables

SETTINGS = "settings"


def check_settings() -> tuple[Settings | None, list[Finding]]:
    """The settings, or a finding for each that is wrong."""
    try:
        return load_settings(), []
    except WrongSettings as error:
        return None, [
            problem(SETTINGS, f"{name}: {says}.", f"unset {name}        (or correct it)")
            if name
            else problem(SETTINGS, f"{says}.", "Correct one of the two")
            for name, says in error.problems
        ]


def check_names(names: Iterable[str] = os.environ) -> list[Finding]:
    """Variables that look like settings and are none."""
    known = [f"LABPOOL_{field.upper()}" for field in Settings.model_fields]
    findings = []
    for name in unknown_variables(names):
        near = get_close_matches(name, known, n=1)
        hint = f" Is {near[0]} meant?" if near else ""
        says = f"{name} is no setting and does nothing.{hint}"
        findings.append(note(SETTINGS, says, f"unset {name}"))
    return findings
