"""What an export is asked for, and what it works on: scopes of languages, and queries with their passages."""

from __future__ import annotations

from dataclasses import dataclass

MIXES = ("passages", "entries", "robin")


@dataclass(frozen=True)
class Selection:
    """Which part of a release is exported. Empty tuples mean: all there are; query_langs: that of the passages.

    pooled: passages of all langs are one corpus; mix: how the languages of passages change from row to row of a training file (`MIXES`);
    positive: the least relevance that is a positive.
    """

    langs: tuple[str, ...] = ()
    query_langs: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    pooled: bool = False
    mix: str | None = None
    seed: int = 0
    positive: int = 1


@dataclass(frozen=True)
class Scope:
    """One corpus and its queries. name: a language, `en-hi` for queries over passages, `pooled`, or `en-mixed`."""

    name: str
    queries: tuple[str, ...]
    passages: tuple[str, ...]
    mix: str | None = None

    @property
    def prefixed(self) -> bool:
        """Whether ids carry their language: the same id stands for one document in every language."""
        return self.name == "pooled" or self.mix is not None

    def id(self, lang: str, row: str) -> str:
        """The id of a row in this scope."""
        return f"{lang}:{row}" if self.prefixed else row


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage of an example; score is that of the chosen retriever, None where it has none."""

    id: str
    title: str
    text: str
    relevance: int | None
    score: float | None

    @property
    def whole(self) -> str:
        """Title and text as evaluations join them, by a space."""
        return joined(self.title, self.text)


@dataclass(frozen=True, slots=True)
class Example:
    """A query with its passages: positives in the order of the judgements, negatives from the best on."""

    id: str
    text: str
    positives: tuple[Passage, ...]
    negatives: tuple[Passage, ...]


def joined(title: str, text: str) -> str:
    """Title and text by a space; no space where one is empty."""
    return f"{title} {text}".strip() if title else text
