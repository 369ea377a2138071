"""From a submission to its trials, every default filled in; or every problem at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

from labpool.catalog import Catalog, ModelEntry
from labpool.devices import fold_back, unfold
from labpool.errors import Problem, SpecError
from labpool.form import form_problems
from labpool.fusing import fixed_parameters, fuse_key, fuse_of
from labpool.objective import with_objective
from labpool.own_source import digest_in, name_of, own_source
from labpool.pinning import pin
from labpool.repeating import repeat_problems, repeats
from labpool.resolving import catalog_problems, resolve
from labpool.spec import FORMS, SPEC, SweepSpec
from labpool.suggest import closest
from labpool.sweeping import expand, sweep_problems


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """One trial to be made. ``spec`` says everything; ``varied`` is what its siblings differ in."""

    number: int
    kind: Literal["train", "benchmark"]
    spec: Mapping[str, Any]
    varied: Mapping[str, Any]
    device: str
    seed: int
    code_name: str
    code_digest: str
    data_name: str | None
    data_digest: str | None
    fuse_key: str | None = None
    trace_key: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """An accepted submission: the spec as it was understood and its trials.

    Its specs name users' own source by digest; ``sources`` has the text by name, where it came too.
    """

    kind: Literal["train", "sweep", "benchmark"]
    name: str | None
    notes: str
    tags: tuple[str, ...]
    spec: Mapping[str, Any]
    trials: tuple[TrialPlan, ...]
    made_from: Mapping[str, Any] | None = None
    """Of a sweep: the catalog's entries that its trials need."""
    sources: Mapping[str, str] = field(default_factory=dict)


def plan(raw: object, catalog: Catalog, max_trials: int = 1000, may_be_high: bool = True) -> Plan:
    """Check ``raw`` and lay out its trials. Raises SpecError with every problem there is.

    Without ``may_be_high`` a high priority is one of them.
    """
    if not isinstance(raw, dict):
        raise SpecError([Problem("", "must be a table of names and values.")])
    if (sweep := unfold(raw)) is not None:
        try:
            return plan(sweep, catalog, max_trials, may_be_high)
        except SpecError as error:
            raise SpecError(fold_back(error.problems)) from None
    problems = _problems(raw, catalog, max_trials)
    if not may_be_high:
        problems += _too_high(raw)
    if problems:
        raise SpecError(problems)
    spec = SPEC.validate_python(raw)
    if isinstance(spec, SweepSpec):
        spec = with_objective(spec, catalog)
        trials, problems = [], []
        for create in expand(spec):
            trial_raw = create.raw
            if found := catalog_problems(trial_raw, catalog):
                # Each value is good by itself, so what is wrong is their combination.
                message = f"trial {create.number}: {found[0].pointer} {found[0].message}"
                problems.append(Problem("/space", message, found[0].suggestion))
                break
            trials.append(trial_plan(create.number, trial_raw, create.values, catalog))
        if problems:
            raise SpecError(problems)
    else:
        trials = [
            trial_plan(number, repeated.raw, repeated.values, catalog)
            for number, repeated in enumerate(repeats(raw))
        ]
    said = spec.model_dump(mode="json", exclude_unset=True)
    return Plan(
        kind=spec.kind,
        name=spec.name,
        notes=spec.notes,
        tags=tuple(spec.tags),
        sources=_take_sources(said),
        spec=said,
        trials=tuple(trials),
        made_from=pin(spec, catalog) if isinstance(spec, SweepSpec) else None,
    )


def _take_sources(said: dict[str, Any]) -> dict[str, str]:
    """The text of own source by its name, which takes its place in what was said."""
    runnable = said.get("base", said)
    source = own_source(runnable)
    if source is None:
        return {}
    runnable["source"] = name_of(source) if digest_in(source) is None else source.strip()
    return {} if digest_in(source) else {runnable["source"]: source}


def _problems(raw: dict[str, Any], catalog: Catalog, max_trials: int) -> list[Problem]:
    kind = raw.get("kind")
    if "kind" not in raw:
        return [Problem("/kind", "is missing.", f"Say one of {', '.join(FORMS)}.")]
    if not isinstance(kind, str) or kind not in FORMS:
        hint = closest(kind, FORMS) if isinstance(kind, str) else None
        return [Problem("/kind", f"must be one of {', '.join(FORMS)}.", hint)]
    problems = form_problems(FORMS[kind], raw)
    more = (
        sweep_problems(raw, catalog, max_trials)
        if kind == "sweep"
        else catalog_problems(raw, catalog) + repeat_problems(raw, most=max_trials)
    )
    seen = {problem.pointer for problem in problems}
    # What cannot be varied at all is told once, not again for each form that its values lack.
    axes = tuple(f"{one.pointer}/" for one in more if one.pointer.startswith("/space/"))
    problems = [one for one in problems if not one.pointer.startswith(axes)]
    return problems + [problem for problem in more if problem.pointer not in seen]


def _too_high(raw: dict[str, Any]) -> list[Problem]:
    where, runnable = ("/base", raw.get("base")) if raw.get("kind") == "sweep" else ("", raw)
    if not isinstance(runnable, dict) or runnable.get("priority") != "high":
        return []
    message = "high is for administrators."
    return [Problem(f"{where}/priority", message, "Take normal, or ask an administrator.")]


def trial_plan(
    number: int, raw: Mapping[str, Any], varied: Mapping[str, Any], catalog: Catalog
) -> TrialPlan:
    """The trial of a runnable spec without problems."""
    resolved = resolve(dict(raw), catalog)
    train = resolved["kind"] == "train"
    code = catalog.models[resolved["model"]] if train else catalog.kernels[resolved["kernel"]]
    is_program = isinstance(code, ModelEntry) and code.program is not None
    data = catalog.datasets[resolved["dataset"]] if resolved.get("dataset") else None
    fuse, fixed = None, None
    if isinstance(code, ModelEntry) and data and not is_program and fuse_of(raw) != "off":
        fuse = fuse_key(resolved, code.digest, data.digest, code.parameters)
        # What one group's program serves is measured as one, whatever its members drop at random.
        fixed = fixed_parameters(resolved["parameters"], code.parameters)
    return TrialPlan(
        number=number,
        kind="train" if train else "benchmark",
        spec=resolved,
        varied=dict(varied),
        device=resolved["device"],
        seed=resolved["seed"],
        code_name=code.name,
        code_digest=code.digest,
        data_name=data.name if data else None,
        data_digest=data.digest if data else None,
        fuse_key=fuse,
        trace_key=_trace_key(resolved, code.digest, data.digest, fixed)
        if data and not is_program
        else None,
    )


def _trace_key(
    spec: Mapping[str, Any], code_digest: str, data_digest: str, fixed: Mapping[str, Any] | None
) -> str:
    """Equal for trials whose compiled training step is one and the same, on one device.

    For those that may be trained together ``fixed`` are the parameters that a group has in common.
    """
    frozen = [
        code_digest,
        data_digest,
        spec["parameters"] if fixed is None else fixed,
        *(spec[name] for name in ("dataset_parameters", "optimizer", "batch_size", "engine")),
        *([spec["freeze"]] if "freeze" in spec else []),
    ]
    return sha256(json.dumps(frozen, sort_keys=True).encode()).hexdigest()
