"""The sections that every recipe has: where a set comes from, and what a release says that no build can know."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from dsbuild.recipe import Section

_FILE_ENDINGS = r"(?i)\.(tsv|csv|txt|jsonl|json|ndjson|parquet|pq)(\.(gz|zst|bz2|xz))?$"


def own_name(src: str) -> tuple[str, str]:
    """A source's kind, and the name that its path gives it ("" for a kind without a path).

    >>> own_name("jsonl:data/my docs.jsonl.gz"), own_name("hf:ORG/NAME@main"), own_name("msmarco-sample")
    (('jsonl', 'my-docs'), ('hf', 'NAME'), ('msmarco-sample', ''))
    """
    kind, _, path = src.partition(":")
    last = path.rstrip("/").split("/")[-1].split("@")[0]
    return kind, re.sub(r"[^\w.]+", "-", re.sub(_FILE_ENDINGS, "", last)).strip("-.")


class SourceSection(Section):
    """Where the set comes from: `src` is KIND or KIND:PATH; `lang` where the kind does not fix it."""

    src: str
    lang: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    options: dict[str, str] = Field(default_factory=dict)
    limit: int | None = Field(default=None, ge=1)
    on_missing: Literal["stop", "drop"] = "stop"

    @field_validator("columns", "options", mode="before")
    @classmethod
    def _texts(cls, values: Any) -> Any:
        """What YAML reads as a number or as a truth value was meant as the text it is: a column named 2, header=no."""
        if not isinstance(values, Mapping):
            return values
        said = {True: "yes", False: "no"}
        return {
            key: said[value] if isinstance(value, bool) else str(value) if isinstance(value, int) else value
            for key, value in values.items()
        }


class ReleaseSection(Section):
    """Facts of the release that a build cannot know."""

    source_tables: bool = True
    pretty_name: str | None = None
    license: str | None = None
