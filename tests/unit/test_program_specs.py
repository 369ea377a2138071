"""What a spec, and a model.toml, may say of a model that trains itself or takes no data."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from labpool.catalog import Catalog
from labpool.errors import CatalogError, SpecError
from labpool.planning import plan
from labpool.rerunning import changed_entries, rerun_plan
from labpool.settings import CHECKOUT
from labpool.spec import spec_schema

CATALOG = Catalog.load([CHECKOUT / "catalog"])
DQN: dict[str, Any] = {"kind": "train", "model": "dqn"}
TEN_LINES: dict[str, Any] = {"kind": "train", "model": "ten_lines", "dataset": "xor"}


def refused(raw: Any) -> dict[str, str]:
    with pytest.raises(SpecError) as caught:
        plan(raw, CATALOG)
    return {item.pointer: f"{item.message} {item.suggestion}" for item in caught.value.problems}


def test_it_works() -> None:
    [trial] = plan(DQN, CATALOG).trials
    assert (trial.data_name, trial.data_digest, trial.trace_key) == (None, None, None)
    assert trial.spec["dataset"] is None and trial.spec["dataset_parameters"] == {}
    assert trial.spec["batch_size"] == 128 and trial.spec["optimizer"] is None
    [trial] = plan(TEN_LINES, CATALOG).trials
    assert trial.data_name == "xor" and trial.trace_key is None
    assert trial.spec["learning_rate"] == 1.0 and trial.spec["batch_size"] is None
    for raw in (DQN, TEN_LINES):
        jsonschema.validate(raw, spec_schema())


def test_several_seeds_are_trials_of_their_own() -> None:
    trials = plan({**DQN, "repeat": 3}, CATALOG).trials
    assert [trial.seed for trial in trials] == [0, 1, 2]
    assert {trial.data_name for trial in trials} == {None}


def test_one_runs_again_without_a_data_set() -> None:
    for raw in (DQN, TEN_LINES):
        [trial] = plan(raw, CATALOG).trials
        digests = trial.code_digest, trial.data_digest
        assert changed_entries(trial.spec, *digests, CATALOG) == []
        assert changed_entries(trial.spec, "another", trial.data_digest, CATALOG) == [
            f"the model {trial.code_name} has changed"
        ]
        [again] = rerun_plan(1, trial.spec, [], CATALOG).trials
        assert {**again.spec, "name": None, "notes": ""} == {**trial.spec, "name": None}


def test_a_stored_spec_can_be_submitted_again() -> None:
    for raw in (DQN, TEN_LINES):
        [trial] = plan(raw, CATALOG).trials
        [again] = plan(dict(trial.spec), CATALOG).trials
        assert again.spec == trial.spec


@pytest.mark.parametrize(
    ("raw", "pointer", "words"),
    [
        ({**DQN, "dataset": "digits"}, "/dataset", "takes no data. Leave it out"),
        ({**DQN, "dataset_parameters": {"a": 1}}, "/dataset_parameters", "takes no data"),
        ({**DQN, "optimizer": "sgd"}, "/optimizer", "it uses batch_size, learning_rate"),
        ({**DQN, "device": "gpu"}, "/device", "CPU only. Take cpu or any"),
        ({**DQN, "parameters": {"memory": 1}}, "/parameters/memory", "at least 100"),
        ({**TEN_LINES, "batch_size": 4}, "/batch_size", "not used by the model 'ten_lines'"),
        ({**TEN_LINES, "engine": "fit"}, "/engine", "trains itself. Leave it out"),
        ({**TEN_LINES, "init_from": 12}, "/init_from", "the layers of a network; the model"),
        ({**TEN_LINES, "freeze": ["a"]}, "/freeze", "trains itself. Leave it out"),
        ({**DQN, "fresh": ["a"]}, "/fresh", "trains itself. Leave it out"),
        ({**TEN_LINES, "dataset": None}, "/dataset", "is missing. The catalog has "),
        ({"kind": "train", "model": "mlp"}, "/dataset", "is missing. The catalog has "),
        ({"kind": "train", "model": "mpl"}, "/dataset", "is missing"),
    ],
)
def test_what_a_model_would_ignore_is_refused(raw: Any, pointer: str, words: str) -> None:
    found = refused(raw)
    assert pointer in found and words in found[pointer]


def test_a_sweep_cannot_vary_what_is_ignored() -> None:
    sweep = {"kind": "sweep", "base": TEN_LINES, "strategy": {"method": "grid"}}
    assert "/space/batch_size/0" in refused({**sweep, "space": {"batch_size": [2, 4]}})
    assert "/space/init_from/0" in refused({**sweep, "space": {"init_from": [2, 4]}})
    assert len(plan({**sweep, "space": {"seed": [0, 1]}}, CATALOG).trials) == 2
    # Each of these fits the other's base only.
    found = refused({**sweep, "space": {"model": ["ten_lines", "dqn"]}})
    assert "trial 1: /dataset is not for the model 'dqn'" in found["/space"]
    bare = {**sweep, "base": {"kind": "train", "model": "mlp"}}
    assert "/base/dataset" in refused({**bare, "space": {"seed": [0]}})


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('task = "classification"', 'task = "control"', "so say none"),
        ('task = "classification"', 'task = "segmentation"', "so say image"),
        ('kind = "vector"', 'kind = "image"\n[pictures]', "only networks draw"),
        ('framework = "numpy"', 'framework = "keras"', "numpy is what a [program] has"),
        ('uses = ["learning_rate", ', 'uses = ["momentum", ', "program.uses.0"),
        ("learning_rate = 1.0", "batch_size = 8", "defaults.batch_size"),
        ('[program]\nuses = ["learning_rate", "learning_rate_decay"]', "", "framework"),
    ],
)
def test_a_model_that_contradicts_itself_is_named(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    shutil.copytree(CHECKOUT / "catalog", tmp_path / "catalog")
    toml = tmp_path / "catalog" / "models" / "ten_lines" / "model.toml"
    text = toml.read_text(encoding="utf-8")
    assert old in text
    toml.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(CatalogError) as caught:
        Catalog.load([tmp_path / "catalog"])
    assert says in str(caught.value) and "ten_lines" in str(caught.value)


def test_only_a_program_works_without_data(tmp_path: Path) -> None:
    shutil.copytree(CHECKOUT / "catalog", tmp_path / "catalog")
    toml = tmp_path / "catalog" / "models" / "mlp" / "model.toml"
    text = toml.read_text(encoding="utf-8").replace('kind = "any"', 'kind = "none"')
    toml.write_text(text, encoding="utf-8")
    with pytest.raises(CatalogError, match="only a program"):
        Catalog.load([tmp_path / "catalog"])
