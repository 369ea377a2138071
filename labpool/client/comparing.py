"""Boards, and trials run again: what compares results with each other."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from labpool.client.spec_files import Spec, spec_content
from labpool.client.transport import Transport


class Comparing:
    """The part of a client that asks how results compare."""

    _transport: Transport

    def check(self, spec: Spec) -> dict[str, Any]:
        """What submitting it would make: its `trials`, and `duplicates` that have a result."""
        content, media_type = spec_content(spec)
        path = "/specs/validate"
        return dict(self._transport.post(path, content=content, media_type=media_type, repeat=True))

    def forecast(self, spec: Spec) -> dict[str, Any]:
        """What submitting it would cost, when it would be done, and whom it would delay."""
        content, media_type = spec_content(spec)
        path = "/specs/forecast"
        return dict(self._transport.post(path, content=content, media_type=media_type, repeat=True))

    def boards(self) -> list[dict[str, Any]]:
        """The leaderboards there are."""
        return list(self._transport.get("/boards")["boards"])

    def board(self, name: str, limit: int | None = None) -> dict[str, Any]:
        """A leaderboard with its rows, best first."""
        return dict(self._transport.get(f"/boards/{quote(name, safe='')}", limit=limit))

    def board_csv(self, name: str, limit: int | None = None) -> str:
        """A leaderboard as CSV, its baselines last."""
        path = f"/boards/{quote(name, safe='')}/csv"
        return self._transport.send("GET", path, parameters={"limit": limit}).text

    def retry(self, trial_id: int) -> int:
        """Run an ended trial again, as a new one; the new trial's id."""
        answer = self._transport.post(f"/trials/{trial_id}/retry")
        return int(answer["trial_id"])

    def rerun(self, trial_id: int, with_todays_code: bool = False) -> dict[str, Any]:
        """Run a trial again as an experiment of yours: its `trial_id` and `experiment_id`.

        The new trial's `reproduction` says how both compare. ApiError 409 when the catalog's code
        has changed since, unless `with_todays_code`.
        """
        code = "?code=today" if with_todays_code else ""
        return dict(self._transport.post(f"/trials/{trial_id}/rerun{code}"))
