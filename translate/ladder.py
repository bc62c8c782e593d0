"""The retry ladder: how a segment is put to an engine, rung by rung, until nothing hard fails.

first   protected items masked, too long texts split until they fit;
beam    the same with the engine's next beam size;
split   cut into clauses and around protected items, which are then copied as they are (never a whole row such as a query);
plain   the text as it is, nothing masked.

A rung is a pure function of the text and the engine, so a resumed run climbs the same way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dsbuild.engine import Capabilities, Output, Request
from dsbuild.translate.protect import Item, find, mask, restore
from dsbuild.translate.term_forms import stands

RUNGS = ("first", "beam", "split", "plain")

# Names of failures that engines give before ": "; what else they say is the detail of an `engine_error`.
_CODES = frozenset(
    {
        "missing", "timeout", "crash", "unknown_tokens", "engine_error", "protected_lost", "length",
        # Of language models (`dsbuild.language_model.Problem`).
        "empty", "refused", "not_json", "schema", "rejected", "unreachable",
    }
)  # fmt: skip

_CLAUSE = re.compile(r"(?<=[,;:،؛、，；：])\s*(?=\S)|\s+(?=[-–—(]\s?)|\n+")

Hard = Callable[[str, str, str], tuple[str, ...]]
Count = Callable[[Sequence[str], str], list[int]]


@dataclass(frozen=True, slots=True)
class Query:
    """A request with the items that its text carries as placeholders."""

    request: Request
    items: tuple[Item, ...] = ()

    def told(self, more: Mapping[str, Any]) -> Query:
        """The same query with more context."""
        return replace(self, request=replace(self.request, context={**self.request.context, **more}))


@dataclass(slots=True)
class Attempt:
    """A segment on one rung: literal strings and queries, in order."""

    parts: list[str | Query] = field(default_factory=list)

    def queries(self) -> list[Query]:
        """The queries, in order."""
        return [part for part in self.parts if isinstance(part, Query)]

    def told(self, more: Mapping[str, Any]) -> Attempt:
        """The same attempt with more context for every query."""
        return Attempt([part if isinstance(part, str) else part.told(more) for part in self.parts])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt: the text, the hard failure ("" if none), and the sums over its queries."""

    text: str
    rule: str
    score: float | None
    n_src_tokens: int
    n_tgt_tokens: int
    n_unknown: int | None


