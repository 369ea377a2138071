"""Why a trial waits at its rung, and what it would take for it to go on."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from db.models import Experiment, Trial
from db.searching.rows import rows_of, sweep_spec
from labpool import search
from labpool.search.asha import Rung, table
from labpool.search.repeats import folded, times
from labpool.spec import SweepSpec

_ENDINGS = {1: "st", 2: "nd", 3: "rd"}


class Rungs:
    """The rungs of sweeps as they are now, asked about one trial after another."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[int, tuple[SweepSpec, str | None, Sequence[Rung]]] = {}

    def why(self, trial: Trial) -> str:
        """One sentence or two about a trial that is PAUSED at its rung."""
        spec, halt, rungs = self._of(trial.experiment_id)
        epoch = f", after epoch {trial.halts_at}" if trial.halts_at is not None else ""
        at = f"at rung {trial.rung}{epoch}"
        if trial.held:
            return f"It is held back {at} until `labpool resume {trial.id} --trial`."
        if halt is not None:
            return f"It waits {at}; its sweep is {halt} (`labpool resume {trial.experiment_id}`)."
        found = next((rung for rung in rungs if rung.number == trial.rung), None)
        number = (trial.point or 0) // times(spec)
        order = [row.number for row in found.arrived] if found else []
        if found is None or number not in order:
            return f"It waits {at} for its sweep's search to let it go on."
        coming = max(0, found.members - len(order))
        others = f"; {coming} {'is' if coming == 1 else 'are'} still to come" if coming else ""
        return (
            f"It waits {at}, {_ordinal(order.index(number) + 1)} of the {len(order)} that have "
            f"arrived{others}. The best {found.places} of {found.members} go on."
        )

    def _of(self, experiment_id: int) -> tuple[SweepSpec, str | None, Sequence[Rung]]:
        if experiment_id not in self._known:
            experiment = self._session.get_one(Experiment, experiment_id)
            spec = sweep_spec(experiment)
            rungs: Sequence[Rung] = ()
            if search.epochs(spec, 0) is not None:
                rows = rows_of(self._session, experiment, spec)
                points = rows if times(spec) == 1 else folded(spec, rows)
                rungs = table(spec, points, search.count(spec) // times(spec))
            self._known[experiment_id] = spec, experiment.search_halt, rungs
        return self._known[experiment_id]


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else _ENDINGS.get(number % 10, "th")
    return f"{number}{ending}"
