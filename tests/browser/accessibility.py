"""axe over a page: every rule of WCAG 2.2 A and AA and axe's best practices, no exceptions.

axe-core comes inside a wheel from the package index; nothing of it is in this repository.
"""

from __future__ import annotations

from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

_RUN = """async () => {
  const found = await axe.run(document, { resultTypes: ["violations"] });
  return found.violations.map((rule) => ({
    rule: rule.id,
    help: rule.help,
    nodes: rule.nodes.map((node) => ({ target: node.target, why: node.failureSummary })),
  }));
}"""


def violations(page: Page) -> list[str]:
    """What axe finds, one line a place."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found: list[dict[str, Any]] = page.evaluate(_RUN)
    return [
        f"{rule['rule']}: {rule['help']}: {node['target']}: {' '.join(node['why'].split())}"
        for rule in found
        for node in rule["nodes"]
    ]
