"""`labpool predict` and `Client.predict`, without a service."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from labpool.cli import main, options
from labpool.client import Client, NoAnswer, WaitTimeout

DONE: dict[str, Any] = {
    "id": 4,
    "trial_id": 12,
    "state": "done",
    "form": "png",
    "epoch": 3,
    "arrays": {"probabilities": {"shape": [2, 3], "values": [[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]]}},
    "guesses": [{"label": 2, "probability": 0.7}, {"label": 0, "probability": 0.5}],
}
WAITING = {**DONE, "state": "waiting", "arrays": {}, "guesses": [], "waiting": "No worker."}
FAILED = {**WAITING, "state": "failed", "reason": "It does not fit.", "waiting": None}
BOXES = {
    **DONE, "guesses": [],
    "arrays": {"boxes": {"shape": [1, 2, 2], "values": [[[1.0, 2.0], [3.0, 4.0]]]}},
}  # fmt: skip


class Server:
    """Gives the answers in turn, the last one again and again."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return httpx.Response(202 if answer["state"] == "waiting" else 200, json=answer)

    def client(self, clock: Callable[[], float] = lambda: 0.0) -> Client:
        http = httpx.Client(transport=httpx.MockTransport(self))
        return Client("http://lab", "t", http=http, pause=lambda _: None, clock=clock)


def run(server: Server, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setattr(options, "Client", lambda url: server.client())
    return CliRunner().invoke(main, ["predict", "12", *arguments])


def test_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture, out = tmp_path / "seven.png", tmp_path / "out.csv"
    picture.write_bytes(b"\x89PNG")
    server = Server(WAITING, DONE)
    done = run(server, monkeypatch, str(picture), "--out", str(out), "--turn-over", "no")
    assert done.exit_code == 0, done.output
    table = [line.split() for line in done.stdout.splitlines()]
    assert table[0] == ["input", "example", "class", "probability", "then"]
    assert table[1][1:] == ["1", "2", "0.7", "1", "(0.2),", "0", "(0.1)"]
    assert [request.method for request in server.requests] == ["POST", "GET"]
    assert server.requests[0].content == b"\x89PNG"
    assert server.requests[0].url.params["turn_over"] == "no"
    lines = out.read_text().splitlines()
    assert lines[0] == "input,example,class,probabilities_0,probabilities_1,probabilities_2"
    assert lines[2] == f"{picture},2,0,0.5,0.3,0.2"


def test_numbers_and_json(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(DONE)
    done = run(server, monkeypatch, "--numbers", "1,2.5", "--numbers", "3;4", "--json")
    assert json.loads(server.requests[0].content) == {"inputs": [[1.0, 2.5], [3.0, 4.0]]}
    [answer] = json.loads(done.stdout)
    assert (answer["input"], answer["arrays"]) == ("numbers", DONE["arrays"])


def test_outputs_that_are_no_classes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    done = run(Server(BOXES), monkeypatch, "--numbers", "1", "--out", str(out))
    assert "1, 2, 3, 4" in done.stdout
    assert out.read_text() == (
        "input,example,class,boxes_0,boxes_1,boxes_2,boxes_3\nnumbers,1,,1.0,2.0,3.0,4.0\n"
    )


def test_few_numbers_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the ten lines, say, whose one output is the answer."""
    values = [[0.012345], [0.98765]]
    one = {**BOXES, "arrays": {"outputs": {"shape": [2, 1], "values": values}}}
    done = run(Server(one), monkeypatch, "--numbers", "0,0,1", "--numbers", "1,0,1")
    table = [line.split() for line in done.stdout.splitlines()]
    assert table[1:] == [
        ["numbers", "1", "outputs", "0.01235"], ["numbers", "2", "outputs", "0.9877"]
    ]  # fmt: skip
    large = {**BOXES, "arrays": {"outputs": {"shape": [1, 11], "values": [[0.5] * 11]}}}
    done = run(Server(large), monkeypatch, "--numbers", "1")
    assert done.stdout == "numbers: outputs 1 x 11; --json or --out has the numbers\n"


def test_several_arrays_are_columns_of_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    boxes = {"shape": [2, 2], "values": [[1.0, 2.0], [3.0, 4.0]]}
    out = tmp_path / "out.csv"
    both = {**DONE, "arrays": {**DONE["arrays"], "boxes": boxes}}
    done = run(Server(both), monkeypatch, "--numbers", "1", "--out", str(out))
    assert "3, 4" in done.stdout and "probability" in done.stdout
    assert out.read_text().splitlines() == [
        "input,example,class,probabilities_0,probabilities_1,probabilities_2,boxes_0,boxes_1",
        "numbers,1,2,0.1,0.2,0.7,1.0,2.0",
        "numbers,2,0,0.5,0.3,0.2,3.0,4.0",
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ((), 2, "name a FILE, or give --numbers"),
        (("--numbers", "1,x"), 2, "'1,x' is not 1,2,3"),
        (("not_there.png",), 2, "does not exist"),
        (("--numbers", "1"), 1, "The model gave no answer. It does not fit."),
    ],
)
def test_what_is_wrong_is_told(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], status: int, words: str
) -> None:
    done = run(Server(FAILED), monkeypatch, *arguments)
    assert (done.exit_code, words in done.output) == (status, True), done.output


def test_the_wait_ends() -> None:
    ticks = iter(range(0, 1000, 10))
    with pytest.raises(WaitTimeout, match=r"not answered within 60 s: No worker\."):
        Server(WAITING).client(lambda: float(next(ticks))).predict(12, [1.0], timeout_s=60)
    with pytest.raises(NoAnswer, match="It does not fit"):
        Server(FAILED).client().predict(12, [1.0])


def test_classes_are_called_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server({**DONE, "class_names": ["aster", "rose", "tulip"]})
    done = run(server, monkeypatch, "--numbers", "1,2")
    table = [line.split() for line in done.stdout.splitlines()]
    assert table[1] == ["numbers", "1", "tulip", "0.7", "rose", "(0.2),", "aster", "(0.1)"]
