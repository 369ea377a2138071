"""The checker of chaos runs, of turns: what is out of its turn is named, with changing classes."""

from __future__ import annotations

import pytest

from tests.faults.checks import of_turns
from tests.faults.checks.seen import Row, Seen
from tests.faults.checks.times import Classes
from tests.support.chaos_history import Harm, Harms, first, found_after, harmed, str_of


def passed_over(seen: Seen) -> None:
    """As if ben's sixth had waited all along, and ada had been at work when her fifth was taken."""
    seen["events"][:] = [
        event for event in seen["events"] if event["kind"] not in ("held", "let_go")
    ]
    first(seen["events"], kind="failed")["id"] = 903


def lower_class_first(seen: Seen) -> None:
    """As if the sixth had been of a higher class, and had waited all along."""
    seen["events"][:] = [
        event for event in seen["events"] if event["kind"] not in ("held", "let_go")
    ]
    first(seen["trials"], id=6)["priority"] = 1


def out_of_turn_for_age(seen: Seen) -> None:
    for lease in seen["leases"][1:3]:
        lease["by_age"] = 1


def too_young_for_age(seen: Seen) -> None:
    seen["leases"][-1]["by_age"] = 1


def too_young_since_it_was_let_go(seen: Seen) -> None:
    """The sixth, which its owner had held, as if for long."""
    seen["leases"][-1]["by_age"] = 1
    first(seen["trials"], id=6)["queued_at"] -= 2 * seen.ageing_s


HARMS: Harms = (
    (passed_over, "I16"),
    (lower_class_first, "I16"),
    (out_of_turn_for_age, "I16"),
    (too_young_for_age, "I16"),
    (too_young_since_it_was_let_go, "I16"),
)


@pytest.mark.parametrize(("harm", "invariant"), HARMS, ids=str_of)
def test_a_harm_is_named(clean: Seen, harm: Harm, invariant: str) -> None:
    assert invariant in found_after(clean, harm)


def given_a_class(word: str, trial_id: int, before: Row, offset: float) -> Row:
    """An event by which a waiting trial is given another class, next to a claim."""
    given = {**before, "id": before["id"] + offset, "at": before["at"] + offset}
    return {
        **given, "trial_id": trial_id, "kind": "prioritised", "from_state": None,
        "to_state": None, "data": {"priority": word},
    }  # fmt: skip


@pytest.mark.parametrize(("offset", "passed"), [(-0.5, True), (0.5, False)])
def test_a_class_counts_from_when_it_is_given(clean: Seen, offset: float, passed: bool) -> None:
    seen = harmed(clean, lower_class_first)
    claim = first(seen["events"], kind="started", trial_id=5)
    seen["events"].append(given_a_class("high", trial_id=6, before=claim, offset=offset))
    seen["events"].sort(key=lambda event: event["id"])
    assert bool(list(of_turns.higher_classes_go_first(seen))) is passed


@pytest.mark.parametrize(("exact", "age_s", "known"), [(True, 1.0, -1), (False, 1.0, 0),
                                                       (False, 9.0, -1)])  # fmt: skip
def test_a_claim_may_not_know_what_had_only_just_changed(
    clean: Seen, exact: bool, age_s: float, known: int
) -> None:
    seen = harmed(clean, lambda _: None)
    seen.exact_order = exact
    claim = first(seen["events"], kind="started", trial_id=5)
    change = given_a_class("low", trial_id=5, before=claim, offset=-0.5)
    seen["events"].append({**change, "at": claim["at"] - age_s})
    assert Classes(seen).highest_at(5, claim) == known


@pytest.mark.parametrize(("leases", "broken"), [((0,), 0), ((1,), 0), ((0, 1), 1), ((0, 3), 1),
                                                ((0, 4), 0), ((1, 2, 3), 2)])  # fmt: skip
def test_a_slot_has_one_turn_by_age_in_four(
    clean: Seen, leases: tuple[int, ...], broken: int
) -> None:
    def by_age(seen: Seen) -> None:
        seen.ageing_s = 0.0
        of_slot = [one for one in seen["leases"] if one["slot_id"] == seen["leases"][0]["slot_id"]]
        for number in leases:
            of_slot[number]["by_age"] = 1

    assert len(list(of_turns.ageing_keeps_its_turn(harmed(clean, by_age)))) == broken
