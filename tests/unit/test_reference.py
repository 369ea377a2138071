"""The reference pages name every route and every setting, and nothing that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from api.app import create_app
from db.engine import Database
from db.migrate import upgrade
from labpool.settings import CHECKOUT, Settings

DOCS = CHECKOUT / "docs"


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("reference"))
    database = Database(settings.database)
    upgrade(database)
    app = create_app(settings, database=database)
    found = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    database.dispose()
    return found


def _table(page: str, pattern: str) -> set[tuple[str, ...]]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return {match.groups() for match in re.finditer(pattern, text, re.MULTILINE)}


def test_every_route_is_documented(routes: set[tuple[str, str]]) -> None:
    assert _table("api.md", r"^\| (GET|POST|PATCH|PUT|DELETE) \| `([^`]+)` \|") == routes


def test_every_setting_is_documented() -> None:
    documented = {name for (name,) in _table("settings.md", r"^\| `(LABPOOL_[A-Z_]+)` \|")}
    # These two are the client's own.
    client = {"LABPOOL_URL", "LABPOOL_TOKEN"}
    assert documented - client == {f"LABPOOL_{name.upper()}" for name in Settings.model_fields}
    assert client <= documented


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / link).exists(), link
    for path in re.findall(r"`((?:deploy|db|api|worker|labpool|catalog)/[\w./-]+\.\w+)`", text):
        assert (CHECKOUT / path).exists(), path
