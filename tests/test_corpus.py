from __future__ import annotations

import json

import numpy as np

from bench import corpus


def test_planted_pairs_have_the_index_that_is_told(tmp_path) -> None:
    made = corpus.make(200, words=120)
    assert len(made.texts) == 200
    assert len(made.pairs) == 20
    words = [text.replace(".", " ").lower().split() for text in made.texts]
    for one, other, told in made.pairs:
        sets = [{tuple(words[row][at : at + 5]) for at in range(len(words[row]) - 4)} for row in (one, other)]
        assert told == len(sets[0] & sets[1]) / len(sets[0] | sets[1])
    told = np.array([pair[2] for pair in made.pairs])
    assert told.min() < 0.7
    assert told.max() > 0.9
    assert corpus.make(200, words=120) == made
    lines = [json.loads(line) for path in made.write(tmp_path) for line in path.read_text("utf-8").splitlines()]
    assert [line["text"] for line in lines] == made.texts