class Ladder:
    """Composes attempts for one engine and direction, and judges their outputs."""

    def __init__(self, *, src: str, tgt: str, capabilities: Capabilities, count: Count, hard: Hard,
                 protects: tuple[str, ...], terms: Mapping[str, str], own: Mapping[str, Mapping[str, str]] | None = None) -> None:  # fmt: skip
        self.src, self.tgt = src, tgt
        self.capabilities = capabilities
        self.count = count
        self.hard = hard
        self.protects = protects
        self.terms = terms
        # Phrases of single texts that must come out in one fixed form, by text: the words that an instruction's checks look for.
        self.own = own or {}

    def attempts(self, rung: str, texts: Sequence[str], whole: Sequence[bool] = ()) -> list[Attempt | None]:
        """One attempt per text, None where the rung would put the same question again, or cut a text that is `whole` (none, if not said)."""
        if rung == "beam":
            if not self.capabilities.beams:
                return [None] * len(texts)
            return [*self._whole(texts, beam=self.capabilities.beams[0], masked=True)]
        if rung == "split":
            kept = whole or [False] * len(texts)
            return [None if uncut else self._split(text) for text, uncut in zip(texts, kept, strict=True)]
        if rung == "plain":
            return [
                attempt if self.items(text) else None
                for text, attempt in zip(texts, self._whole(texts, beam=None, masked=False), strict=True)
            ]
        return [*self._whole(texts, beam=None, masked=True)]

    def items(self, text: str) -> list[Item]:
        """What must come out of the text as it went in."""
        own = self.own.get(text)
        if not own:
            return find(text, self.protects, terms=self.terms)
        found = find(text, self.protects, terms={**self.terms, **own})
        return [replace(item, kind="phrase") if item.kind == "term" and item.text in own else item for item in found]

    def _whole(self, texts: Sequence[str], *, beam: int | None, masked: bool) -> list[Attempt]:
        queries = [self._query(text, beam=beam, masked=masked) for text in texts]
        limit = self.capabilities.max_tokens
        lengths = self.count([query.request.text for query in queries], self.src) if limit else [0] * len(queries)
        return [
            Attempt([query]) if not limit or length <= limit else Attempt(self._fit(text, beam=beam, masked=masked))
            for text, query, length in zip(texts, queries, lengths, strict=True)
        ]

    def _query(self, text: str, *, beam: int | None, masked: bool) -> Query:
        hides = masked and bool(self.capabilities.placeholder)
        items = self.items(text) if hides or self.terms or self.own else []
        hidden = [item for item in items if not self._written(item)] if hides else []
        terms = {
            item.text: item.replacement for item in items if item.kind in ("term", "phrase") and item not in hidden
        }
        asked = mask(text, hidden, self.capabilities.placeholder) if hidden else text
        return Query(Request(asked, self.src, self.tgt, beam, {"terms": terms} if terms else {}), tuple(hidden))

    def _written(self, item: Item) -> bool:
        """Whether the engine writes an item itself: a term that it is told, unless the term stays as it is."""
        return self.capabilities.terms and item.kind == "term" and item.replacement != item.text

    def _fit(self, text: str, *, beam: int | None, masked: bool) -> list[str | Query]:
        """Halve a text until every piece is within the engine's limit; nothing of it is lost."""
        query = self._query(text, beam=beam, masked=masked)
        limit = self.capabilities.max_tokens
        if limit is None or self.count([query.request.text], self.src)[0] <= limit or len(text) < 2:
            return [query]
        cut = _middle(text, [(item.start, item.end) for item in self.items(text)])
        left, right = text[:cut].rstrip(), text[cut:].lstrip()
        between = text[len(left) : len(text) - len(right)]
        halves = [self._fit(half, beam=beam, masked=masked) if half else [] for half in (left, right)]
        return [*halves[0], between, *halves[1]] if between else halves[0] + halves[1]

    def _split(self, text: str) -> Attempt | None:
        """Clauses one by one, protected items copied; None if the text is one clause without items."""
        parts: list[str | Query] = []
        position = 0
        for item in self.items(text):
            if self._written(item):
                continue
            parts += self._clauses(text[position : item.start])
            parts.append(item.replacement)
            position = item.end
        parts += self._clauses(text[position:])
        if len(parts) == 1:
            words = text.split()
            if len(words) < 8:
                return None
            half = len(words) // 2
            parts = [*self._clauses(" ".join(words[:half])), " ", *self._clauses(" ".join(words[half:]))]
        return Attempt(parts)

    def _clauses(self, text: str) -> list[str | Query]:
        parts: list[str | Query] = []
        position = 0
        for found in [*_CLAUSE.finditer(text), None]:
            end = found.start() if found else len(text)
            clause = text[position:end]
            body = clause.strip()
            if any(character.isalpha() for character in body):
                lead = clause[: len(clause) - len(clause.lstrip())]
                tail = clause[len(clause.rstrip()) :]
                fitted = self._fit(body, beam=None, masked=False)
                parts += [*([lead] if lead else []), *fitted, *([tail] if tail else [])]
            elif clause:
                parts.append(clause)
            if found:
                if found.group():
                    parts.append(found.group())
                position = found.end()
        return parts

    def judge(self, text: str, attempt: Attempt, outputs: Sequence[Output]) -> Outcome:
        """Put the outputs of an attempt together again and look for a hard failure."""
        pieces: list[str] = []
        rule = ""
        answers = iter(outputs)
        for part in attempt.parts:
            if isinstance(part, str):
                pieces.append(part)
                continue
            output = next(answers)
            restored = restore(output.text.strip(), part.items, self.capabilities.placeholder)
            pieces.append(restored.text)
            if output.finish == "error":
                rule = rule or _reason(output.error)
            elif output.finish == "length":
                rule = rule or "length"
            elif restored.lost or restored.extra:
                rule = rule or "protected_lost"
        joined = "".join(pieces)
        items = self.items(text)
        if not rule and any(
            joined.count(item.replacement) < sum(other.replacement == item.replacement for other in items)
            for item in items
            if item.kind != "term" or item.replacement == item.text
        ):
            rule = "protected_lost"
        if not rule:
            rule = next(iter(self.hard(text, joined, self.tgt)), "")
        return _sum(joined, rule, outputs)

    def terms_missing(self, text: str, translation: str) -> list[str]:
        """Fixed translations of the source's terms that stand in the translation in no form; one that is due twice is there twice."""
        due = [item.replacement for item in self.items(text) if item.kind == "term"]
        return [term for term in due if not stands(term, translation)]


def is_unreachable(output: Output) -> bool:
    """Whether an engine's server gave no answer: that says nothing of the text, which another run can ask for."""
    return output.finish == "error" and output.error.partition(": ")[0] == "unreachable"


def _reason(error: str) -> str:
    """An engine's error as `code` or `code: detail`."""
    if not error:
        return "engine_error"
    return error if error.partition(": ")[0] in _CODES else f"engine_error: {error}"


def _sum(text: str, rule: str, outputs: Sequence[Output]) -> Outcome:
    tokens = sum(one.n_tgt_tokens for one in outputs)
    scored = [one for one in outputs if one.score is not None]
    weight = sum(max(1, one.n_tgt_tokens) for one in scored)
    score = (
        sum(one.score * max(1, one.n_tgt_tokens) for one in scored if one.score is not None) / weight
        if scored
        else None
    )
    known = [one.n_unknown for one in outputs if one.n_unknown is not None]
    return Outcome(text, rule, score, sum(one.n_src_tokens for one in outputs), tokens, sum(known) if known else None)


def _middle(text: str, whole: Sequence[tuple[int, int]]) -> int:
    """Where to halve a text: at the sentence or clause border nearest the middle, else between words, else anywhere."""
    middle = len(text) // 2

    def free(position: int) -> bool:
        return 0 < position < len(text) and not any(start < position < end for start, end in whole)

    for pattern in (r"(?<=[.!?।॥。！？])\s+", r"(?<=[,;:،、；：])\s*", r"\s+"):
        cuts = [found.end() for found in re.finditer(pattern, text) if free(found.end()) and found.start() > 0]
        near = [cut for cut in cuts if len(text) // 4 <= cut <= 3 * len(text) // 4]
        if near:
            return min(near, key=lambda cut: abs(cut - middle))
    # Text without spaces, or one endless word: never between a base and its combining mark.
    import unicodedata

    for position in sorted(range(1, len(text)), key=lambda cut: abs(cut - middle))[:64]:
        if free(position) and not unicodedata.category(text[position]).startswith("M"):
            return position
    return middle
