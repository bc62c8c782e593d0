"""Queries without a model: salient phrases of a passage, or one of its own sentences. A baseline."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.builders.generation.ask_model import NOTHING, SHARD_ROWS
from dsbuild.builders.generation.generation import GENERATED, drawn, generated_id
from dsbuild.builders.generation.salient_phrases import Frequencies, Phrase, Phrases
from dsbuild.builders.retrieval.lexical_tokens import terms
from dsbuild.errors import RecipeError, UnknownName
from dsbuild.filters.data import scorers_digest
from dsbuild.filters.score_rows import one_array
from dsbuild.graph import Input, Node
from dsbuild.options import check_options
from dsbuild.stage import Counts, Result, Shard, Workspace, digest, verdict
from dsbuild.text import sentences, words

# What rows call their generator.
SALIENT = "salient"
_TASK = "queries"
# Passages whose phrases are looked up at once.
_BLOCK = 2_048
# No phrase counts as fewer words.
_SMALLEST = 0.5

Query = tuple[str, Mapping[str, Any]]  # text, details


class SalientStyle(Protocol):
    """A way to make queries of passages alone: a frozen dataclass whose fields are its options."""

    style: ClassVar[str]
    version: ClassVar[int]
    ranks: ClassVar[bool]  # whether it wants `Frequencies`
    fails: ClassVar[str]  # the step of the funnel that none of its queries can pass, "" if there is none

    def made(self, rows: pa.Table, lang: str, seed: int, frequencies: Frequencies) -> Iterator[list[Query]]:
        """The queries of each passage, none where it has nothing to make one of."""


@dataclass(frozen=True)
class SalientPhrase:
    """Keyword queries: the best phrases of a passage, dealt out to `per_passage` queries or to fewer that they fill.

    A query has its phrases in the order of the text, and no two that share a term. min_words, max_words: of a query; a passage whose phrases do
    not fill one gives none. Nothing is drawn: another seed makes the same queries.
    """

    per_passage: int = 1
    min_words: int = 2
    max_words: int = 6

    style: ClassVar[str] = "salient-phrase"
    version: ClassVar[int] = 1
    ranks: ClassVar[bool] = True
    fails: ClassVar[str] = ""

    def __post_init__(self) -> None:
        _check(self.per_passage, self.min_words, self.max_words)

    def made(self, rows: pa.Table, lang: str, seed: int, frequencies: Frequencies) -> Iterator[list[Query]]:
        """See `SalientStyle`."""
        del seed
        texts = with_titles(rows).to_pylist()
        for text, ranked in zip(texts, Phrases(frequencies, lang).found(texts), strict=True):
            yield [self._query(text, own) for own in self._dealt(text, ranked)]

    def _dealt(self, text: str, ranked: Sequence[Phrase]) -> list[list[Phrase]]:
        for n in range(self.per_passage, 0, -1):
            dealt = [self._fitting(text, ranked[number::n]) for number in range(n)]
            if all(sum(one.size for one in own) >= self.min_words for own in dealt):
                return dealt
        return []

    def _fitting(self, text: str, ranked: Sequence[Phrase]) -> list[Phrase]:
        taken: list[Phrase] = []
        said: set[str] = set()
        room = float(self.max_words)
        for phrase in ranked:
            if room < _SMALLEST:
                break
            own = set(terms(text[phrase.start : phrase.end]))
            if phrase.size <= room and said.isdisjoint(own):
                taken.append(phrase)
                said |= own
                room -= phrase.size
        return sorted(taken, key=lambda one: one.start)

    def _query(self, text: str, phrases: Sequence[Phrase]) -> Query:
        said = [" ".join(text[one.start : one.end].split()) for one in phrases]
        return " ".join(said), {"phrases": said}


@dataclass(frozen=True)
class InverseCloze:
    """A sentence of the passage as its query, drawn by the seed (inverse cloze task, K. Lee et al. 2019).

    There the sentence is taken out of its passage nine times in ten; here the passage stays whole, because the corpus is the source's: **the
    query stands in its passage word for word**, and whoever trains on it must take it out. min_words, max_words: of a sentence. A passage of
    one sentence gives none.
    """

    per_passage: int = 1
    min_words: int = 4
    max_words: int = 40

    style: ClassVar[str] = "inverse-cloze"
    version: ClassVar[int] = 1
    ranks: ClassVar[bool] = False
    fails: ClassVar[str] = "copied"

    def __post_init__(self) -> None:
        _check(self.per_passage, self.min_words, self.max_words)

    def made(self, rows: pa.Table, lang: str, seed: int, frequencies: Frequencies) -> Iterator[list[Query]]:
        """See `SalientStyle`. details: start and end of the sentence in the passage's text, in code points."""
        del frequencies
        for doc_id, text in zip(rows["doc_id"].to_pylist(), rows["text"].to_pylist(), strict=True):
            spans = sentences(text, lang)
            fitting = [
                span for span in spans if self.min_words <= len(words(text[slice(*span)])) <= self.max_words
            ] if len(spans) > 1 else []  # fmt: skip
            fitting.sort(key=lambda span: (drawn(seed, self.style, doc_id, *span), span))
            yield [
                (" ".join(text[start:end].split()), {"start": start, "end": end})
                for start, end in fitting[: self.per_passage]
            ]


