"""Signs that a translated query or passage no longer says, or no longer finds, what its source does: numbers, larger is worse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.builders.evaluation.word_links import Links, Terms, learn, terms_of
from dsbuild.builders.retrieval import lexical_tokens
from dsbuild.builders.retrieval.bm25 import BM25
from dsbuild.builders.retrieval.lexical_tokens import Vocabulary
from dsbuild.builders.retrieval.lsa import LSA
from dsbuild.builders.retrieval.retriever import Collection, Retriever
from dsbuild.filters.bitext import BitextChecks
from dsbuild.filters.utf8 import compiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Signs of a text against its source, and of a query with its positive.
TEXT_SIGNS = (
    "made", "kept", "strange", "lost", "strangest", "most_lost", "new_words", "new_letters", "profile", "unrelated", "copied",
    "wrong_script", "language", "length", "numbers", "names", "missing", "added", "loop", "question",
)  # fmt: skip
_COMPARED = ("rank_bm25", "rank_lsa", "score_bm25", "score_lsa")
# What a passage's other queries say of it: whether they, too, find it worse than expected, and whether it lacks the terms that they share with it.
PAIR_SIGNS = (*_COMPARED, "query_lacks", "passage_lacks", "others_score", "others_lack")
DEPTH = 100
# Of the space that profiles and ranks are taken in: it is fitted again for each spoiled set.
_DIMS = 100
# Documents that a text is compared with for its profile.
_REFERENCES = 1_000


@dataclass(frozen=True, slots=True)
class Parallel:
    """A retrieval set in two languages: rows of queries and documents are translations of each other, pairs are (query row, document row)."""

    src_queries: Collection
    src_docs: Collection
    tgt_queries: Collection
    tgt_docs: Collection
    pairs: Ints

    def with_texts(self, queries: Sequence[str], docs: Sequence[str]) -> Parallel:
        """The same with other translations."""
        made = [
            Collection(one.ids, pa.array(texts, pa.large_string()), one.lang)
            for one, texts in ((self.tgt_queries, queries), (self.tgt_docs, docs))
        ]
        return Parallel(self.src_queries, self.src_docs, made[0], made[1], self.pairs)


@dataclass(frozen=True, slots=True)
class Found:
    """Signs of queries (n, TEXT_SIGNS), of judged documents (n, TEXT_SIGNS; NaN for others), of pairs (n, PAIR_SIGNS), and ranks by retriever."""

    queries: Floats
    docs: Floats
    pairs: Floats
    ranks: dict[str, Ints]


class Signs:
    """Measures translations against their sources. What is usual is learned once, on the set as it is."""

    def __init__(self, parallel: Parallel, scratch: Path) -> None:
        self.parallel = parallel
        self.scratch = scratch
        self.judged = np.unique(parallel.pairs[:, 1])
        self.checks = BitextChecks(parallel.src_queries.lang, parallel.tgt_queries.lang)
        src, tgt = (
            self._texts(parallel.src_queries, parallel.src_docs),
            self._texts(parallel.tgt_queries, parallel.tgt_docs),
        )
        self.src_texts, self.tgt_texts = src, tgt
        self.src_words, self.tgt_words = Vocabulary(), Vocabulary()
        self.source = terms_of(src, self.src_words, add=True)
        target = terms_of(tgt, self.tgt_words, add=True)
        self.groups = np.arange(len(src))
        sizes = (self.src_words.size, self.tgt_words.size)
        self.made: Links = learn(self.source, target, self.groups, *sizes)
        self.kept: Links = learn(target, self.source, self.groups, *sizes[::-1])
        self.own = [
            self.made.explained(self.groups, target, self.source),
            self.kept.explained(self.groups, self.source, target),
        ]
        # How well each word is explained where it stands: sum, and how often.
        self.usual = [
            (np.bincount(terms.numbers, found, size), np.bincount(terms.numbers, minlength=size))
            for terms, found, size in zip((target, self.source), self.own, sizes[::-1], strict=True)
        ]
        self.target = target
        self.known = [_Known(terms_of, src, tgt), _Known(_letters, src, tgt)]
        self.src_scores = self._search(parallel.src_queries, parallel.src_docs)
        self.expect: list[Any] | None = None
        self._short: Floats = np.empty(0)
        self._checked: tuple[pa.Array, Floats] | None = None

    def _texts(self, queries: Collection, docs: Collection) -> pa.Array:
        return pa.concat_arrays([queries.texts, docs.take(self.judged).texts])

    def measure(self, parallel: Parallel) -> Found:
        """The signs of translations, those of the set or spoiled ones in their place."""
        targets = self._texts(parallel.tgt_queries, parallel.tgt_docs)
        sources = self._texts(parallel.src_queries, parallel.src_docs)
        words = self._word_signs(targets)
        n = len(parallel.tgt_queries)
        found = self._search(parallel.tgt_queries, parallel.tgt_docs)
        profiles = np.concatenate(
            [_unlike(ours, theirs) for ours, theirs in zip(self.src_scores["profile"], found["profile"], strict=True)]
        )
        new = [known.more(targets) for known in self.known]
        signs = np.column_stack([*words, *new, profiles, self._text_signs(sources, targets)])
        docs = np.full((len(parallel.tgt_docs), signs.shape[1]), np.nan)
        docs[self.judged] = signs[n:]
        return Found(
            signs[:n], docs, self._pair_signs(found), {name: found[f"rank_{name}"] for name in ("bm25", "lsa")}
        )

    def _word_signs(self, targets: pa.Array) -> list[Floats]:
        target = terms_of(targets, self.tgt_words, add=False)
        explained = (
            self.made.explained(self.groups, target, self.source),
            self.kept.explained(self.groups, self.source, target),
        )
        columns = []
        lacking = []
        for terms, found, own_terms, (total, times), own in zip(
            (target, self.source), explained, (self.target, self.source), self.usual, self.own, strict=True
        ):
            rows = np.repeat(np.arange(len(terms)), np.diff(terms.bounds))
            size = np.maximum(np.diff(terms.bounds), 1)
            columns.append(-np.bincount(rows, found, len(terms)) / size)
            # The word as it is elsewhere: without this row's own share in the mean.
            mine = _lookup(own_terms, terms, own)
            others = times[terms.numbers] - ~np.isnan(mine)
            mean = (total[terms.numbers] - np.nan_to_num(mine)) / np.maximum(others, 1)
            short = np.where(others > 0, np.maximum(0.0, mean - found), 0.0)
            if own_terms is self.source:
                self._short = short
            lacking.append((np.bincount(rows, short, len(terms)) / np.sqrt(size), _max(rows, short, len(terms))))
        return [*columns, lacking[0][0], lacking[1][0], lacking[0][1], lacking[1][1]]

    def _text_signs(self, sources: pa.Array, targets: pa.Array) -> Floats:
        """The checks of translations, made again only for texts that changed."""
        if self._checked is None:
            self._checked = (targets, self._check(sources, targets))
        before, signs = self._checked
        changed = pc.indices_nonzero(pc.not_equal(before, targets))
        signs = signs.copy()
        signs[changed.to_numpy()] = self._check(sources.take(changed), targets.take(changed))
        return signs

    def _check(self, sources: pa.Array, targets: pa.Array) -> Floats:
        found = self.checks.score(sources, targets)
        read = {
            name: np.asarray(pa.array(found[name]).cast(pa.float64()).to_numpy(zero_copy_only=False)) for name in found
        }
        zero = {name: np.nan_to_num(read[name]) for name in read}
        signs = (
            zero["unrelated"], zero["copy_share"], zero["wrong_script"], 1 - np.nan_to_num(read["language_score"], nan=1.0),
            np.abs(zero["length_z"]), zero["number_mismatch"], 1 - np.nan_to_num(read["name_share"], nan=1.0), np.maximum(zero["missing"], 0),
            np.maximum(zero["added"], 0), zero["loop"], zero["terminal_mismatch"],
        )  # fmt: skip
        return np.column_stack(signs)

    def _search(self, queries: Collection, docs: Collection) -> dict[str, Any]:
        """Of each pair, ranks and scores by both retrievers; and profiles: scores of queries and judged documents with reference documents."""
        query, doc = self.parallel.pairs.T
        rng = np.random.Generator(np.random.PCG64(0))
        references = np.sort(rng.permutation(len(docs))[:_REFERENCES])
        out: dict[str, Any] = {}
        made: tuple[Retriever, ...] = (BM25(), LSA(_DIMS))
        for one in made:
            one.index(docs, self.scratch)
            rows, scores = one.search(queries, min(DEPTH, len(docs)))
            same = rows[query] == doc[:, None]
            out[f"rank_{one.name}"] = np.where(same.any(axis=1), same.argmax(axis=1) + 1, DEPTH + 1)
            mine = one.score(queries, query, doc).astype(np.float64)
            best = scores[query, 0].astype(np.float64)
            second = scores[query, 1].astype(np.float64) if scores.shape[1] > 1 else best
            rival = np.where(rows[query, 0] == doc, second, best)
            out[f"score_{one.name}"] = mine - np.where(np.isfinite(rival), rival, 0.0)
            if one.name == "lsa":
                out["profile"] = [_profile(one, queries, references), _profile(one, docs.take(self.judged), references)]
            one.close()
        return out

    def _pair_signs(self, found: dict[str, Any]) -> Floats:
        """How far ranks and margins fall below what those of the source lead to expect."""
        columns = []
        fits = self.expect or []
        for place, name in enumerate(_COMPARED):
            ours, theirs = (_scale(name, one[name]) for one in (self.src_scores, found))
            if self.expect is None:
                fits.append(_line(ours, theirs))
            slope, start = fits[place]
            columns.append(slope * ours + start - theirs)
        self.expect = fits
        docs = np.searchsorted(self.judged, self.parallel.pairs[:, 1])
        rows = docs + len(self.parallel.src_queries)
        lacks = _lacks(self.source.numbers, self.source.bounds, self._short, self.parallel.pairs[:, 0], rows)
        of_others = [_others(column, docs) for column in (columns[_COMPARED.index("score_bm25")], lacks[:, 1])]
        return np.column_stack([*columns, lacks, *of_others])


@compiled
def _lacks(terms: Any, bounds: Any, short: Any, queries: Any, docs: Any) -> Any:
    """Of the source terms that query and passage share, how much worse than usual each translation carries them: the sum, by side."""
    out = np.zeros((len(queries), 2))
    for pair in range(len(queries)):
        one, one_end = bounds[queries[pair]], bounds[queries[pair] + 1]
        other, other_end = bounds[docs[pair]], bounds[docs[pair] + 1]
        shared = 0
        while one < one_end and other < other_end:
            if terms[one] < terms[other]:
                one += 1
            elif terms[one] > terms[other]:
                other += 1
            else:
                out[pair, 0] += short[one]
                out[pair, 1] += short[other]
                shared += 1
                one += 1
                other += 1
        out[pair] /= np.sqrt(max(shared, 1))
    return out


def _others(values: Floats, docs: Ints) -> Floats:
    """For each pair the mean of the values of the document's other pairs; 0 where it has none."""
    counts, sums = np.bincount(docs), np.bincount(docs, values)
    return np.asarray((sums[docs] - values) / np.maximum(1, counts[docs] - 1) * (counts[docs] > 1), np.float64)


