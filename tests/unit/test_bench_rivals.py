"""What `against_peers` makes of its measurements: sweeps, rounds that are kept, ratios, pages."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labpool.catalog import Catalog
from labpool.planning import plan
from labpool.settings import CHECKOUT
from tests.bench import against_peers, programs
from tests.bench.rivals import kept, page, picture, sweeps, ways


def part(seconds: float, accuracy: float = 0.97) -> kept.Part:
    return {
        "seconds": seconds, "accuracy": accuracy, "trials": 8, "start_s": 1.0, "load": [1.0, 2.0],
        "versions": {"keras": "3"}, "groups": {},
    }  # fmt: skip


def test_it_works() -> None:
    rounds = [
        {"fused": part(2.0), "ray": part(20.0), "celery": part(30.0)},
        {"fused": part(4.0), "ray": part(90.0), "celery": part(80.0)},
    ]
    found = against_peers.ratios("mlp_vs_peer", rounds, ["ray", "celery"])
    assert found == {"mlp_vs_peer": 15.0, "mlp_vs_peer_least": 10.0, "mlp_vs_peer_most": 20.0}
    assert against_peers.ratios("mlp_vs_peer", rounds, []) == {"mlp_vs_peer": None}


@pytest.mark.parametrize(("name", "count"), [("mlp", 96), ("cnn", 48)])
def test_the_trials_of_a_file_are_those_that_labpool_plans(name: str, count: int) -> None:
    catalog = Catalog.load([CHECKOUT / "catalog"])
    for sweep in (name, sweeps.SMALL[name]):
        spec = sweeps.spec_of(sweep, wider=3)
        trials = sweeps.trials_of(spec)
        planned = [dict(trial.spec) for trial in plan(spec, catalog).trials]
        assert len(trials) == len(planned)
        for trial, ours in zip(trials, planned, strict=True):
            for field in ("learning_rate", "learning_rate_decay", "seed", "epochs", "batch_size"):
                assert trial[field] == ours[field], field
            assert trial["parameters"].items() <= ours["parameters"].items()
    assert len(sweeps.trials_of(sweeps.spec_of(name))) == count


def test_a_round_has_a_network_of_its_own_and_a_short_sweep_fewer_epochs() -> None:
    assert sweeps.spec_of("mlp", 2)["base"]["parameters"]["hidden"] == [64, 66]
    assert sweeps.spec_of("cnn", 2)["base"]["parameters"]["dense"] == 34
    assert sweeps.spec_of("cnn", 0, 2)["base"]["epochs"] == 2


def test_a_run_that_ended_goes_on_and_another_identity_begins_anew(tmp_path: Path) -> None:
    asked = []

    def measure() -> kept.Part:
        asked.append(1)
        return part(3.0)

    first = kept.Kept.of(tmp_path, "one")
    assert first.part("mlp/ray/1", measure) == (part(3.0), True)
    again = kept.Kept.of(tmp_path, "one")
    assert again.part("mlp/ray/1", measure) == (part(3.0), False)
    assert len(asked) == 1
    assert kept.Kept.of(tmp_path, "two").parts == {}
    raw = again.finish({"mlp_vs_peer": 3.0})
    assert '"mlp_vs_peer": 3.0' in raw.read_text(encoding="utf-8")
    assert kept.Kept.of(tmp_path, "one").parts == {}, "what has ended whole is not measured on"


def test_a_file_cut_short_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / kept.UNFINISHED).write_text('{"identity": "one", "par')
    assert kept.Kept.of(tmp_path, "one").parts == {}


def measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, peer: Callable[..., ways.Taken]
) -> Callable[[bool], Any]:
    """`figures` with peers and a service that only say how long they took."""

    def taken(seconds: float, trials: int) -> ways.Taken:
        return ways.Taken(seconds, 0.97, trials, None, (1.0, 1.0), {}, {})

    monkeypatch.setattr(kept, "FOLDER", tmp_path)
    monkeypatch.setattr(ways, "by_peer", peer)
    monkeypatch.setattr(
        ways, "by_labpool",
        lambda _, fuse, spec: taken(1.0 if fuse != "off" else 4.0, len(sweeps.trials_of(spec))),
    )  # fmt: skip
    monkeypatch.setattr(ways, "pool", lambda: open(tmp_path / "pool", "w"))  # noqa: PTH123, SIM115
    monkeypatch.setattr(programs, "peers_python", lambda: Path("python"))
    return against_peers.figures


def test_the_two_fastest_do_all_and_a_broken_run_is_taken_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[str, int]] = []
    seconds = {"shell": 90.0, "celery": 40.0, "optuna": 41.0, "ray": 60.0, "keras_tuner": 70.0,
               "optuna_loop": 5.0, "ray_loop": 6.0}  # fmt: skip
    broken = [True]

    def peer(_: Path, name: str, trials: list[sweeps.Trial]) -> ways.Taken:
        asked.append((name, len(trials)))
        if name == "ray_loop" and broken.pop():
            broken.append(False)
            raise programs.Broken("no")
        return ways.Taken(seconds[name], 0.972, len(trials), 1.0, (1.0, 1.0), {}, {})

    figures = measured(monkeypatch, tmp_path, peer)
    with pytest.raises(programs.Broken):
        figures(False)
    before = len(asked)
    broken[:] = [False] * 20
    found = figures(False)
    assert ("shell", 8) not in asked[before:], "it was kept"
    assert {name for name, count in asked if count == 96} == {
        "celery", "optuna", "optuna_loop", "ray_loop"
    }  # fmt: skip
    assert (found["mlp_vs_peer"], found["mlp_vs_peer_loop"]) == (40.0, 5.0)
    assert (found["cnn_vs_unfused"], found["cnn_peers_accuracy_difference"]) == (4.0, 0.002)
    assert (found["mlp_trials"], found["cnn_trials"], found["mlp_rounds"]) == (96, 48, 3)


def test_no_round_begins_that_would_pass_the_hour(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(against_peers, "BUDGET_S", 0.0)
    figures = measured(
        monkeypatch, tmp_path,
        lambda *_: ways.Taken(9.0, 0.97, 1, 1.0, (1.0, 1.0), {}, {}),
    )  # fmt: skip
    assert figures(False)["mlp_rounds"] == 1


def test_a_page_gets_the_table_and_the_picture() -> None:
    parts = {
        "mlp_small/shell/1": part(40.0), "mlp_small/fused/1": part(2.0),
        "mlp/fused/1": part(3.0), "mlp/fused/2": part(5.0), "mlp/ray_loop/1": part(8.0),
    }  # fmt: skip
    text = page.table({"identity": "abc1234 x", "parts": parts})
    assert "| shell loop, a process a trial | 40.0 (20.0), 0.9700 |  |" in text
    assert "| labpool, fused | 2.0, 0.9700 | 4.0, 0.9700 |" in text
    assert "abc1234" in text and "keras 3" in text and "load was 1.0 to 2.0" in text
    whole = f"before\n{page.BEGIN}\nold\n{page.END}\nafter"
    assert page.with_table(whole, "new") == f"before\n{page.BEGIN}\nnew\n{page.END}\nafter"
    with pytest.raises(ValueError, match="the page has no"):
        page.with_table("nothing", "new")
    drawn = ET.fromstring(picture.drawing(page._panels(parts)))  # noqa: S314 - our own
    bars = [one for one in drawn.iter() if one.tag.endswith("rect")]
    assert [one.get("class") for one in bars] == ["peer", "ours", "peer", "ours"]
    widths = [float(one.get("width", "")) for one in bars]
    assert widths[0] > widths[2] > widths[3] > widths[1] > 0


def test_bars_stay_in_the_picture() -> None:
    for seconds in (0.02, 1.0, 10.0, 999.0):
        drawn = picture.drawing([picture.Panel("a < b", [picture.Bar("x & y", seconds, True)])])
        (bar,) = (one for one in ET.fromstring(drawn).iter() if one.tag.endswith("rect"))  # noqa: S314
        assert 0 <= float(bar.get("width", "")) <= picture.WIDTH - picture.LABELS
    with pytest.raises(ValueError, match="nothing to draw"):
        picture.drawing([])


def test_without_the_peers_environment_the_ratios_count_as_not_measured() -> None:
    rounds = [{"fused": part(1.0), "unfused": part(2.0)}]
    found = against_peers._figures("mlp", rounds, against_peers.fastest_of(rounds[0]))
    assert found["mlp_vs_peer"] is None and found["mlp_vs_peer_loop"] is None
    assert found["mlp_vs_unfused"] == 2.0