STYLES: Mapping[str, type[SalientPhrase | InverseCloze]] = {one.style: one for one in (SalientPhrase, InverseCloze)}


def open_style(name: str, options: Mapping[str, Any]) -> SalientStyle:
    """A style that needs no model, with its options; unknown names and options name the nearest."""
    if name not in STYLES:
        raise UnknownName(f"style of {_TASK} for generator {SALIENT}", name, STYLES)
    known = {one.name: one for one in dataclasses.fields(STYLES[name])}
    check_options(f"option of {_TASK}/{name}", "style", STYLES[name], known, options)
    return STYLES[name](**options)


@dataclass(frozen=True)
class MakeSalient:
    """Make queries of passages without a model, in the passages' own language.

    A passage is kept if it gave a query, else dropped (`nothing_to_ask`). Passages are read twice, first for how rare words are. Memory grows
    with the vocabulary alone.
    """

    style: str
    options: Mapping[str, Any]
    lang: str
    seed: int = 0
    table: str = "corpus"

    name: ClassVar[str] = "salient"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    @cached_property
    def _style(self) -> SalientStyle:
        return open_style(self.style, self.options)

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows (passages: doc_id, title, text; whole), corpus (optional, whole: where words are counted) -> out (`GENERATED`)."""
        del work
        frequencies = Frequencies()
        if self._style.ranks:
            for shard in inputs.get("corpus", inputs["rows"]):
                frequencies.add(with_titles(shard))
        result = Result({}, counts=Counts())
        result.outputs = {"out": self._made(inputs["rows"], frequencies, result)}
        return result

    def _made(self, rows: Any, frequencies: Frequencies, result: Result) -> Iterator[Shard]:
        settings = {**dataclasses.asdict(self._style), "version": self._style.version}  # type: ignore[call-overload]
        signature = digest(self.style, json.dumps(settings, sort_keys=True))
        held: list[dict[str, Any]] = []
        n_in = kept = n_rows = 0
        for shard in rows:
            for start in range(0, shard.num_rows, _BLOCK):
                some = shard.slice(start, _BLOCK)
                made = self._style.made(some, self.lang, self.seed, frequencies)
                for doc_id, queries in zip(some["doc_id"].to_pylist(), made, strict=True):
                    held += [
                        self._row(doc_id, number, *query, signature)
                        for number, query in enumerate(queries)
                    ]  # fmt: skip
                    n_in, kept = n_in + 1, kept + bool(queries)
                    if not queries:
                        result.verdicts.append(
                            verdict(self.table, self.lang, doc_id, f"generate {_TASK}", "dropped", NOTHING)
                        )
                if len(held) >= SHARD_ROWS:
                    n_rows += len(held)
                    yield Shard(pa.Table.from_pylist(held, schema=GENERATED))
                    held = []
        if held or not n_rows:
            yield Shard(pa.Table.from_pylist(held, schema=GENERATED))
        result.counts = Counts(n_in, kept, n_in - kept)
        result.facts = {"items": n_rows + len(held), "problems": {NOTHING: n_in - kept} if n_in > kept else {}}

    def _row(self, doc_id: str, number: int, text: str, details: Mapping[str, Any], signature: str) -> dict[str, Any]:
        return {
            "id": generated_id(_TASK, self.style, SALIENT, doc_id, self.lang, f"{number}.0"), "parent_id": doc_id, "lang": self.lang,
            "text": text, "generator": SALIENT, "style": self.style, "prompt": "", "model": signature, "seed": self.seed,
            "sampling": None, "logprob": None, "n_said": 0, "details": json.dumps(details, ensure_ascii=False, sort_keys=True),
        }  # fmt: skip


def salient_node(
    style: str, options: Mapping[str, Any], lang: str, seed: int, rows: Input, corpus: Input | None = None
) -> Node:
    """The node `ask.LANG` that makes queries of the passages `rows`; corpus: all passages, where words are counted."""
    ranks = open_style(style, options).ranks
    inputs = {"rows": rows, **({"corpus": corpus} if corpus and ranks else {})}
    return Node(f"ask.{lang}", MakeSalient(style, options, lang, seed), inputs, {"lists": scorers_digest()})


def with_titles(rows: pa.Table) -> pa.Array:
    """The texts of passages, each after its title and a line end where it has one."""
    texts = one_array(rows["text"].cast(pa.string()))
    if "title" not in rows.column_names:
        return texts
    titles = pc.fill_null(one_array(rows["title"].cast(pa.string())), "")
    joined = pc.binary_join_element_wise(titles, texts, "\n")
    return pc.if_else(pc.equal(titles, ""), texts, joined)


def _check(per_passage: int, min_words: int, max_words: int) -> None:
    if per_passage < 1:
        raise RecipeError(f"per_passage={per_passage}: at least 1")
    if not 1 <= min_words <= max_words:
        raise RecipeError(f"style.min_words={min_words}, style.max_words={max_words}: at least 1, and in this order")
