import numpy as np

from dsbuild.project.lexical_aligner import LexicalAligner
from dsbuild.text import words
from tests.small_cipher import NOUNS, sets, there


def texts(n_pairs):
    return [(words(pair.source.text), words(pair.target)) for pair in sets(n_pairs)[0]]


def test_words_of_a_made_up_language_find_each_other():
    held = texts(200)
    made = LexicalAligner()
    made.fit(held)
    right = total = 0
    for source, target in held:
        forward, backward = made.posteriors(source, target)
        assert forward.shape == backward.shape == (len(source), len(target))
        assert (forward.sum(0) <= 1 + 1e-9).all()
        assert (backward.sum(1) <= 1 + 1e-9).all()
        for i, word in enumerate(source):
            if word in NOUNS and source.count(word) == 1:
                total += 1
                right += target[int(backward[i].argmax())] == there(word)
    assert right / total > 0.95


def test_words_never_seen_and_empty_texts():
    made = LexicalAligner()
    made.fit(texts(20))
    forward, backward = made.posteriors(["Pia", "zzz"], ["Pia", "qqq"])
    assert forward[0, 0] > 0.5
    assert backward[1].sum() == 0
    assert made.posteriors([], ["a"])[0].shape == (0, 1)
    made.fit([])
    assert np.isfinite(made.posteriors(["a"], ["b"])[0]).all()
