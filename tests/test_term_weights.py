"""Query likelihood, divergence from randomness and feedback, written out word by word."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dsbuild.builders.retrieval.bm25 import BM25
from dsbuild.builders.retrieval.divergence import Divergence
from dsbuild.builders.retrieval.feedback import Feedback
from dsbuild.builders.retrieval.likelihood import Likelihood
from dsbuild.builders.retrieval.retriever import Collection, open_retrievers
from dsbuild.errors import RecipeError

WORDS = [f"w{number}" for number in range(40)]


def texts(n: int, seed: int, longest: int = 25) -> list[str]:
    draw = np.random.default_rng(seed)
    return [" ".join(WORDS[int(39 * draw.random() ** 2)] for _ in range(draw.integers(2, longest))) for _ in range(n)]


def collection(rows: list[str]) -> Collection:
    ids = [f"{number:04d}" for number in range(len(rows))]
    return Collection(pa.array(ids, pa.large_string()), pa.array(rows, pa.large_string()), "en")


DOCS, QUERIES = texts(120, 0), texts(8, 1, 6)
COUNTS = [Counter(text.split()) for text in DOCS]
TOTAL: Counter[str] = sum(COUNTS, Counter())
LENGTH = sum(TOTAL.values())


def likelihood(query: list[str], doc: Counter[str], smoothing: float = 0.3) -> float:
    """ln P(query | document), less what every document has."""
    length = sum(doc.values())
    return sum(
        math.log((1 - smoothing) * doc[word] / length + smoothing * TOTAL[word] / LENGTH)
        - math.log(smoothing * TOTAL[word] / LENGTH)
        for word in query
        if TOTAL[word]
    )


def dph(query: list[str], doc: Counter[str]) -> float:
    length, average, total = sum(doc.values()), LENGTH / len(DOCS), 0.0
    for word in query:
        if (count := doc[word]) and (share := count / length) < 1:
            factor = (1 - share) ** 2 / (count + 1)
            gain = count * math.log2(count * average / length * len(DOCS) / TOTAL[word])
            total += max(0.0, factor * (gain + 0.5 * math.log2(2 * math.pi * count * (1 - share))))
    return total


@pytest.mark.parametrize(("made", "by_hand"), [(Likelihood(smoothing=0.3), likelihood), (Divergence(), dph)])
def test_scores_are_those_of_the_formula(made: Likelihood, by_hand: object, tmp_path: Path) -> None:
    made.index(collection(DOCS), tmp_path)
    pairs = np.indices((len(QUERIES), len(DOCS))).reshape(2, -1)
    found = made.score(collection(QUERIES), pairs[0], pairs[1]).reshape(len(QUERIES), len(DOCS))
    for query, own in zip(QUERIES, found, strict=True):
        np.testing.assert_allclose(own, [by_hand(query.split(), doc) for doc in COUNTS], rtol=1e-4, atol=1e-5)
    rows, scores = made.search(collection(QUERIES), 5)
    for own, hits, values in zip(found, rows, scores, strict=True):
        wanted = [row for row in sorted(range(len(DOCS)), key=lambda row: (-own[row], row))[:5] if own[row] > 0]
        assert hits[: len(wanted)].tolist() == wanted
        assert np.array_equal(values[: len(wanted)], own[wanted])


def test_feedback_adds_the_words_of_the_first_documents(tmp_path: Path) -> None:
    made, first = Feedback(documents=3, words=4, original=0.6), BM25()
    for one in (made, first):
        one.index(collection(DOCS), tmp_path)
    queries = collection(QUERIES)
    rows, scores = first.search(queries, 3)
    pairs = np.indices((1, len(DOCS))).reshape(2, -1)
    for number, query in enumerate(QUERIES):
        words = query.split()
        weights = {word: 0.6 * count / len(words) for word, count in Counter(words).items()}
        model: Counter[str] = Counter()
        for row, score in zip(rows[number], scores[number], strict=True):
            for word, count in COUNTS[row].items():
                model[word] += score / scores[number].sum() * count / sum(COUNTS[row].values())
        best = sorted(model.items(), key=lambda pair: -pair[1])[:4]
        if len({round(value, 9) for _, value in sorted(model.items(), key=lambda pair: -pair[1])[3:5]}) == 1:
            continue  # the fourth ties with the fifth
        for word, value in best:
            weights[word] = weights.get(word, 0.0) + 0.4 * value / sum(value for _, value in best)
        parts = {word: first.score(collection([word]), pairs[0], pairs[1]) for word in weights}
        wanted = sum(weight * parts[word] for word, weight in weights.items())
        found = made.score(queries, np.full(len(DOCS), number), np.arange(len(DOCS)))
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_feedback_of_the_query_alone_ranks_as_bm25(tmp_path: Path) -> None:
    made, first = Feedback(original=1.0), BM25()
    for one in (made, first):
        one.index(collection(DOCS), tmp_path)
    queries = collection([*QUERIES, "unknown", ""])
    assert np.array_equal(made.search(queries, 4)[0][-2:], np.full((2, 4), -1))
    for own, other in zip(made.search(queries, 1)[1], first.search(queries, 1)[1], strict=True):
        assert np.isfinite(own[0]) == np.isfinite(other[0])


def test_documents_without_words_and_of_one_word(tmp_path: Path) -> None:
    for made in (Likelihood(), Divergence(), Feedback()):
        made.index(collection(["", "alone", "alone with others", "..."]), tmp_path)
        rows, scores = made.search(collection(["alone", "others"]), 3)
        assert not np.isnan(scores).any()
        assert set(rows.ravel().tolist()) <= {-1, 1, 2}
        made.index(collection(["", "!"]), tmp_path)
        assert (made.search(collection(["alone"]), 2)[0] == -1).all()


@pytest.mark.parametrize(
    ("spec", "options", "said"),
    [
        ("likelihood", {"likelihood": {"smoothing": 1.0}}, "between 0 and 1"),
        ("feedback", {"feedback": {"words": 0}}, "at least 1"),
        ("feedback", {"feedback": {"original": 1.5}}, "0 to 1"),
    ],
)
def test_options_that_cannot_be(spec: str, options: dict, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        open_retrievers(spec, options)


def test_what_decides_is_in_the_fingerprint() -> None:
    plain, other = (open_retrievers("feedback", {"feedback": {"k1": k1}})[0].fingerprint() for k1 in (0.9, 1.2))
    assert plain["retriever"] == "feedback"
    assert plain != other


def test_a_fusion_that_is_indexed_again_searches_again(tmp_path: Path) -> None:
    (made,) = open_retrievers("rrf:bm25+likelihood")
    queries = collection(QUERIES)
    made.index(collection(DOCS), tmp_path)
    made.search(queries, 5)
    made.index(collection(DOCS[:20]), tmp_path)
    assert made.search(queries, 5)[0].max() < 20
