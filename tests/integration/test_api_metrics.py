"""GET /api/v1/trials/{id}/metrics: curves by pieces, across attempts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from db import findings
from tests.support.api import Api, checkpoint, claimed, epochs, problem_of, released, succeeded

pytest_plugins = ["tests.support.api_fixtures"]


def read(api: Api, trial_id: int, query: str = "") -> dict[str, Any]:
    answer = api.owner.get(f"/api/v1/trials/{trial_id}/metrics{query}")
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def test_it_works(api: Api) -> None:
    _, [trial_id] = api.submitted()
    empty = read(api, trial_id)
    assert empty["curves"] == {}
    assert empty["fence"] is None

    trial = claimed(api)
    epochs(api, trial, range(1, 4))
    body = read(api, trial_id)
    assert body["fence"] == trial.fence
    assert body["curves"]["loss"]["epochs"] == [1, 2, 3]
    assert len(body["curves"]["val_accuracy"]["values"]) == 3
    assert body["curves"]["loss"]["steps"] == [40, 80, 120]
    assert body["finished"] is False
    assert body["reset"] is False


def test_since_gives_only_what_is_new(api: Api) -> None:
    _, [trial_id] = api.submitted()
    before = read(api, trial_id)["cursor"]
    trial = claimed(api)
    epochs(api, trial, range(1, 3))
    first = read(api, trial_id, f"?since={before}")
    assert first["curves"]["loss"]["epochs"] == [1, 2]
    assert first["reset"] is False
    assert read(api, trial_id, f"?since={first['cursor']}")["curves"] == {}
    epochs(api, trial, range(3, 5))
    succeeded(api, trial)
    second = read(api, trial_id, f"?since={first['cursor']}")

    assert second["curves"]["loss"]["epochs"] == [3, 4]
    assert second["finished"] is True


def test_names_narrow_the_answer(api: Api) -> None:
    _, [trial_id] = api.submitted()
    epochs(api, claimed(api), range(1, 3))

    assert read(api, trial_id, "?name=loss&name=accuracy")["curves"].keys() == {"loss", "accuracy"}
    assert read(api, trial_id, "?name=nothing")["curves"] == {}


def test_another_attempt_resets_what_the_reader_holds(api: Api) -> None:
    _, [trial_id] = api.submitted()
    first = claimed(api)
    epochs(api, first, range(1, 6))
    held = read(api, trial_id)
    released(api, first)
    second = claimed(api)
    epochs(api, second, range(1, 3))
    body = read(api, trial_id, f"?since={held['cursor']}")

    assert body["reset"] is True
    assert body["fence"] == second.fence > first.fence
    assert body["curves"]["loss"]["epochs"] == [1, 2]


def test_a_resumed_curve_begins_with_what_it_resumed_from(api: Api, tmp_path: Path) -> None:
    _, [trial_id] = api.submitted()
    first = claimed(api)
    epochs(api, first, range(1, 4))
    checkpoint(api, first, 3, b"three", tmp_path)
    epochs(api, first, range(4, 6))
    released(api, first)
    second = claimed(api)
    assert second.resume is not None
    epochs(api, second, range(4, 6), lift=0.01)
    checkpoint(api, second, 5, b"five", tmp_path)
    released(api, second)
    third = claimed(api)
    epochs(api, third, range(6, 8))
    body = read(api, trial_id)

    assert body["fence"] == third.fence
    assert body["curves"]["loss"]["epochs"] == [1, 2, 3, 4, 5, 6, 7]
    # Epochs 4 and 5 are those of the second attempt: the first one's were lost with it.
    lifted = body["curves"]["val_accuracy"]["values"]
    with api.database.snapshot() as session:
        from db.models import MetricChunk

        kept = (
            session.query(MetricChunk)
            .filter_by(trial_id=trial_id, fence=second.fence, name="val_accuracy")
            .one()
        )
    assert lifted[3:5] == kept.values
    epochs(api, third, range(8, 9))
    later = read(api, trial_id, f"?since={body['cursor']}")
    assert later["curves"]["loss"]["epochs"] == [8]


def test_values_that_are_no_numbers_are_null(api: Api) -> None:
    _, [trial_id] = api.submitted()
    trial = claimed(api)
    chunk = findings.Chunk("loss", [1, 2], [1.0, 2.0], [0.5, 1.0], [None, 0.25])
    with api.database.transaction() as session:
        findings.record_metrics(session, trial.trial_id, trial.fence, [chunk])

    assert read(api, trial_id)["curves"]["loss"]["values"] == [None, 0.25]


def test_a_long_curve_comes_in_pieces(api: Api) -> None:
    from db.reads.curves import curves_since

    _, [trial_id] = api.submitted()
    trial = claimed(api)
    for epoch in range(1, 8):
        epochs(api, trial, range(epoch, epoch + 1))
    seen: list[float | None] = []
    place: dict[str, Any] = {}
    with api.database.snapshot() as session:
        for _ in range(10):
            part = curves_since(session, trial_id, names=["loss"], most_chunks=2, **place)
            seen += [epoch for curve in part.curves for epoch in curve.epochs]
            place = {"seen_fence": part.fence, "seen_chunk": part.last_chunk}
            if not part.more:
                break

    assert seen == [1, 2, 3, 4, 5, 6, 7]


def test_a_cursor_that_is_none_is_refused(quick_api: Api) -> None:
    _, [trial_id] = quick_api.submitted()
    for cursor in ("x", "1", "1.", "-1.2", "1." + "9" * 40, "%00"):
        path = f"/api/v1/trials/{trial_id}/metrics?since={cursor}"
        problem = problem_of(quick_api.owner.get(path), 422)
        assert problem["errors"][0]["parameter"] == "since"