class _Known:
    """Units (words, or runs of letters) of the texts of both sides: how many a text has that no other text has."""

    def __init__(self, units: Callable[..., Terms], src: pa.Array, tgt: pa.Array) -> None:
        self._units = units
        self._vocabulary = Vocabulary()
        self._held = units(tgt, self._vocabulary, add=True)
        self._texts = np.bincount(self._held.numbers, minlength=self._vocabulary.size)
        source = Vocabulary()
        held = units(src, source, add=True)
        self._source = self._share(held, np.bincount(held.numbers, minlength=source.size)[held.numbers] < 2)

    def more(self, targets: pa.Array) -> Floats:
        """The share of units that are new, less that of the source."""
        held = self._units(targets, self._vocabulary, add=True)
        size = self._vocabulary.size
        texts = np.zeros(size, np.int64)
        texts[: len(self._texts)] = self._texts
        own = np.nan_to_num(_lookup(self._held, held, np.ones(len(self._held.numbers))))
        return self._share(held, texts[held.numbers] - own < 1) - self._source

    @staticmethod
    def _share(held: Terms, new: Any) -> Floats:
        rows = np.repeat(np.arange(len(held)), np.diff(held.bounds))
        return np.bincount(rows, new, len(held)) / np.sqrt(np.maximum(np.diff(held.bounds), 1))


