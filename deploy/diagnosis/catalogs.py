"""Whether the catalog can be read."""

from __future__ import annotations

from labpool.catalog import Catalog
from labpool.diagnosis import Finding, ok, problem
from labpool.errors import CatalogError
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
    return ok(
        "catalog",
        ", ".join(f"{count} {name if count != 1 else name[:-1]}" for name, count in counts.items()),
    )
