from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from dsbuild.builders.retrieval.retriever import Collection
from dsbuild.builders.retrieval.word_vectors import WordVectors

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def collection(rows: list[str]) -> Collection:
    ids = [f"{number:03d}" for number in range(len(rows))]
    return Collection(pa.array(ids, pa.large_string()), pa.array(rows, pa.large_string()), "en")


def test_texts_of_one_topic_are_near_and_training_repeats(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    # Many words: fastText leaves most occurrences of a frequent word out.
    topics = [["".join(draw.choice(list(LETTERS), 6)) for _ in range(150)] for _ in range(2)]
    docs = collection([" ".join(draw.choice(topics[row % 2], 12)) for row in range(400)])
    queries = collection([" ".join(topics[1][:3]), "", "Ж", " ".join(topics[0][:3])])
    found = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        made = WordVectors(dims=24)
        made.index(docs, folder)
        found.append(made.search(queries, 20))
    assert np.array_equal(found[0][0], found[1][0])
    assert np.array_equal(found[0][1], found[1][1])
    assert (found[0][0][0] % 2 == 1).mean() > 0.8
    assert (found[0][0][1:3] == -1).all()
    assert (found[0][0][3] % 2 == 0).mean() > 0.8
