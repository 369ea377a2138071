"""The structure that the sources must keep."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from labpool.settings import CHECKOUT

OWNED = {"state", "fence", "lease_id"}
TRANSITIONS = CHECKOUT / "db" / "transitions"
_CHANGES = re.compile(r"\b(update|insert)\(Trial\)")
SOURCES = [
    path
    for package in ("api", "db", "deploy", "labpool", "worker")
    for path in sorted((CHECKOUT / package).rglob("*.py"))
    if "migrations" not in path.parts
]


def _writes(tree: ast.AST) -> list[str]:
    """Where the columns that one package owns are written: ``update(Trial)…values(state=…)``,
    ``trial.state = …``, ``Trial(state=…)``. Values that cannot be read here count as such."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Attribute) and target.attr in OWNED:
                    name = ast.unparse(target)
                    if "trial" in name.lower() or name.startswith("row."):
                        found.append(f"line {node.lineno}: {name}")
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            keys = {keyword.arg for keyword in node.keywords} & OWNED
            if keys and (called == "Trial" or _CHANGES.search(called)):
                found.append(f"line {node.lineno}: {called}({', '.join(sorted(keys))}=…)")
            if _CHANGES.search(called) and called.endswith(".values"):
                unread = [*node.args, *(word.value for word in node.keywords if not word.arg)]
                found += [
                    f"line {node.lineno}: {called}({ast.unparse(value)})"
                    for value in unread
                    if _may_write(value)
                ]
    return found


def _may_write(values: ast.expr) -> bool:
    """Whether these values, given as one thing, name an owned column or cannot be read here."""
    if not isinstance(values, ast.Dict):
        return True
    return any(not isinstance(key, ast.Constant) or key.value in OWNED for key in values.keys)


def test_one_package_writes_a_trials_state() -> None:
    wrong = {
        str(path.relative_to(CHECKOUT)): writes
        for path in SOURCES
        if TRANSITIONS not in path.parents and (writes := _writes(ast.parse(path.read_text())))
    }
    assert wrong == {}
    seen = [path.name for path in TRANSITIONS.glob("*.py") if _writes(ast.parse(path.read_text()))]
    assert sorted(seen) == ["leases.py", "requests.py", "search.py"], (
        "the check sees what it looks for"
    )


@pytest.mark.parametrize(
    "line",
    [
        "trial.state = x",
        "update(Trial).where(a).values(state=x)",
        "update(Trial).where(a).values({'state': x})",
        "update(Trial).where(a).values(columns)",
        "update(Trial).values(**columns)",
        "insert(Trial).values(fence=1)",
        "Trial(fence=1)",
    ],
)
def test_the_check_can_fail(line: str) -> None:
    assert _writes(ast.parse(line))


def test_other_columns_are_for_anyone_to_write() -> None:
    assert not _writes(ast.parse("update(Trial).values(epochs=1)"))
    assert not _writes(ast.parse("update(Trial).values({'epochs': 1})"))


def _imports(tree: ast.AST, package: str) -> bool:
    """Whether `package` or a part of it is imported, at the top or later."""
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
             for alias in node.names]  # fmt: skip
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return any(name.partition(".")[0] == package for name in names)


def test_one_module_touches_pycuda() -> None:
    catalog = sorted((CHECKOUT / "catalog").rglob("*.py"))
    found = [
        str(path.relative_to(CHECKOUT))
        for path in [*SOURCES, *catalog]
        if _imports(ast.parse(path.read_text()), "pycuda")
    ]
    assert found == ["worker/runner/pycuda_device.py"]


@pytest.mark.parametrize(
    "line", ["import pycuda", "import pycuda.driver as cuda", "from pycuda import driver"]
)
def test_that_check_can_fail(line: str) -> None:
    assert _imports(ast.parse(f"def f():\n    {line}"), "pycuda")
    assert not _imports(ast.parse(line.replace("pycuda", "pycudas")), "pycuda")


def test_modules_stay_small() -> None:
    long = {
        str(path.relative_to(CHECKOUT)): lines
        for path in SOURCES
        if (lines := len(path.read_text().splitlines())) > 330
    }
    assert long == {}


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("api.app", {"tensorflow", "keras", "pycuda", "worker", "celery", "sklearn"}),
        ("worker.app", {"tensorflow", "keras", "pycuda", "flask", "api"}),
        ("labpool.client", {"flask", "sqlalchemy", "celery", "tensorflow", "numpy", "db", "api"}),
        ("labpool.cli", {"flask", "sqlalchemy", "celery", "tensorflow", "numpy", "db", "api"}),
        ("labpool.planning", {"flask", "sqlalchemy", "tensorflow", "keras", "numpy", "db"}),
    ],
)
def test_what_a_fresh_interpreter_does_not_load(
    module: str, forbidden: set[str], tmp_path: Path
) -> None:
    code = f"import sys, {module}; print('\\n'.join(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, cwd=CHECKOUT,
        env={"PATH": "", "HOME": str(tmp_path), "LABPOOL_DATA_DIR": str(tmp_path)},
    ).stdout.split()  # fmt: skip
    assert module in loaded
    assert forbidden & {name.partition(".")[0] for name in loaded} == set()
