"""A group of trials from their resolved specs to their results, each with its own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from labpool.fusing import MAY_DIFFER, fixed_parameters
from worker import protocol
from worker.protocol import TrialToRun
from worker.runner import backend
from worker.runner.answers import Ending, attempt
from worker.runner.connection import Connection
from worker.runner.fused.fitness import difference, why_not
from worker.runner.fused.leading import Leader, Run
from worker.runner.fused.member import Member, MemberLoop
from worker.runner.fused.network import FusedNetwork
from worker.runner.kept import Kept, built, key_of
from worker.runner.loop import Plan
from worker.runner.network import arrays_of
from worker.runner.onlooker import Onlooker
from worker.runner.report import Report
from worker.runner.training import Prepared, environment_of, prepare, read_checkpoint


def train_together(
    connection: Connection, trials: Sequence[TrialToRun], threads: int, kept: Kept
) -> Sequence[TrialToRun]:
    """Train these as one program, answering each when it ends.

    Returns the trials that are still to be run alone: the first when something is in the way, which
    the slot is told, and each trial's log. The others are the slot's again.
    """
    backend.prepare(threads)
    try:
        if (reason := why_not_these(trials)) is not None:
            raise _Apart(reason)
        return _train(connection, trials, threads, kept)
    except _Apart as apart:
        return _said(connection, trials, apart)


def why_not_these(trials: Sequence[TrialToRun]) -> str | None:
    """What in the specs keeps these from being members of one group; None when nothing."""
    first = trials[0]
    for trial in trials:
        if trial.kind != "train" or trial.data is None:
            return "Only training runs with a data set can be trained together."
        if trial.origin is not None or trial.spec.get("freeze") or trial.spec.get("fresh"):
            return "A trial begins with another's weights, or freezes layers."
        if (trial.resume is None) != (first.resume is None) or (
            trial.resume and first.resume and trial.resume.epoch != first.resume.epoch
        ):
            return "The trials stand at different epochs."
        if trial.code.digest != first.code.digest or _shared(trial) != _shared(first):
            return _NOT_ALIKE
    return None


_NOT_ALIKE: Final = "The trials are not of one architecture, data set, optimizer and batch size."


class _Apart(Exception):
    """They cannot be trained together after all; ``for_good``: none of their architecture can."""

    def __init__(self, reason: str, for_good: bool = False) -> None:
        super().__init__(reason)
        self.for_good = for_good


def _shared(trial: TrialToRun) -> Any:
    # Of its parameters the model's TOML says which are the members' own.
    own = (*MAY_DIFFER, "parameters")
    fixed = {name: value for name, value in trial.spec.items() if name not in own}
    return fixed, trial.data.digest if trial.data else None


def _parameters(trial: TrialToRun) -> Any:
    return trial.spec["parameters"]


def _said(
    connection: Connection, trials: Sequence[TrialToRun], apart: _Apart
) -> Sequence[TrialToRun]:
    for trial in trials:
        told = f"trained alone, not in a group: {apart}"
        attempt(trial, partial(print, told, flush=True))
    first, *others = trials
    reason = protocol.clean_text(str(apart))
    connection.send(
        protocol.Apart(trial=first.trial, fence=first.fence, reason=reason, for_good=apart.for_good)
    )
    for trial in others:
        connection.forget((trial.trial, trial.fence))
    return [first]


def _train(
    connection: Connection, trials: Sequence[TrialToRun], threads: int, kept: Kept
) -> Sequence[TrialToRun]:
    plans = [Plan.of(trial.spec) for trial in trials]
    plan = plans[0]
    device = backend.choose_device(str(trials[0].spec["device"]))
    # A trial that cannot even be prepared says so best on its own.
    try:
        found = prepare(trials[0], plan, device, kept)
        models = [
            built(one.seed, partial(found.build_of, _parameters(trial)))
            for one, trial in zip(plans, trials, strict=True)
        ]
    except Exception as error:
        raise _Apart(f"A trial could not be prepared ({type(error).__name__}).") from error
    fixed = [fixed_parameters(_parameters(trial), found.declared) for trial in trials]
    if any(one != fixed[0] for one in fixed):
        raise _Apart(_NOT_ALIKE)
    if any(drew for _, drew in models):
        raise _Apart("The model draws random numbers of its own when it is built.", for_good=True)
    reason = why_not(models[0][0], plan.optimizer, found.objective, plan.engine)
    if reason is not None or found.samples is not None:
        raise _Apart(reason or "The model draws pictures as it trains.", for_good=True)
    for trial, (model, _) in zip(trials, models, strict=True):
        if (reason := difference(models[0][0], model)) is not None:
            raise _Apart(reason, for_good=True)
        if not found.objective.is_labpools and _parameters(trial) != _parameters(trials[0]):
            raise _Apart("The model's own loss or metrics may depend on what differs.")

    def make() -> FusedNetwork:
        return FusedNetwork(
            models[0][0], len(trials), plan.optimizer, plan.batch_size, device, found.objective,
            found.splits.training.target,
        )  # fmt: skip

    traced = fixed[0] if found.objective.is_labpools else _parameters(trials[0])
    group = kept.group(key_of(found.key_of(traced), len(trials)), make)
    group.take_settings({number: model for number, (model, _) in enumerate(models)})
    group.put({
        number: (arrays_of(model.variables), group.untrained)
        for number, (model, _) in enumerate(models)
    })  # fmt: skip
    runs = _begun(connection, trials, plans, group, found, threads, device)
    leader = Leader(connection, group, found.splits, runs)
    try:
        leader.lead()
    except BaseException:
        kept.forget()
        raise
    return leader.left


def _begun(
    connection: Connection, trials: Sequence[TrialToRun], plans: Sequence[Plan],
    group: FusedNetwork, found: Prepared, threads: int, device: backend.Device,
) -> list[Run]:  # fmt: skip
    runs = []
    for place, (trial, plan) in enumerate(zip(trials, plans, strict=True)):
        report = Report(connection, trial.trial, trial.fence, trial.halts_at)
        member, scratch = Member(group, place), Path(trial.scratch)
        network: Any = member
        onlooker = Onlooker(found.splits, network, report, scratch)
        loop = MemberLoop(plan, network, found.splits, report, scratch, onlooker)
        runs.append(Run(trial, plan, report, member, loop, onlooker))
    _resume(runs)
    for run in runs:
        environment = environment_of(run.plan, run.member, found.splits, device, threads)
        # The last bits depend on it.
        run.report.started({**environment, "trained_together": len(runs)}, run.plan.epochs, "epoch")
    return runs


def _resume(runs: Sequence[Run]) -> None:
    if runs[0].trial.resume is None:
        return
    for run in runs:

        def resume(run: Run = run) -> None:
            saved = read_checkpoint(run.trial, run.trial.resume)
            assert saved is not None
            run.loop.go_on_from(saved)

        if isinstance(ended := attempt(run.trial, resume), Ending):
            raise _Apart(f"trial {run.trial.trial} cannot be resumed here: {ended}")
    runs[0].member.group.put({
        run.member.place: (run.member.weights(), run.member.optimizer_state()) for run in runs
    })  # fmt: skip
    for run in runs:
        run.member.held = run.member.held_optimizer = None