def _letters(texts: pa.Array, vocabulary: Vocabulary, *, add: bool) -> Terms:
    return terms_of(texts, vocabulary, add=add, scanner=lambda some: lexical_tokens.ngram_hashes(some, 3))


def _scale(name: str, values: Any) -> Floats:
    return -np.log2(np.asarray(values, np.float64)) if name.startswith("rank") else np.asarray(values, np.float64)


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    """A line through most points: least squares, twice without the worst tenth."""
    use = np.ones(len(x), bool)
    slope, start = 0.0, float(np.median(y)) if len(y) else 0.0
    for _ in range(3):
        spread = x[use].std()
        slope = (
            float(np.clip(np.cov(x[use], y[use], bias=True)[0, 1] / spread**2, 0, 5))
            if use.sum() > 2 and spread > 1e-9
            else 0.0
        )
        start = float(np.mean(y[use] - slope * x[use])) if use.any() else 0.0
        left = slope * x + start - y
        use = left <= np.quantile(left, 0.9) if len(left) else use
    return slope, start


def _profile(one: Retriever, texts: Collection, references: Ints) -> Floats:
    rows = np.repeat(np.arange(len(texts)), len(references))
    scores = one.score(texts, rows, np.tile(references, len(texts)))
    return np.nan_to_num(scores.astype(np.float64)).reshape(len(texts), len(references))


def _unlike(ours: Floats, theirs: Floats) -> Floats:
    """1 - the correlation of each row with the same row of the other."""
    one, other = (part - part.mean(axis=1, keepdims=True) for part in (ours, theirs))
    size = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    return 1 - np.where(size > 1e-12, (one * other).sum(axis=1) / np.maximum(size, 1e-12), 0.0)


def _lookup(held: Terms, asked: Terms, values: Floats) -> Floats:
    """The value of each asked term in the same row of `held`; NaN where the row does not hold it."""
    size = int(max(held.numbers.max(initial=0), asked.numbers.max(initial=0))) + 1
    keys, wanted = (np.repeat(np.arange(len(one)), np.diff(one.bounds)) * size + one.numbers for one in (held, asked))
    place = np.minimum(np.searchsorted(keys, wanted), max(0, len(keys) - 1))
    return np.where(keys[place] == wanted, values[place], np.nan) if len(keys) else np.full(len(wanted), np.nan)


def _max(rows: Ints, values: Floats, n: int) -> Floats:
    out = np.zeros(n)
    np.maximum.at(out, rows, values)
    return out
