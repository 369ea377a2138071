"""Reading the catalog."""

from __future__ import annotations

from pathlib import Path

import pytest

from labpool.catalog import Catalog, digest_of
from labpool.errors import CatalogError
from labpool.settings import load_settings

MODEL = """
title = "One"
summary = "A model."
[input]
kind = "any"
[parameters.units]
type = "integer"
minimum = 1
default = 4
meaning = "Neurons."
"""


def root_with(tmp_path: Path, text: str = MODEL, name: str = "one") -> Path:
    folder = tmp_path / "models" / name
    folder.mkdir(parents=True)
    (folder / "model.toml").write_text(text)
    (folder / "model.py").write_text("raise SystemExit('read, never imported')\n")
    return tmp_path


def test_it_works(tmp_path: Path) -> None:
    entry = Catalog.load([root_with(tmp_path)]).models["one"]
    assert (entry.title, entry.path) == ("One", tmp_path / "models" / "one")
    assert entry.parameters["units"].default == 4


def test_the_digest_follows_what_runs_and_nothing_else(tmp_path: Path) -> None:
    folder = root_with(tmp_path) / "models" / "one"
    first = digest_of(folder)
    (folder / "README.md").write_text("words")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "model.pyc").write_bytes(b"x")
    assert digest_of(folder) == first
    (folder / "model.py").write_text("pass\n")
    second = digest_of(folder)
    (folder / "table.json").write_text("{}")
    assert len({first, second, digest_of(folder)}) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title = ", "model.toml"),
        (MODEL.replace('title = "One"', ""), "title"),
        (MODEL.replace("minimum = 1", "minimum = 9"), "parameters.units.default"),
        (MODEL.replace("minimum", "minimun"), "minimun"),
        (MODEL.replace('kind = "any"', 'kind = "sound"'), "input.kind"),
        ('digest = "x"\n' + MODEL, "digest"),
    ],
)
def test_a_bad_entry_names_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(CatalogError, match=words) as caught:
        Catalog.load([root_with(tmp_path, text)])
    assert "model.toml" in str(caught.value)


def test_a_lab_adds_names_and_replaces_none(tmp_path: Path) -> None:
    first, second = root_with(tmp_path / "a"), root_with(tmp_path / "b", name="two")
    assert set(Catalog.load([first, second]).models) == {"one", "two"}
    with pytest.raises(CatalogError, match="taken by"):
        Catalog.load([first, root_with(tmp_path / "c")])


def test_a_name_is_no_path(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="small letters"):
        Catalog.load([root_with(tmp_path, name="No-Name")])


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="not a folder"):
        Catalog.load([tmp_path / "nowhere"])


def test_a_folder_is_named_from_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root_with(tmp_path / "here")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABPOOL_CATALOG_PATH", "here:")
    _, ours = load_settings().catalog_roots
    # A runner, which works in another folder, is given this path.
    assert Catalog.load([ours]).models["one"].path == tmp_path / "here" / "models" / "one"
