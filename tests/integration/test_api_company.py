"""With whom a trial is trained together, in the API, on its page and on the command line."""

from __future__ import annotations

from typing import Any

from db import claims
from db.groups import Sizes
from labpool.turns import why_lines
from tests.support.api import Api
from tests.support.pool import slot

pytest_plugins = ["tests.support.api_fixtures"]

SWEEP: dict[str, Any] = {
    "kind": "sweep",
    "base": {"kind": "train", "model": "mlp", "dataset": "digits"},
    "strategy": {"method": "grid"},
    "space": {"seed": [1, 2, 3, 4]},
    "fuse": 3,
}


def test_it_works(quick_api: Api) -> None:
    with quick_api.database.transaction() as session:
        here = slot(session, quick_api.catalog)
    _, ids = quick_api.submitted(SWEEP)
    with quick_api.database.transaction() as session:
        assert claims.claim(session, here, 90.0, Sizes()) is not None

    def why(trial_id: int) -> dict[str, Any]:
        found: dict[str, Any] = quick_api.owner.get(f"/api/v1/trials/{trial_id}/why").get_json()
        return found

    running, waiting = why(ids[0]), why(ids[3])
    assert running["together_with"] == ids[1:3]
    said = f"It is trained together with trials {ids[1]} and {ids[2]}."
    assert running["together"] == said
    assert ("together", said) in why_lines(running)
    assert waiting["together_with"] == []
    assert waiting["together"] == "No other trial like it waits, so it starts by itself."

    browser = quick_api.browser()
    page = browser.get(f"/trials/{ids[0]}").text
    assert 'id="together"' in page
    assert f'<a href="/trials/{ids[2]}">{ids[2]}</a>.' in page
    assert waiting["together"] in browser.get(f"/trials/{ids[3]}").text


def test_without_fuse_nothing_is_said(quick_api: Api) -> None:
    _, [trial_id] = quick_api.submitted(SWEEP["base"])
    found = quick_api.owner.get(f"/api/v1/trials/{trial_id}/why").get_json()
    assert found["together"] is None and found["together_with"] == []
    assert 'id="together"' not in quick_api.browser().get(f"/trials/{trial_id}").text
