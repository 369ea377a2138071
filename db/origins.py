"""Trials that begin with the weights of another: checked and pinned when they are submitted.

A trial may be begun from once it has ended. From then on its best checkpoint stays in the store, so
nothing need be kept for those that wait.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.checkpoints import ResumePoint, best_point
from db.models import Checkpoint, Result, Trial
from db.states import TERMINAL
from labpool.errors import Problem, SpecError, pointer
from labpool.origins import LAYER_FIELDS, Origin, begun_from
from labpool.planning import Plan, TrialPlan
from labpool.suggest import closest


def pin(
    session: Session,
    plan: Plan,
    may_see: Callable[[int], bool] = lambda _: True,
    programs: Container[str] = (),
    is_closed: Callable[[Trial], bool] = lambda _: False,
) -> Plan:
    """The plan with each `init_from` made one checkpoint. Raises SpecError with every problem.

    ``may_see`` says whether the submitter may see what the user of an id owns, ``is_closed``
    whether a trial rests on data that the submitter may not see; ``programs`` names the models
    that train themselves, whose checkpoints hold no layers.
    """
    problems: dict[str, Problem] = {}
    trials = []
    sources = _Sources(session, may_see, is_closed, programs)
    if plan.trials:
        # A search may draw tomorrow what no trial of today begins with.
        for named in _named(plan) - {begun_from(trial.spec) for trial in plan.trials}:
            try:
                sources.pinned(plan.trials[0], named, ("space",))
            except SpecError as error:
                problems |= {problem.pointer: problem for problem in error.problems}
    for trial in plan.trials:
        origin = begun_from(trial.spec)
        if origin is None:
            trials.append(trial)
            continue
        where = _where(plan, trial)
        try:
            pinned = sources.pinned(trial, origin, where)
        except SpecError as error:
            problems |= {problem.pointer: problem for problem in error.problems}
        else:
            trials.append(replace(trial, spec={**trial.spec, "init_from": str(pinned)}))
    if problems:
        raise SpecError(problems.values())
    return replace(plan, trials=tuple(trials))


def pinned_later(session: Session, trial: TrialPlan) -> TrialPlan:
    """The plan of a trial that a sweep's search makes long after `pin` has seen the sweep.

    The best checkpoint of what has ended is still the same one; where it is gone, the trial's
    attempt says so.
    """
    origin = begun_from(trial.spec)
    if origin is None or origin.sha256 is not None:
        return trial
    point = best_point(session, origin.trial)
    if point is None:
        return trial
    return replace(trial, spec={**trial.spec, "init_from": str(Origin(origin.trial, point.sha256))})


def point_of(session: Session, origin: Origin) -> ResumePoint | None:
    """The checkpoint that a pinned `init_from` means; None when it left the store."""
    statement = (
        select(Checkpoint)
        .where(
            Checkpoint.trial_id == origin.trial,
            Checkpoint.sha256 == origin.sha256,
            Checkpoint.deleted_at.is_(None),
        )
        .order_by(Checkpoint.fence.desc(), Checkpoint.id)
        .limit(1)
    )
    row = session.scalars(statement).one_or_none()
    if row is None:
        return None
    return ResumePoint(row.id, row.key, row.epoch, row.sha256, row.bytes, row.fence)


def _named(plan: Plan) -> set[Origin]:
    """What a sweep's space lists under `init_from`."""
    space = plan.spec.get("space", {})
    listed = space.get("init_from") if isinstance(space, Mapping) else None
    found = [begun_from({"init_from": one}) for one in listed] if isinstance(listed, list) else []
    return {one for one in found if one is not None}


def _where(plan: Plan, trial: TrialPlan) -> tuple[str, ...]:
    if plan.kind != "sweep":
        return ()
    return ("space",) if "init_from" in trial.varied else ("base",)


class _Sources:
    """The trials that one plan's trials begin with, each looked at once."""

    def __init__(
        self,
        session: Session,
        may_see: Callable[[int], bool],
        is_closed: Callable[[Trial], bool],
        programs: Container[str],
    ) -> None:
        self._session, self._may_see, self._programs = session, may_see, programs
        self._is_closed = cache(is_closed)
        self._point = cache(self._find)

    def pinned(self, trial: TrialPlan, origin: Origin, where: tuple[str, ...]) -> Origin:
        """The checkpoint that ``trial`` begins with. Raises SpecError."""

        def refused(message: str, hint: str) -> SpecError:
            return SpecError([Problem(pointer(*where, "init_from"), message, hint)])

        source = self._session.get(Trial, origin.trial)
        if source is None or not self._may_see(source.owner_id):
            raise refused(
                f"there is no trial {origin.trial}.", "Take one that `labpool ls` leads to."
            )
        if self._is_closed(source):
            raise refused(
                f"trial {source.id} rests on an upload that its owner keeps private.",
                "Ask for the upload to be made public: labpool data share NAME",
            )
        if source.kind != "train":
            raise refused(f"trial {source.id} is a {source.kind}.", "Name a training run.")
        if source.code_name in self._programs:
            raise refused(
                f"trial {source.id} has no layers to take: its model {source.code_name!r} "
                "trains itself.",
                "Name a training run of a network.",
            )
        if source.state not in TERMINAL:
            raise refused(
                f"trial {source.id} has not ended: it is {source.state}.",
                f"Wait for it, or end it with what there is: labpool stop {source.id} --trial",
            )
        point = self._point(origin)
        if point is None:
            pinned = origin.sha256 is not None
            of = "no checkpoint of this sha256" if pinned else "no best checkpoint"
            hint = f"Say init_from: {source.id}" if pinned else f"See: labpool retry {source.id}"
            raise refused(f"trial {source.id} has {of} any more.", hint)
        _check_layers(self._session, trial, source, where)
        return Origin(source.id, point.sha256)

    def _find(self, origin: Origin) -> ResumePoint | None:
        if origin.sha256 is None:
            return best_point(self._session, origin.trial)
        return point_of(self._session, origin)


def _check_layers(
    session: Session, trial: TrialPlan, source: Trial, where: tuple[str, ...]
) -> None:
    """Names of layers, where the source has told them; else its runner will."""
    same = source.code_digest == trial.code_digest
    same = same and source.spec.get("parameters") == trial.spec["parameters"]
    result = session.get(Result, source.id)
    known = _names(result.summary) if same and result is not None else []
    # What an axis of the sweep varies does not stand in its base.
    base = ("base",) if where else ()
    problems = [
        Problem(
            pointer(*(("space",) if field in trial.varied else base), field),
            f"the model has no layer {name!r}.",
            closest(name, known) or f"It has {', '.join(known)}.",
        )
        for field in LAYER_FIELDS
        for name in trial.spec.get(field, [])
        if known and name not in known
    ]
    if problems:
        raise SpecError(problems[:1])


def _names(summary: Mapping[str, Any]) -> list[str]:
    layers = summary.get("layers")
    return list(layers.get("all", [])) if isinstance(layers, Mapping) else []
