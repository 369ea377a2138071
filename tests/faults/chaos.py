"""Random faults under a pool at work: nothing acknowledged is lost, nothing is recorded twice.

``python -m tests.faults.chaos --database sqlite --seed 7`` runs it alone; the same seed draws the
same submissions, wishes and faults at the same times. ``--keep FOLDER`` keeps what was judged.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from db.engine import Database
from db.users import add_user, issue_token
from tests.faults import checker
from tests.faults.checks import of_groups, of_searches, of_upkeep
from tests.faults.checks.of_runs import unprovoked_losses
from tests.faults.checks.seen import Seen, Violation, read
from tests.faults.cluster import Cluster, Ledger
from tests.faults.crashing_postgres import CrashingPostgres
from tests.faults.keeper import Keeper, plan_deeds
from tests.faults.looking import Looker
from tests.faults.people import Person, plan_asks
from tests.faults.plans import FULL, QUICK, Size, submissions
from tests.faults.schedule import draw
from tests.faults.searches import left_undone
from tests.faults.settling import settle
from tests.support.databases import migrate
from tests.support.processes import Processes

TTL_S = 4.0
AGEING_S = 15.0
SETTINGS: dict[str, Any] = {
    "LABPOOL_LEASE_TTL_S": f"{TTL_S:g}",
    "LABPOOL_BEAT_S": "0.5",
    "LABPOOL_POLL_S": "1",
    "LABPOOL_DRAIN_GRACE_S": "5",
    "LABPOOL_AGEING_S": f"{AGEING_S:g}",
}
NAMES = ("ada", "ben", "cleo", "dmitri")
ADMIN = "grace"
# Draws little work, and what takes long to come back early: nobody waits for either at the end.
QUICK_SEED = 1245

DONE = (
    "caps", "drains", "priorities", "quarantines", "groups", "groups_parted", "searched_sweeps",
    "promotions", "prunings",
)  # fmt: skip

BOUNDS = {
    "lost": "== 0", "doubled": "== 0", "violations": "== 0",
    # A lease of four seconds is lost now and then on a machine with more to do than it can.
    "unprovoked_losses": "<= 4",
}  # fmt: skip
FULL_BOUNDS = {
    "trials_sqlite": ">= 1000", "trials_postgres": ">= 1000",
    "faults_sqlite": ">= 60", "faults_postgres": ">= 60",
    # None of them may be missing: what was not done was not judged.
    **{f"{name}_{kind}": ">= 1" for name in DONE for kind in ("sqlite", "postgres")},
}  # fmt: skip


@dataclass
class Outcome:
    """What came of a run."""

    trials: int = 0
    faults: int = 0
    asks: int = 0
    states: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)
    drained_s: float = 0.0
    unprovoked: int = 0
    looks: int = 0
    done: Mapping[str, int] = field(default_factory=dict)

    def numbers(self) -> dict[str, int]:
        """The figures of one database."""
        return {
            "trials": self.trials, "faults": self.faults, **checker.tally(self.violations),
            "unprovoked_losses": self.unprovoked, **self.done,
        }  # fmt: skip


def figures(quick: bool) -> dict[str, int]:
    """One run on each database."""
    found: dict[str, int] = {}
    sums: Counter[str] = Counter()
    for kind in ("sqlite", "postgres"):
        outcome = run(kind, QUICK if quick else FULL, seed=_seed(quick))
        numbers = outcome.numbers()
        found |= {f"{name}_{kind}": value for name, value in numbers.items()}
        sums.update(numbers)
    return {**sums, **found}


def _seed(quick: bool) -> int:
    return QUICK_SEED if quick else random.randrange(10**6)


def run(kind: str, size: Size, seed: int, keep: Path | None = None) -> Outcome:
    """Chaos on one kind of database."""
    print(f"chaos on {kind}: seed {seed}, {size}", flush=True)
    folder = keep or Path(tempfile.mkdtemp(prefix="lp-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with ExitStack() as stack:
            postgres = stack.enter_context(CrashingPostgres()) if kind == "postgres" else None
            url = f"sqlite:///{folder / 'labpool.db'}" if postgres is None else postgres.url
            if postgres is None:
                migrate(url)
            outcome = _run(folder, url, postgres, size, seed)
        for line in checker.told(outcome.violations):
            print(line, flush=True)
        print(f"chaos on {kind}: {outcome.numbers()} {dict(outcome.states)} asks {outcome.asks}, "
              f"drained {outcome.drained_s:.0f} s after the last fault", flush=True)  # fmt: skip
    except BaseException:
        print(f"what there was of it is in {folder}", flush=True)
        raise
    if keep is None and not outcome.violations:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"what was judged is in {folder}", flush=True)
    return outcome


def _run(
    folder: Path, url: str, postgres: CrashingPostgres | None, size: Size, seed: int
) -> Outcome:
    source, outcome = random.Random(seed), Outcome()
    ledgers, store = folder / "ledgers", folder / "artifacts"
    ledgers.mkdir()
    database = Database(url)
    names = NAMES[: size.people]
    tokens, admin = _people(database, names)
    looker = Looker(url)
    with Processes(folder / "processes") as processes:
        environment = processes.environment(
            LABPOOL_DATABASE_URL=database.url.render_as_string(hide_password=False),
            LABPOOL_STORE_DIR=str(store),
            **SETTINGS,
        )
        cluster = Cluster(processes, environment, ledgers, postgres)
        with closing(cluster):
            _add_workers(cluster, size, seed)
            deeds = plan_deeds(random.Random(seed), size.deeds, size.span_s)
            keeper = Keeper(cluster.api.url, admin, names[-1], deeds, ledgers)
            with keeper, _members(cluster, tokens, size, source, ledgers) as members, looker:
                _strike(cluster, members, size, source)
                outcome.drained_s, late = settle(cluster, members, database, size)
            outcome.faults = cluster.count
            crashes = [Violation("process", f"nobody ended {crash}") for crash in cluster.crashes]
    outcome.looks = looker.looks
    with database.snapshot() as session:
        late += [Violation("search", text) for text in left_undone(session)]
    database.dispose()
    seen = read(url, ledgers, store, ageing_s=AGEING_S, lease_ttl_s=TTL_S)
    # A Postgres of this run is gone after it.
    (folder / "tables.json").write_text(json.dumps(seen.tables, default=str), encoding="utf-8")
    _sum_up(outcome, seen, [*crashes, *late, *looker.violations, *checker.judge(seen)])
    refused = [text for member in members for text in member.refusals]
    outcome.violations += [Violation("lost", f"a submission was refused: {text}")
                           for text in refused]  # fmt: skip
    return outcome


def _sum_up(outcome: Outcome, seen: Seen, violations: list[Violation]) -> None:
    outcome.trials = len(seen.trials)
    outcome.asks = len(seen.asked)
    outcome.states = Counter(trial["state"] for trial in seen["trials"])
    outcome.violations = violations
    outcome.unprovoked = unprovoked_losses(seen)
    outcome.done = {
        **of_upkeep.took_place(seen), **of_groups.took_place(seen), **of_searches.took_place(seen),
    }  # fmt: skip


def _people(database: Database, names: tuple[str, ...]) -> tuple[dict[str, str], str]:
    """Members and their tokens, and an administrator's; the first member has a double share."""
    tokens = {}
    with database.transaction() as session:
        for number, name in enumerate(names):
            member = add_user(session, name, "member")
            member.share = 1.0 if number else 2.0
            tokens[name] = issue_token(session, member, "api", "chaos")[1]
        admin = issue_token(session, add_user(session, ADMIN, "admin"), "api", "chaos")[1]
    return tokens, admin


