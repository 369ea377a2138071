"""Take each condition out of the real statements in turn; the random histories must notice."""

from __future__ import annotations

import ast
import contextlib
import copy
import io
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard

from sqlalchemy import true
from sqlalchemy.exc import IntegrityError

from db import claims, groups, owner, sweeper, transitions, turns
from db.engine import Database
from db.transitions import leases
from tests.faults.machine import drive
from tests.support.databases import KINDS, fresh_database

BOUNDS = {"conditions": "> 0", "conditions_caught": "== conditions"}

_WALKED: tuple[tuple[ModuleType, tuple[str, ...]], ...] = (
    (transitions, ("start", "own", "cancel_waiting", "request_cancel", "resume", "hold", "wish")),
    (sweeper, ("_still",)),
    (owner, ("heartbeat", "end_lease")),
    (claims, ("_may_claim",)),
    (turns, ("due", "siblings")),
    (groups, ("_epochs", "_idle")),
)
# What the histories do not show, and what does. Their slots are all alike, nothing in them grows
# old, and their sweepers are never silent themselves.
NOT_WALKED = {
    "transitions._leave": "`own`, which has just made sure of it",
    # Nothing in them is searched: the plain model would have to hold the searches too.
    "transitions.promote": "tests/contracts/test_searching_people.py, tests/faults/model.py",
    "transitions.prune_waiting": "tests/contracts/test_searching_people.py, tests/faults/model.py",
    "transitions.request_prune": "tests/contracts/test_searching_people.py, tests/faults/model.py",
    "claims.give_back": "what each condition implies: only what runs holds a live lease",
    "claims.has_work": "tests/contracts/test_claims.py",
    "claims._leave_to_another": "tests/contracts/test_traced.py",
    "turns.waits": "tests/contracts/test_claims.py",
    "turns.servable": "tests/contracts/test_claims.py",
    "turns._heads": "tests/contracts/test_fairness.py",
    "turns._oldest": "tests/contracts/test_ageing.py",
    "turns._recent": "tests/contracts/test_ageing.py",
    "turns._traced_sibling": "tests/contracts/test_traced.py",
    "sweeper._expired": "tests/contracts/test_sweepers_grace.py",
    "sweeper._held": "`_still`, which asks again under a lock",
    "sweeper._was_together": "which rows, not whether",
    "owner._attempt": "which row, not whether",
}
# What decides outside of any condition of a statement: how many come along, who is alone from then
# on, and whose the seconds are. Each is put in the place of what stands there.
_PUT: tuple[tuple[ModuleType, str, str, str], ...] = (
    (groups, "companions", "min(most, share)", "most"),
    (groups, "companions", "min(most, share)", "share"),
    (groups, "companions", "stand_at.get(one.id, 0) == stand_at.get(head.id, 0)", "True"),
    (groups, "_wanted", "head.trace_key in sizes.unfit", "False"),
    (groups, "_wanted", "sizes.auto.get(head.trace_key or '', 1)", "64"),
    (sweeper, "_was_together", "(session.scalar(members) or 0) > 1", "False"),
    (transitions, "requeue", "alone", "False"),
    (owner, "share_s", "members - 1", "members"),
    (owner, "share_s", "len(others) + 1", "len(others) + 2"),
    (leases, "close_attempt", "~left.exists()", "left.exists()"),
)
_QUICK = ("hold",)
_UNCHANGED = 10
# Which row, not whether.
_NAMES_THE_ROW = frozenset(
    {
        "Trial.id == trial.id", "Trial.id == trial_id", "Trial.id == seen.trial_id",
        "Trial.lease_id == lease_id", "Lease.id == lease_id", "Lease.id == seen.lease_id",
        "Lease.slot_id == slot.slot_id", "Slot.id == slot.slot_id", "Worker.id == Slot.worker_id",
        "Quarantine.device == Slot.gpu_uuid", "Trial.experiment_id == head.experiment_id",
        "Trial.id != head.id", "Checkpoint.trial_id.in_(ran)", "Lease.slot_id == Slot.id",
    }
)  # fmt: skip
# Left out. What the others imply: each claim gives a fence and a lease of its own, only what
# runs holds a lease, and a lease that is held has not ended. They are kept for the sake of locks.
_LEFT_OUT = {
    # None of theirs comes to a rung.
    "resume": {"Trial.at_rung.is_(False) if wish is None else true()"},
    "_still": {
        "Lease.ended_at.is_(None)", "Trial.fence == seen.fence",
        "Trial.lease_id == seen.lease_id", "Trial.state == TrialState.RUNNING",
    },
    # All slots of the histories are alike, and so are all trials of an experiment; one that is to
    # be alone seldom waits with others.
    "siblings": {
        "*servable(slot)", "Trial.fuse_key == head.fuse_key", "Trial.alone.is_(False)",
    },
    "heartbeat": {"Trial.state == TrialState.RUNNING"},
    "_idle": {
        "Slot.state == SlotState.READY",
        "Slot.device.in_(['cpu', 'gpu'] if head.device == 'any' else [head.device])",
    },
    "_may_claim": {
        "Slot.worker_id == slot.worker_id",
        # The histories have no GPUs; tests/contracts/test_quarantine.py has.
        "~closed.exists()", "Quarantine.cleared_at.is_(None)",
    },
}  # fmt: skip
_TRUE = "_always"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A function without one of its conditions, or with something else in its place."""

    module: ModuleType
    function: str
    condition: str
    code: ast.FunctionDef
    put: str | None = None

    def __str__(self) -> str:
        changed = "" if self.put is None else f", but {self.put}"
        return f"{self.module.__name__}.{self.function} without {self.condition}{changed}"


def figures(quick: bool) -> dict[str, float | int | bool | None]:
    """How many conditions there are, and how many of their absences were noticed on each database.

    `conditions_caught` are those of the database on which fewer were.
    """
    walked = [
        mutant
        for module, functions in _WALKED
        for function in functions
        if not quick or function in _QUICK
        for mutant in mutants(module, function)
    ]
    walked += [] if quick else replaced()
    caught = {kind: _caught(kind, walked) for kind in KINDS}
    return {
        "conditions": len(walked),
        "conditions_caught": min(caught.values()),
        **{f"conditions_caught_{kind}": number for kind, number in caught.items()},
    }


def _caught(kind: str, walked: Sequence[Mutant]) -> int:
    caught = 0
    with fresh_database(kind) as database:
        # Raises when the histories differ by themselves: then their differing says nothing.
        drive(database, examples=_UNCHANGED, shrink=False)
        for mutant in walked:
            begun = time.monotonic()
            how = noticed(database, mutant)
            caught += how is not None
            seconds = time.monotonic() - begun
            print(f"{kind}, {mutant}: {how or 'NOT CAUGHT'} ({seconds:.0f} s)", flush=True)
    return caught


def noticed(database: Database, mutant: Mutant, examples: int = 200) -> str | None:
    """What the histories say of it; None when they agree all the same."""
    with mutated(mutant):
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # the whole of a history
                drive(database, examples=examples, shrink=False)
        except Exception as error:  # noqa: BLE001 - told, and counted only where it is a difference
            told = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:120]}"
            if differs(error):
                return told
            print(f"{mutant}: not counted: {told}", flush=True)
    return None


def differs(error: BaseException) -> bool:
    """Whether the histories noticed something, or the database's own constraints did.

    Not whether the statement broke, or the measure.
    """
    if isinstance(error, BaseExceptionGroup):
        return any(differs(one) for one in error.exceptions)
    return isinstance(error, (AssertionError, IntegrityError))


def mutants(module: ModuleType, function: str) -> Iterator[Mutant]:
    """The function without each of its conditions."""
    whole = _written(module, function)
    for number, condition in enumerate(_conditions(whole)):
        text = ast.unparse(condition)
        if text not in _NAMES_THE_ROW | _LEFT_OUT.get(function, set()):
            code = copy.deepcopy(whole)
            _put(code, _conditions(code)[number], ast.Name(_TRUE, ast.Load()))
            yield Mutant(module, function, text, code)


def replaced() -> list[Mutant]:
    """The functions with other words in them, each by itself. Raises where they do not say so."""
    found = []
    for module, function, text, put in _PUT:
        code = _written(module, function)
        place = next(node for node in ast.walk(code) if _says(node, text))
        _put(code, place, ast.parse(put, mode="eval").body)
        found.append(Mutant(module, function, text, code, put))
    return found


def _says(node: ast.AST, text: str) -> TypeGuard[ast.expr]:
    # An argument's own name is no expression.
    return isinstance(node, ast.expr) and ast.unparse(node) == text


def _written(module: ModuleType, function: str) -> ast.FunctionDef:
    home = _home(module, function)
    assert home.__file__ is not None
    tree = ast.parse(Path(home.__file__).read_text(encoding="utf-8"))
    return next(
        node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function
    )


@contextmanager
def mutated(mutant: Mutant) -> Iterator[None]:
    """With the mutant in place of the function."""
    annotations = ast.ImportFrom("__future__", [ast.alias("annotations")], 0)
    module = ast.fix_missing_locations(ast.Module([annotations, mutant.code], []))
    home = _home(mutant.module, mutant.function)
    space: dict[str, Any] = {**vars(home), _TRUE: true()}
    exec(compile(module, "<mutant>", "exec"), space)  # noqa: S102
    original = getattr(mutant.module, mutant.function)
    for place in (home, mutant.module):
        setattr(place, mutant.function, space[mutant.function])
    try:
        yield
    finally:
        for place in (home, mutant.module):
            setattr(place, mutant.function, original)


def _home(module: ModuleType, function: str) -> ModuleType:
    """Where the function is written: a package only lists what its modules have."""
    return sys.modules[getattr(module, function).__module__]


def _conditions(function: ast.FunctionDef) -> list[ast.expr]:
    """The arguments of `.where(…)`, what a guard joins by `&`, and what conditions come back."""
    found: list[ast.expr] = []
    returns = "" if function.returns is None else ast.unparse(function.returns)
    gives_conditions = "ColumnElement" in returns
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".where"):
            found += [one for one in node.args if ast.unparse(one) != "guard"]
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "guard":
            found += _joined(node.value)
        if gives_conditions and isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            found += node.value.elts
    return found


def _joined(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd):
        return [*_joined(node.left), *_joined(node.right)]
    return [node]


def _put(function: ast.FunctionDef, place: ast.expr, other: ast.expr) -> None:
    class Replace(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            return other if node is place else self.generic_visit(node)

    Replace().visit(function)
