"""Whether a pool kept its promises: judged from its tables, its event log and the ledgers.

``python -m tests.faults.checker DATABASE_URL LEDGERS [STORE]`` judges a run again afterwards. It
shares no code with what wrote them.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.faults.checks import (
    of_events,
    of_groups,
    of_retries,
    of_rows,
    of_runs,
    of_searches,
    of_turns,
    of_upkeep,
)
from tests.faults.checks.seen import Check, Seen, Violation, read

# True at every commit, so of a pool at work too.
AT_ANY_MOMENT: tuple[Check, ...] = (
    of_events.ends_are_final,
    of_events.fences_only_rise,
    of_events.counts_add_up,
    of_events.a_replay_gives_the_state,
    of_rows.running_means_one_live_lease,
    of_rows.one_live_lease_a_slot,
    of_rows.rows_carry_the_current_fence,
    of_rows.one_result_a_success,
    of_rows.points_are_stored_once,
    of_rows.checkpoints_never_go_back,
    of_rows.losses_are_limited,
    of_rows.waste_is_not_charged,
    of_retries.retries_are_limited,
    of_retries.faults_are_not_charged,
    of_upkeep.quarantined_devices_get_nothing,
    of_groups.members_are_alike,
    of_groups.whoever_came_apart_is_alone,
    of_groups.seconds_are_split,
    of_searches.points_are_made_once,
    of_searches.rungs_are_climbed_one_by_one,
)
# These read every claim, or what the runners wrote meanwhile.
AT_THE_END: tuple[Check, ...] = (
    *AT_ANY_MOMENT,
    of_events.everything_ended,
    of_events.cancelled_while_waiting_never_runs,
    of_rows.ended_trials_hold_nothing,
    of_rows.kept_checkpoints_are_in_the_store,
    of_rows.resumes_start_at_the_newest,
    of_turns.turns_are_fair,
    of_turns.higher_classes_go_first,
    of_turns.ageing_keeps_its_turn,
    of_upkeep.caps_are_kept,
    of_upkeep.drained_workers_get_nothing,
    of_upkeep.quarantines_have_a_cause,
    of_retries.a_gpu_fault_ends_the_attempt,
    of_groups.runners_got_whole_groups,
    of_searches.every_point_is_made,
    of_searches.nobody_trains_past_its_rung,
    of_searches.the_best_go_on,
    of_runs.acknowledged_is_there,
    of_runs.acknowledged_ends,
    of_runs.one_key_one_experiment,
    of_runs.every_end_is_explained,
    of_runs.runners_ran_what_was_claimed,
    of_runs.no_gpu_is_shared,
    of_runs.results_are_those_of_an_unstopped_run,
)
LOST = frozenset({"lost", "I11"})
DOUBLED = frozenset({"I6", "I10"})


def judge(seen: Seen, checks: tuple[Check, ...] = AT_THE_END) -> list[Violation]:
    """Every violation that the checks find."""
    return [violation for check in checks for violation in check(seen)]


def tally(violations: list[Violation]) -> dict[str, int]:
    """How many there are: of what was lost, of what was done twice, and of everything."""
    counts = Counter(violation.invariant for violation in violations)
    return {
        "lost": sum(counts[invariant] for invariant in LOST),
        "doubled": sum(counts[invariant] for invariant in DOUBLED),
        "violations": counts.total(),
    }


def told(violations: list[Violation], most: int = 5) -> Iterator[str]:
    """The violations as lines, the first of each promise."""
    counts: Counter[str] = Counter()
    for violation in violations:
        counts[violation.invariant] += 1
        if counts[violation.invariant] <= most:
            yield str(violation)
    for invariant, count in counts.items():
        if count > most:
            yield f"{invariant}: … and {count - most} more"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.checker", description=__doc__)
    parser.add_argument("database_url")
    parser.add_argument("ledgers", type=Path)
    parser.add_argument("store", type=Path, nargs="?")
    options = parser.parse_args()
    violations = judge(read(options.database_url, options.ledgers, options.store))
    for line in told(violations):
        print(line)
    print(tally(violations))
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