def _add_workers(cluster: Cluster, size: Size, seed: int) -> None:
    # Two workers of two slots each; one device is wanted by both, as two pools on a host would.
    one, both, other = (f"GPU-chaos-{seed}-{time.time_ns()}-{name}" for name in "abc")
    cluster.add_worker(gpus=(one, both))
    cluster.add_worker(gpus=(both, other))
    if size.real:
        cluster.add_worker("--processor", "1")


@contextmanager
def _members(
    cluster: Cluster, tokens: Mapping[str, str], size: Size, source: random.Random, ledgers: Path
) -> Iterator[list[Person]]:
    acknowledged = Ledger(ledgers / "acknowledged.jsonl")
    asked = Ledger(ledgers / "asked.jsonl")
    can_ask = _routes(cluster.api.url)
    plans = submissions(size, source, list(tokens))
    members = [
        Person(
            name, cluster.api.url, token, plans[name],
            plan_asks(
                source, size.asks // len(tokens), size.span_s, size.sweep_asks // len(tokens)
            ),
            acknowledged, asked, can_ask,
        )
        for name, token in tokens.items()
    ]  # fmt: skip
    try:
        for member in members:
            member.start()
        yield members
    finally:
        for member in members:
            member.give_up.set()
            member.join(15.0)
        acknowledged.close()
        asked.close()


def _routes(url: str) -> frozenset[str]:
    """What can be asked of a trial."""
    paths = httpx.get(f"{url}/api/v1/openapi.json", timeout=30.0, trust_env=False).json()["paths"]
    return frozenset(
        path.rsplit("/", 1)[1] for path in paths if path.startswith("/api/v1/trials/{trial_id}/")
    )


def _strike(cluster: Cluster, members: list[Person], size: Size, source: random.Random) -> None:
    without = [*size.without, *(["database"] if cluster.postgres is None else [])]
    faults = draw(source.randrange(10**9), size.faults, size.span_s, TTL_S, without)
    begun = time.monotonic()
    while faults or time.monotonic() - begun < size.span_s:
        cluster.tick()
        if faults and time.monotonic() - begun >= faults[0].at_s:
            cluster.inflict(faults.pop(0))
        time.sleep(0.02)
    cluster.heal()
    deadline = time.monotonic() + size.bound_s
    while not all(member.join(0.0) for member in members) and time.monotonic() < deadline:
        cluster.tick()
        time.sleep(0.1)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.chaos", description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    size = QUICK if options.quick else FULL
    outcome = run(options.database, size, options.seed, options.keep)
    print(json.dumps(outcome.numbers()))
    return 1 if outcome.violations else 0


if __name__ == "__main__":
    sys.exit(main())
