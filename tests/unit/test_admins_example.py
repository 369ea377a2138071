"""The lab's own model and data of docs/admin.md, written down from there and trained."""

from __future__ import annotations

import re
from pathlib import Path

from labpool.catalog import Catalog
from labpool.reading import read_spec
from tests.support.runners import CHECKOUT, runner, trial_of

PAGE = (CHECKOUT / "docs" / "admin.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Models and data of your lab")[2].partition("\n## ")[0]


def test_it_works(tmp_path: Path) -> None:
    files = re.findall(r"`/opt/lab-catalog/([\w/.]+)`:\n```\w+\n(.*?)```", SECTION, re.DOTALL)
    assert len(files) == 4
    for name, content in files:
        path = tmp_path / "lab-catalog" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    catalog = Catalog.load([CHECKOUT / "catalog", tmp_path / "lab-catalog"])
    [text] = re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)
    spec = read_spec(text, "yaml")
    with runner(tmp_path / "home") as process:
        result = process.result(trial_of(spec, tmp_path / "scratch", catalog=catalog))
    assert result.metrics["test_accuracy"] > 0.9
