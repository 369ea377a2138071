"""What one can listen to: an experiment, a trial, or a page's worth of everything."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from api.paging import bad_parameter
from db.reads.changes import Touched

GENERAL = ("experiments", "boards", "pool")
MOST_TOPICS = 100
_ONE = re.compile(r"(experiment|trial):([1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed between two looks. `happened` is in the event log; `moved` only went on."""

    happened: frozenset[Touched] = frozenset()
    moved: frozenset[Touched] = frozenset()
    pool: bool = False

    def __bool__(self) -> bool:
        return bool(self.happened or self.moved or self.pool)


@dataclass(frozen=True, slots=True)
class Topics:
    """A listener's topics. `owner_id` narrows the general ones to what they may see."""

    experiments: frozenset[int] = frozenset()
    trials: frozenset[int] = frozenset()
    general: frozenset[str] = field(default_factory=frozenset)
    owner_id: int | None = None

    @property
    def names(self) -> frozenset[str]:
        return _names(self.experiments, self.trials) | self.general

    def of(self, changes: Changes) -> frozenset[str]:
        """Those of these topics that `changes` are news of."""
        touched = changes.happened | changes.moved
        found = _names(
            self.experiments & {one.experiment_id for one in touched},
            self.trials & {one.trial_id for one in touched},
        )
        return found | (self._general_of(changes) & self.general)

    def _general_of(self, changes: Changes) -> set[str]:
        found = set()
        if self._any_visible(changes.happened):
            # A board ranks results, and these come with an event.
            found |= {"boards", "experiments"}
        if self._any_visible(changes.moved):
            found.add("experiments")
        if changes:
            found.add("pool")
        return found

    def _any_visible(self, touched: Iterable[Touched]) -> bool:
        return any(self.owner_id in (None, one.owner_id) for one in touched)


def _names(experiments: Iterable[int], trials: Iterable[int]) -> frozenset[str]:
    return frozenset(
        [f"experiment:{row_id}" for row_id in experiments]
        + [f"trial:{row_id}" for row_id in trials]
    )


def parse_topics(text: str, owner_id: int | None) -> Topics:
    """`experiment:12,trial:57,pool` as topics. Raises ApiProblem 422 for anything else."""
    ids: dict[str, set[int]] = {"experiment": set(), "trial": set()}
    general: set[str] = set()
    words = [word for word in text.split(",") if word]
    for word in words[: MOST_TOPICS + 1]:
        matched = _ONE.fullmatch(word)
        if matched:
            ids[matched[1]].add(int(matched[2]))
        elif word in GENERAL:
            general.add(word)
        else:
            raise bad_parameter(
                "topics", f"{word[:50]!r} is no topic.", f"experiment:12, trial:57, {GENERAL}"
            )
    if not 0 < len(words) <= MOST_TOPICS:
        raise bad_parameter("topics", f"Name 1 to {MOST_TOPICS} topics, separated by commas.")
    return Topics(
        frozenset(ids["experiment"]), frozenset(ids["trial"]), frozenset(general), owner_id
    )
