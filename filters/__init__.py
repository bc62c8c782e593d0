"""Filters: scorers that add columns, and the one stage that decides on them."""

from __future__ import annotations

from dsbuild.registry import Registry

FILTERS = Registry(
    "filter",
    {
        "bitext": "dsbuild.filters.bitext:BitextChecks",
        "language": "dsbuild.filters.language:LanguageId",
        "mojibake": "dsbuild.filters.mend:MendMojibake",
    },
)
