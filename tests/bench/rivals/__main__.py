"""``python -m tests.bench.rivals mlp_small ray fused``: some ways of one sweep, once, in turn.

For looking at one of them; nothing is kept. `tests.bench.against_peers` is the measure.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack

from tests.bench import programs
from tests.bench.rivals import sweeps, ways


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m tests.bench.rivals", description=__doc__)
    asked.add_argument("sweep", choices=[*sweeps.LARGE, *sweeps.SMALL.values()])
    asked.add_argument("ways", nargs="+", choices=[*ways.PEERS, *ways.OURS])
    asked.add_argument("--epochs", type=int, help="fewer of them")
    asked.add_argument("--wider", type=int, default=0, help="neurons more in the last hidden layer")
    chosen = asked.parse_args()
    spec = sweeps.spec_of(chosen.sweep, chosen.wider, chosen.epochs)
    peers = [name for name in chosen.ways if name in ways.PEERS]
    python = programs.peers_python() if peers else None
    if peers and python is None:
        asked.exit(2)
    with ExitStack() as stack:
        client = stack.enter_context(ways.pool()) if len(peers) < len(chosen.ways) else None
        for name in chosen.ways:
            if name in ways.PEERS:
                assert python is not None
                taken = ways.by_peer(python, name, sweeps.trials_of(spec))
            else:
                assert client is not None
                taken = ways.by_labpool(client, ways.OURS[name], spec)
            print(f"{chosen.sweep}, {name}: {taken.as_json()}", flush=True)


if __name__ == "__main__":
    main()
