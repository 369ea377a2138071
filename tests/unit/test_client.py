"""The client against a scripted service: what it sends, repeats, checks and refuses."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from labpool.client import (
    ApiError,
    BadAddress,
    Client,
    ClientError,
    Curves,
    Damaged,
    Experiment,
    NoService,
    PandasMissing,
    Snapshot,
    Unreachable,
    WaitTimeout,
)
from labpool.client.service import spec_content
from labpool.errors import LabpoolError
from labpool.settings import WrongSettings

Handler = Callable[[httpx.Request], httpx.Response]
EXPERIMENT = {
    "id": 7,
    "name": "a sweep",
    "kind": "sweep",
    "owner": "ada",
    "tags": [],
    "created_at": "2026-11-23T12:00:00.000Z",
    "trial_count": 2,
    "finished_count": 0,
    "finished": False,
    "states": {"queued": 2},
    "url": "/api/v1/experiments/7",
    "page_url": "/experiments/7",
    "of_a_newer_version": True,
}
SUBMITTED = {"experiment": EXPERIMENT, "trials": [{"id": 11}, {"id": 12}]}


class Service:
    """Answers from a list, in order; the last one stays."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.pauses: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self) -> Client:
        clock = iter(range(10_000))
        return Client(
            "http://lab.example:8642/",
            "lp_1_secret",
            http=httpx.Client(transport=httpx.MockTransport(self)),
            pause=self.pauses.append,
            clock=lambda: float(next(clock)),
        )


