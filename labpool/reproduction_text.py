"""A comparison of two runs in one sentence, for pages and the command line."""

from __future__ import annotations

from labpool.reproduction import Reproduction


def summary_of(found: Reproduction, first_id: int) -> str:
    """'Reproduced: identical, bit by bit, to trial 12.'"""
    missed = [pair.name.replace("_", " ") for pair in found.metrics if not pair.within]
    match found.verdict:
        case "open":
            return f"Runs trial {first_id} again; compared with it once there is a result."
        case "identical":
            return f"Reproduced: the same weights as trial {first_id}, bit by bit."
        case "reproduced" if found.seeds > 1:
            over = f"over {found.seeds} seeds"
            return f"Reproduced: every metric within trial {first_id}'s interval {over}."
        case "reproduced":
            return f"Reproduced: the metrics agree with trial {first_id}'s."
        case _:
            known = (
                f"outside of its interval over {found.seeds} seeds"
                if found.seeds > 1
                else "how far chance moves one seed is not known"
            )
            return f"Differs from trial {first_id} in {', '.join(missed) or 'its result'}; {known}."
