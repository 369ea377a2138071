"""The pool's slots and its queue, as the command line prints them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from labpool.cli.output import ago, count_of, print_table, printable

# Of a worker's id; `pool drain` takes that much.
SHOWN_ID = 8


def print_pool(content: dict[str, Any]) -> None:
    """Slots with what they run, silent workers' too, then how many trials wait."""
    workers = content["workers"]
    rows = [
        (
            worker["host"],
            str(worker["id"])[:SHOWN_ID],
            slot["id"],
            slot["name"],
            slot["device"],
            _state(worker, slot),
            _held(worker, slot),
        )
        for worker in sorted(workers, key=lambda worker: not worker["alive"])
        for slot in worker["slots"]
    ]
    if rows:
        print_table(("host", "worker", "slot", "name", "device", "state", "runs"), rows)
    if not any(worker["alive"] for worker in workers):
        silent = "No worker is alive" if rows else "No worker is here"
        print(f"{silent}: `labpool up` starts one, `labpool worker` one more.")
    busy, slots = content["busy_count"], count_of(content["slot_count"], "slot")
    print(f"{busy} of {slots} busy, {count_of(content['queued_count'], 'trial')} waiting")
    for closed in content["quarantines"]:
        where = f"{printable(closed['name'])} of {printable(closed['host'])}"
        print(
            f"Out of service: {where}: {printable(closed['reason'])}\n"
            f"  when it is well again: labpool pool clear {printable(closed['device'])}"
        )


def print_queue(queue: list[dict[str, Any]]) -> None:
    """What waits, in the order of the claims."""
    print_table(
        ("trial", "owner", "kind", "model", "device", "why it waits"),
        (
            (
                item["trial"]["id"],
                item["trial"]["owner"],
                item["trial"]["kind"],
                item["trial"]["model"],
                item["trial"]["device"],
                item["waiting"],
            )
            for item in queue
        ),
    )


def _state(worker: dict[str, Any], slot: dict[str, Any]) -> str:
    if not worker["alive"]:
        return "silent"
    if slot["state"] != "ready":
        return str(slot["state"])
    if worker["draining"]:
        return "draining"
    return "set aside" if slot["reason"] else "ready"


def _held(worker: dict[str, Any], slot: dict[str, Any]) -> str:
    trials = [
        f"trial {held['trial_id']} ({held['model']}, {held['owner']})"
        if held["trial_id"] is not None
        else "another user's trial"
        for held in slot["trials"]
    ]
    runs = ", ".join(trials) or slot["reason"] or "-"
    if worker["alive"]:
        return runs
    seen = f"last seen {ago(datetime.fromisoformat(worker['seen_at']))}"
    return f"{runs}; {seen}" if trials else seen