def answer(content: object, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=content)


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No service of the developer's is found."""
    for name in [name for name in os.environ if name.startswith("LABPOOL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LABPOOL_DATA_DIR", str(tmp_path / "data"))


def test_it_works() -> None:
    service = Service(answer(SUBMITTED, 201))
    submission = service.client().submit({"kind": "sweep"})
    assert (submission.id, submission.trial_ids) == (7, [11, 12])
    (request,) = service.requests
    assert str(request.url) == "http://lab.example:8642/api/v1/experiments"
    assert request.headers["Authorization"] == "Bearer lp_1_secret"
    assert request.headers["Content-Type"] == "application/json"
    assert len(request.headers["Idempotency-Key"]) == 36


def test_a_submission_is_repeated_with_the_same_key() -> None:
    service = Service(httpx.ConnectError("refused"), answer({}, 503), answer(SUBMITTED, 201))
    assert service.client().submit({"kind": "sweep"}).id == 7
    assert len({request.headers["Idempotency-Key"] for request in service.requests}) == 1
    assert len({request.content for request in service.requests}) == 1
    assert len(service.pauses) == 2


def test_an_own_key_is_sent() -> None:
    service = Service(answer(SUBMITTED))
    service.client().submit({"kind": "sweep"}, idempotency_key="mine")
    assert service.requests[0].headers["Idempotency-Key"] == "mine"


def test_what_is_not_harmless_is_not_repeated() -> None:
    service = Service(httpx.ReadTimeout("slow"))
    with pytest.raises(Unreachable):
        service.client().retry(11)
    assert len(service.requests) == 1


def test_the_service_away_is_said_with_its_address() -> None:
    service = Service(httpx.ConnectError("refused"))
    with pytest.raises(Unreachable, match=r"(?s)http://lab\.example:8642.*labpool up") as caught:
        service.client().experiment(7)
    assert "lp_1_secret" not in str(caught.value)
    assert len(service.requests) == 5


def test_a_problem_names_every_field() -> None:
    document = {
        "type": "urn:labpool:problem:invalid-spec",
        "title": "Unprocessable Content",
        "status": 422,
        "detail": "The spec has 2 problems.",
        "request_id": "abc",
        "errors": [
            {"pointer": "/epoch", "detail": "unknown key", "suggestion": "epochs"},
            {"pointer": "/seed", "detail": "not a number"},
        ],
    }
    service = Service(answer(document, 422))
    with pytest.raises(ApiError) as caught:
        service.client().submit({"kind": "train"})
    error = caught.value
    assert (error.status, error.kind, error.request_id) == (422, "invalid-spec", "abc")
    assert [field.pointer for field in error.fields] == ["/epoch", "/seed"]
    assert "/epoch: unknown key epochs" in str(error)
    assert error.permanent


def test_an_answer_of_something_else_is_no_trace() -> None:
    service = Service(httpx.Response(404, text="<html>a proxy</html>"))
    with pytest.raises(ApiError, match="404"):
        service.client().experiment(7)


def test_pages_are_read_to_the_end() -> None:
    following = "/api/v1/experiments?limit=200&cursor=abc"
    service = Service(
        answer({"experiments": [EXPERIMENT], "next": following}),
        answer({"experiments": [EXPERIMENT], "next": None}),
    )
    assert len(service.client().experiments(limit=300, owner="ada")) == 2
    assert service.requests[0].url.params["owner"] == "ada"
    assert "kind" not in service.requests[0].url.params
    assert service.requests[1].url.raw_path.decode() == following


def test_waiting_reports_and_ends() -> None:
    done = {**EXPERIMENT, "finished": True, "finished_count": 2, "states": {"succeeded": 2}}
    empty = {"trials": [], "next": None}
    service = Service(answer(EXPERIMENT), answer(empty), answer(done), answer(empty))
    seen: list[Snapshot] = []
    experiment = service.client().wait(7, on_progress=seen.append)
    assert experiment.succeeded
    assert [snapshot.experiment.finished for snapshot in seen] == [False, True]


def test_waiting_is_bounded() -> None:
    service = Service(answer(EXPERIMENT))
    with pytest.raises(WaitTimeout, match="0 of 2 trials"):
        service.client().wait(7, timeout_s=5)


def test_a_loss_is_no_success() -> None:
    done = {**EXPERIMENT, "finished": True, "states": {"succeeded": 1, "failed": 1}}
    assert not Service(answer(done)).client().wait(7).succeeded


def curve_answer(steps: list[int], **changes: Any) -> httpx.Response:
    points = {
        "steps": steps,
        "epochs": [float(step) for step in steps],
        "times_s": [0.1 * step for step in steps],
        "values": [None if step == 2 else 1.0 / step for step in steps],
    }
    content = {
        "trial_id": 11,
        "fence": 1,
        "reset": False,
        "more": False,
        "cursor": f"1.{steps[-1]}",
        "finished": False,
        "curves": {"loss": points},
    }
    return answer({**content, **changes})


def test_curves_grow_and_start_anew_after_a_takeover() -> None:
    service = Service(
        curve_answer([1, 2], more=True),
        curve_answer([3]),
        curve_answer([1], reset=True, fence=2, finished=True),
    )
    client = service.client()
    curves = client.curves(11)
    assert curves["loss"].steps == [1, 2, 3]
    assert curves["loss"].values[1] is None
    assert "since" not in service.requests[0].url.params
    client.curves(11, into=curves)
    assert service.requests[2].url.params["since"] == "1.3"
    assert (curves["loss"].steps, curves.fence, curves.finished) == ([1], 2, True)


def test_pandas_is_asked_for_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(PandasMissing, match="pip install pandas"):
        Curves(11).to_pandas()


def test_pandas_gets_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pandas:
        """Stands in for pandas, which is no dependency."""

        @staticmethod
        def DataFrame(rows: list[Any], columns: list[str]) -> tuple[list[Any], list[str]]:
            return rows, columns

    monkeypatch.setitem(sys.modules, "pandas", Pandas)  # type: ignore[arg-type]
    rows, columns = Service(curve_answer([1, 2])).client().curves(11).to_pandas()
    assert columns == ["metric", "step", "epoch", "time_s", "value"]
    assert rows[0] == ("loss", 1, 1.0, 0.1, 1.0)


def test_a_log_is_read_in_parts() -> None:
    def part(offset: int, text: str, complete: bool) -> httpx.Response:
        end = offset + len(text)
        return answer(
            {
                "offset": offset,
                "next_offset": end,
                "total_bytes": 10,
                "complete": complete,
                "text": text,
            }
        )

    service = Service(part(0, "01234", False), part(5, "56789", False), part(10, "", True))
    assert "".join(service.client().log_parts(11, follow=True, fence=3)) == "0123456789"
    assert [request.url.params["offset"] for request in service.requests] == ["0", "5", "10"]
    assert {request.url.params["fence"] for request in service.requests} == {"3"}


def checkpoint(content: bytes, recorded: bytes | None = None) -> Service:
    listed = {
        "id": 3,
        "best": True,
        "sha256": hashlib.sha256(content if recorded is None else recorded).hexdigest(),
        "url": "/api/v1/trials/11/checkpoints/3",
    }
    other = {**listed, "id": 4, "best": False}
    return Service(answer({"checkpoints": [other, listed]}), httpx.Response(200, content=content))


def test_the_best_checkpoint_is_downloaded_and_checked(tmp_path: Path) -> None:
    service = checkpoint(b"weights")
    path = service.client().download_checkpoint(11, tmp_path / "best.npz")
    assert path.read_bytes() == b"weights"
    assert service.requests[1].url.path == "/api/v1/trials/11/checkpoints/3"
    assert [path.name for path in tmp_path.iterdir()] == ["best.npz"]


def test_a_damaged_download_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Damaged, match="sha256"):
        checkpoint(b"weights", b"other").client().download_checkpoint(11, tmp_path / "best.npz")
    assert list(tmp_path.iterdir()) == []


def test_no_checkpoint_is_said(tmp_path: Path) -> None:
    service = Service(answer({"checkpoints": []}))
    with pytest.raises(ClientError, match="no such checkpoint"):
        service.client().download_checkpoint(11, tmp_path / "best.npz")


