"""What a model drew as it trained, as a strip on its trial's page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from api.pages.pictures import is_picture
from db.reads.files import ArtifactRow

_NAME = re.compile(r"samples-([0-9]{6,9})\.png")


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture that was drawn after `epoch`."""

    epoch: int
    row: ArtifactRow


def samples_of(artifacts: Iterable[ArtifactRow]) -> list[Sample]:
    """The drawn pictures among a trial's files, by epoch."""
    found = [
        Sample(int(matched[1]), row)
        for row in artifacts
        if is_picture(row) and (matched := _NAME.fullmatch(row.name))
    ]
    return sorted(found, key=lambda sample: sample.epoch)
