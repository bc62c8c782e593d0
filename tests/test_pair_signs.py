"""Signs of a query with its passage: what the passage's other queries say of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from dsbuild.builders.evaluation.pair_signs import PAIR_SIGNS, TEXT_SIGNS, Parallel, Signs
from dsbuild.builders.retrieval.retriever import Collection

TOPICS = 24


def made() -> Parallel:
    """Every topic is a passage of its own words; even topics have three questions, odd ones one."""
    docs, queries, pairs = [], [], []
    for topic in range(TOPICS):
        words = [f"w{topic}{letter}" for letter in "abcdefghi"]
        docs.append(" ".join(["the", "paper", *words]))
        for turn in range(1 if topic % 2 else 3):
            pairs.append((len(queries), topic))
            queries.append(" ".join(["which", *words[3 * turn : 3 * turn + 3]]))

    def collection(texts: list[str], letter: str, lang: str) -> Collection:
        ids = pa.array([f"{letter}{number:03d}" for number in range(len(texts))], pa.large_string())
        return Collection(ids, pa.array(texts, pa.large_string()), lang)

    def turned(texts: list[str]) -> list[str]:
        return [" ".join(f"{word}os" for word in text.split()) for text in texts]

    return Parallel(
        collection(queries, "q", "en"), collection(docs, "d", "en"), collection(turned(queries), "q", "es"),
        collection(turned(docs), "d", "es"), np.array(pairs),
    )  # fmt: skip


def test_other_queries_say_what_a_passage_lost(tmp_path: Path) -> None:
    parallel = made()
    signs = Signs(parallel, tmp_path)
    place = {name: PAIR_SIGNS.index(name) for name in ("others_score", "others_lack")}
    before = signs.measure(parallel).pairs
    assert before.shape == (len(parallel.pairs), len(PAIR_SIGNS))
    docs = parallel.tgt_docs.texts.to_pylist()
    # The words of the first two questions are others; the third question still finds its own.
    docs[4] = " ".join(["theos", "paperos", *(f"w7{letter}os" for letter in "abcdef"), *docs[4].split()[-3:]])
    found = signs.measure(parallel.with_texts(parallel.tgt_queries.texts.to_pylist(), docs))
    of = parallel.pairs[:, 1]
    assert found.docs.shape == (TOPICS, len(TEXT_SIGNS))
    for name, column in place.items():
        more = found.pairs[:, column] - before[:, column]
        assert (more[of == 4] > 0.1).all(), name
        # Of the third question the two others speak, of the first one of them.
        assert more[of == 4][2] > more[of == 4][0]
        assert (found.pairs[of % 2 == 1, column] == 0).all(), name
