"""Filters: scorers that add columns, filters that look at all rows at once, and the one stage that decides."""

from __future__ import annotations

from dsbuild.registry import Registry

# Score single rows; the name is the group in settings (`--set gopher.min_words=30`) and of the rules in `rules/`.
SCORERS = Registry(
    "filter",
    {
        "bitext": "dsbuild.filters.bitext:BitextChecks",
        "fineweb": "dsbuild.filters.quality:Quality",
        "gopher": "dsbuild.filters.quality:Quality",
        "language": "dsbuild.filters.identify:IdentifyRows",
        "length": "dsbuild.filters.lengths:Lengths",
        "repetition": "dsbuild.filters.quality:Quality",
    },
)

# Look at a whole table.
TABLE_FILTERS = Registry(
    "filter",
    {
        "exact": "dsbuild.filters.exact_duplicates:FindExact",
        "neardup": "dsbuild.filters.near_duplicates:FindNear",
    },
)

# Change texts, each change with a verdict.
MENDERS = Registry("filter", {"mojibake": "dsbuild.filters.mend:MendMojibake"})

FILTERS = Registry("filter", {name: one.target(name) for one in (SCORERS, TABLE_FILTERS, MENDERS) for name in one.names()})
