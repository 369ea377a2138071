"""The pool's page and the boards: who has what, who waits and why, who leads."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import update

from db import usage, users, workers
from db.models import Slot, Trial, Worker
from db.states import SlotState
from tests.support.api import BENCHMARK, TRAIN, Api, claimed, epochs, succeeded
from tests.support.bulk import statements
from tests.support.forms import form_of, heads, row_ids
from tests.support.pool import slot, step_clock

pytest_plugins = ["tests.support.api_fixtures"]


def section(page: str, ident: str) -> str:
    return page.partition(f'id="{ident}"')[2].partition("</section>")[0]


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_a_slot_says_who_holds_it_since_when_and_how_long_yet(api: Api) -> None:
    with api.database.transaction() as session:
        taker = slot(session, api.catalog)
    api.submitted({**TRAIN, "epochs": 10})
    trial = claimed(api, taker)
    step_clock(api.database, 40)
    epochs(api, trial, range(1, 5), total=10)
    page = api.browser().get("/pool").text
    shown = text_of(section(page, "workers"))

    assert "Trial 1 mlp, owner started" in shown
    assert "4 of 10 epochs" in shown
    left = re.search(r"about (?:(\d+) min )?(\d+) s left", shown)
    assert left is not None
    assert 50 <= int(left[1] or 0) * 60 + int(left[2]) <= 75
    assert "1 of 1 slot busy" in page


def test_the_queue_stands_in_the_order_of_the_claims_with_reasons(api: Api) -> None:
    with api.database.transaction() as session:
        taker = slot(session, api.catalog)
    for _ in range(3):
        api.submitted()
    api.teammate.submit(TRAIN)
    api.owner.submit({**BENCHMARK, "device": "gpu"})
    claimed(api, taker)
    page = api.browser().get("/pool").text

    # The owner has one running, so the teammate's only trial is next.
    assert row_ids(page, "queued") == [4, 2, 3, 5]
    queue = section(page, "queue")
    assert "It is next; it starts when a slot is free." in queue
    assert "It needs a GPU slot; the pool has none at present." in queue
    answer = api.owner.get("/api/v1/pool/queue").get_json()
    assert [one["trial"]["id"] for one in answer["queue"]] == [4, 2, 3, 5]
    assert [one["waiting"] for one in answer["queue"]][1] == (
        "1 is ahead of it; it starts when a slot is free."
    )


def test_workers_that_left_fade_and_those_out_of_service_are_named(api: Api) -> None:
    with api.database.transaction() as session:
        for name, host in (("stopped", "here"), ("silent", "here"), ("stays", "here")):
            info = workers.WorkerInfo(name, host, 7, f"v-{name}", [], [], "store")
            kinds = ["train"]
            workers.register_worker(session, info, [workers.SlotInfo(0, "cpu", name, kinds)])
        session.execute(
            update(Slot)
            .where(Slot.worker_id == "stays")
            .values(state=SlotState.QUARANTINED, reason="It fell off the <bus>.")
        )
        session.execute(
            update(Worker).where(Worker.id == "silent").values(seen_at=Worker.seen_at - 300)
        )
        workers.stop_worker(session, "stopped")
    page = api.browser().get("/pool").text

    # What is alive comes first; what has stopped is folded away.
    assert re.findall(r'data-worker="here" data-state="(\w+)"', page) == [
        "alive", "silent", "stopped",
    ]  # fmt: skip
    folded = page[page.index('id="stopped"') :]
    assert "1 worker stopped within the last hour" in folded
    assert "v-stopped" in folded[: folded.index("</details>")]
    assert "v-silent" not in folded
    assert "It fell off the &lt;bus&gt;." in section(page, "quarantined")
    assert "Unknown: its worker is silent" in page
    assert "v-stopped" in page
    assert "labpool worker" not in section(page, "workers")
    assert "0 of 1 slot busy" in page
    listed = api.owner.get("/api/v1/pool").get_json()["workers"]
    assert sorted(worker["version"] for worker in listed) == ["v-silent", "v-stays"]


def test_use_is_a_bar_a_user_and_fades_with_time(api: Api) -> None:
    with api.database.transaction() as session:
        for name, seconds in (("owner", 7200.0), ("teammate", 36000.0)):
            user = users.find_user(session, name)
            assert user is not None
            usage.charge(session, user.id, seconds)
    api.submitted()
    page = api.browser().get("/pool").text
    use = section(page, "usage")

    assert re.findall(r'data-user="(\w+)"', use) == ["teammate", "owner"]
    assert "10 h 0 min" in use
    assert "2 h 0 min" in use
    assert "0 running, 1 waiting" in use
    step_clock(api.database, usage.HALF_LIFE_S)
    later = section(api.browser().get("/pool").text, "usage")
    assert "5 h 0 min" in later
    assert "1 h 0 min" in later


def test_an_empty_pool_shows_the_commands(quick_api: Api) -> None:
    page = quick_api.browser().get("/pool").text

    assert "labpool worker" in section(page, "workers")
    assert "labpool submit" in section(page, "queue")
    assert 'id="usage"' not in page
    assert 'id="quarantined"' not in page


def test_a_private_pool_names_nobody_else(private_api: Api) -> None:
    with private_api.database.transaction() as session:
        taker = slot(session, private_api.catalog)
        other = users.find_user(session, "owner")
        assert other is not None
        usage.charge(session, other.id, 3600.0)
    private_api.submitted({**TRAIN, "name": "mine alone"})
    private_api.submitted()
    claimed(private_api, taker)
    private_api.teammate.submit(TRAIN)
    page = private_api.browser("teammate").get("/pool").text
    main = page.partition("<main")[2]

    assert "Somebody's trial" in main
    assert "owner" not in text_of(main)
    assert "mlp, owner" not in main
    assert row_ids(page, "queued") == [3]
    assert re.findall(r'data-user="([^"]+)"', page) == ["teammate", "everybody else"]
    everybody = private_api.browser("admin").get("/pool").text
    assert re.findall(r'data-user="([^"]+)"', everybody) == ["owner", "teammate"]


def test_a_long_queue_takes_no_more_statements(api: Api) -> None:
    with api.database.transaction() as session:
        slot(session, api.catalog)
    counts = []
    for _ in range(2):
        for _ in range(8):
            api.submitted()
        browser = api.browser()
        browser.get("/pool")
        with statements(api.database) as seen:
            browser.get("/pool")
        counts.append(len(seen))
    assert counts[0] == counts[1]
    assert counts[1] <= 20


@pytest.fixture
def ranked(api: Api) -> Api:
    """Four results on the digits board, two of them nearly alike."""
    with api.database.transaction() as session:
        taker = slot(session, api.catalog)
    for rate, accuracy in ((0.1, 0.91), (0.01, 0.97201), (0.001, 0.97202), (0.003, 0.9)):
        api.submitted({**TRAIN, "learning_rate": rate})
        trial = claimed(api, taker)
        epochs(api, trial, range(1, 4))
        succeeded(api, trial, accuracy)
    return api


def test_a_board_shows_only_what_differs_and_enough_digits(ranked: Api) -> None:
    page = ranked.browser().get("/boards/digits").text
    table = section(page, "board")

    assert row_ids(page, "row") == [3, 2, 1, 4]
    assert "0.97202" in table
    assert "0.97201" in table
    assert "0.91" in table
    first = page.partition('<tr id="row-3"')[2].partition("</tr>")[0]
    assert "learning_rate=0.001" in first
    assert "batch_size" not in first
    assert "batch_size" in section(page, "common").partition("</details>")[0]
    assert first.count("<svg") == 1
    assert "val accuracy from" in first
    assert "Val accuracy" in heads(page)


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("value", [4, 1, 2, 3]),
        ("-rank", [4, 1, 2, 3]),
        ("when", [1, 2, 3, 4]),
        ("-when", [4, 3, 2, 1]),
        ("nonsense", [3, 2, 1, 4]),
    ],
)
def test_a_board_sorts_by_its_address(ranked: Api, query: str, rows: list[int]) -> None:
    assert row_ids(ranked.browser().get(f"/boards/digits?sort={query}").text, "row") == rows


def test_ticked_results_are_compared(ranked: Api) -> None:
    browser = ranked.browser()
    form = form_of(browser.get("/boards/digits").text, "compare")
    page = browser.get(form.address(ticks=("3", "1"))).text

    assert sorted(row_ids(page, "trial")) == [1, 3]
    assert "Learning rate" in heads(page)


def test_an_empty_board_names_what_would_fill_it(quick_api: Api) -> None:
    browser = quick_api.browser()
    gpu = browser.get("/boards/dense_relu_gpu").text
    assert "| labpool submit -" in gpu
    assert "s/^device: cpu/device: gpu/" in gpu
    cpu = browser.get("/boards/dense_relu_cpu").text
    assert "labpool submit catalog/kernels/dense_relu/example.yaml" in cpu
    for page in (gpu, cpu):
        assert page.count(re.findall(r'class="command">([^<]+)<', page)[0]) == 1
    front = browser.get("/").text
    assert front.count('class="command') >= len(quick_api.catalog.boards)


def test_a_board_of_many_takes_no_more_statements(ranked: Api) -> None:
    browser = ranked.browser()
    browser.get("/boards/digits")
    with statements(ranked.database) as few:
        browser.get("/boards/digits")
    with ranked.database.snapshot() as session:
        assert session.get_one(Trial, 4).number == 0
    with ranked.database.transaction() as session:
        taker = slot(session, ranked.catalog)
    for rate in (0.2, 0.3, 0.4, 0.5, 0.6):
        ranked.submitted({**TRAIN, "learning_rate": rate})
        trial = claimed(ranked, taker)
        epochs(ranked, trial, range(1, 3))
        succeeded(ranked, trial, rate)
    with statements(ranked.database) as many:
        browser.get("/boards/digits")
    assert len(many) == len(few) <= 8