def test_specs_are_dicts_paths_or_text(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("kind: train\n")
    assert spec_content({"kind": "train"}) == (b'{"kind": "train"}', "application/json")
    assert spec_content(path) == (b"kind: train\n", "application/yaml")
    assert spec_content(str(path)) == (b"kind: train\n", "application/yaml")
    assert spec_content("kind: train\nseed: 1") == (b"kind: train\nseed: 1", "application/yaml")
    with pytest.raises(ClientError, match="No such file"):
        spec_content("absent.yaml")


def test_nothing_to_connect_to_is_said() -> None:
    with pytest.raises(NoService, match="labpool up"):
        Client()


def test_a_variable_that_is_wrong_is_named_with_its_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABPOOL_BEAT_S", "soon")
    monkeypatch.setenv("LABPOOL_SLOTS", "0")
    with pytest.raises(WrongSettings) as caught:
        Client()
    assert isinstance(caught.value, LabpoolError)
    assert {name for name, _ in caught.value.problems} == {"LABPOOL_BEAT_S", "LABPOOL_SLOTS"}
    said = str(caught.value)
    assert "LABPOOL_BEAT_S: " in said and "LABPOOL_SLOTS: say a number from 1, or auto" in said
    assert "\n" not in said and "pydantic" not in said and "unset" in said
    # Who names the service and the token needs nothing else of the environment.
    assert Client("http://lab.example", "lp_1_x").address.url == "http://lab.example"


def write_client_json(url: str = "http://127.0.0.1:8642") -> None:
    folder = Path(os.environ["LABPOOL_DATA_DIR"])
    folder.mkdir()
    (folder / "client.json").write_text(json.dumps({"url": url, "token": "lp_1_local"}))


def test_the_local_service_is_found() -> None:
    write_client_json()
    address = Client().address
    assert (address.url, address.token) == ("http://127.0.0.1:8642", "lp_1_local")


def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    write_client_json()
    monkeypatch.setenv("LABPOOL_URL", "http://lab.example")
    monkeypatch.setenv("LABPOOL_TOKEN", "lp_2_lab")
    address = Client().address
    assert (address.url, address.token) == ("http://lab.example", "lp_2_lab")


def test_the_local_token_goes_to_no_other_service(monkeypatch: pytest.MonkeyPatch) -> None:
    write_client_json()
    monkeypatch.setenv("LABPOOL_URL", "http://lab.example")
    assert Client().address.token is None
    assert "lp_1_local" not in repr(Client("http://127.0.0.1:8642").address)


def test_notebook_tables_escape_what_users_wrote() -> None:
    experiment = {**EXPERIMENT, "name": "<script>alert(1)</script>"}
    html = Service(answer(experiment)).client().experiment(7)._repr_html_()
    assert "<script>" not in html


def test_the_client_needs_nothing_of_the_servers() -> None:
    program = (
        "import sys, labpool; labpool.Client; import labpool.cli\n"
        "heavy = {'sqlalchemy', 'flask', 'celery', 'kombu', 'tensorflow', 'keras', 'numpy'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("verb", ["pause", "resume", "stop", "cancel"])
def test_what_is_asked_of_a_run_goes_to_its_address(verb: str) -> None:
    service = Service(answer(EXPERIMENT))
    getattr(service.client(), verb)(7)
    trial = {
        "id": 11,
        "number": 0,
        "experiment_id": 7,
        "owner": "ada",
        "kind": "train",
        "state": "running",
        "model": "mlp",
        "device": "any",
        "seed": 0,
        "wish": "pause",
        "created_at": "2026-11-23T12:00:00Z",
    }
    service.answers = [answer(trial)]
    told = getattr(service.client(), f"{verb}_trial")(11)
    assert told.pending == "pausing after this epoch"
    waits = told.model_copy(update={"state": "queued", "wish": "stop"})
    assert waits.pending == "stopping once it has a slot"
    assert [(request.method, request.url.path) for request in service.requests] == [
        ("POST", f"/api/v1/experiments/7/{verb}"),
        ("POST", f"/api/v1/trials/11/{verb}"),
    ]


@pytest.mark.parametrize("url", ["foo", "lab.example:8642", "http://", "http://lab:port"])
def test_an_address_that_is_none_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABPOOL_URL", url)
    with pytest.raises(BadAddress, match=re.escape(repr(url)) + ".*LABPOOL_URL"):
        Client(token="lp_1_secret")


def test_following_a_log_outlives_a_restart_of_the_service() -> None:
    def part(text: str, complete: bool) -> httpx.Response:
        end = {"a": 1, "b": 2}[text]
        numbers = {"next_offset": end, "total_bytes": end}
        return answer({"text": text, "complete": complete, **numbers})

    gone = [httpx.ConnectError("refused")] * 5
    service = Service(part("a", False), *gone, part("b", True))
    told: list[bool] = []
    parts = service.client().log_parts(11, follow=True, on_away=lambda: told.append(True))
    assert list(parts) == ["a", "b"]
    assert told == [True]
    with pytest.raises(Unreachable):
        list(Service(*gone).client().log_parts(11, follow=True))


def test_what_was_asked_takes_the_place_of_the_state() -> None:
    asked = {"held": 2, "stopping": 2}
    states = {"queued": 4, "running": 1, "succeeded": 3}
    shown = Experiment.model_validate({**EXPERIMENT, "states": states, "asked": asked}).shown_states
    assert shown == {"held": 2, "stopping": 2, "queued": 1, "succeeded": 3}
