"""The machine of a trial's life, searched whole in small bounds; `make faults` takes larger."""

from __future__ import annotations

import re

import pytest

from labpool.settings import CHECKOUT
from tests.faults import model
from tests.faults.life import GUARDS


@pytest.mark.parametrize("name", model.QUICK)
def test_no_state_breaks_an_invariant(name: str) -> None:
    found = model.search(model.SMALL[name])
    assert (found.violation, found.path, found.dead_ends) == (None, [], 0)
    assert found.states > 1000


@pytest.mark.parametrize("guard", GUARDS)
def test_every_guard_is_needed(guard: str) -> None:
    assert model.catch(guard) is not None


@pytest.mark.parametrize("guard", [guard for guard in GUARDS if not guard.startswith("slot:")])
def test_every_guard_names_a_function_of_the_database(guard: str) -> None:
    name = guard.partition(":")[0]
    sources = "\n".join(path.read_text() for path in (CHECKOUT / "db").rglob("*.py"))
    assert re.search(rf"^def {name}\(", sources, re.MULTILINE)


def test_a_dead_end_is_seen() -> None:
    assert model.search(model.SMALL["losses"]).dead_ends == 0
    kinds = model.PROGRESS - {"sweep"}
    found = model.search(model.SMALL["losses"], progress=kinds)
    assert found.dead_ends > 0, "without a sweeper a dead worker's trial stays for ever"
