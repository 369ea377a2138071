"""Whether the catalog can be read."""

from __future__ import annotations

from labpool.catalog import Catalog
from labpool.diagnosis import Finding, ok, problem
from labpool.errors import CatalogError
from labpool.holdings import HoldingBroken, record_of
from labpool.settings import Settings


def check_catalog(settings: Settings) -> Finding:
    """Every entry of every folder."""
    try:
        catalog = Catalog.load(settings.catalog_roots)
    except CatalogError as error:
        mend = "Correct that file (CONTRIBUTING.md shows the form), or look at LABPOOL_CATALOG_PATH"
        return problem("catalog", error.detail, mend)
    counts = {
        "models": len(catalog.models),
        "data sets": len(catalog.datasets),
        "kernels": len(catalog.kernels),
        "boards": len(catalog.boards),
    }
    said = [f"{count} {name if count != 1 else name[:-1]}" for name, count in counts.items()]
    return ok("catalog", ", ".join(said) + _not_here(catalog, settings))


def _not_here(catalog: Catalog, settings: Settings) -> str:
    """Which data sets a worker of this machine could not run, and what brings their files."""
    missing = []
    for entry in catalog.datasets.values():
        try:
            there = entry.files is None or record_of(settings.datasets_folder, entry.name)
        except HoldingBroken:
            there = None
        if not there:
            missing.append(entry.name)
    if not missing:
        return ""
    return f". Not on this machine: {', '.join(missing)} (labpool data fetch NAME)"
