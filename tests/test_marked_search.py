"""The search for marks in a fixed target: exact against every place scored alone, and the methods and scorers around it."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import ctranslate2
import pytest

from dsbuild.errors import EngineError, RecipeError, UnknownName
from dsbuild.project.candidates import CandidateProjector
from dsbuild.project.constrained import ConstrainedProjector
from dsbuild.project.marked_search import Marks, Query, search
from dsbuild.project.projector import Parallel
from dsbuild.scoring import Scored, TranslationScorer
from dsbuild.spans import Labelled, Span
from dsbuild.text import word_spans
from dsbuild.translate import SCORERS
from dsbuild.translate.ct2_scorer import located
from tests.small_set import cli, rows
from tests.tiny_models import SENTENCES, train_spm, write_nllb

WORDS = {
    "the": "el",
    "dog": "perro",
    "red": "rojo",
    "wine": "vino",
    "house": "casa",
    "old": "vieja",
    "[": "[",
    "]": "]",
}


class Arbitrary:
    """Any autoregressive model: a token's probability is a number drawn from the source and all tokens up to it."""

    name = "arbitrary"

    def __init__(self) -> None:
        self.n_scored = 0

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        return {"scorer": self.name}

    def log_prob(self, source: str, tokens: Sequence[str]) -> float:
        drawn = hashlib.sha256(repr((source, *tokens)).encode()).digest()[0]
        return -0.05 - 6 * drawn / 255

    def score(self, sources: Sequence[str], targets: Sequence[str], src: str, tgt: str) -> list[Scored]:
        self.n_scored += len(targets)
        return [self._one(source, target) for source, target in zip(sources, targets, strict=True)]

    def _one(self, source: str, target: str) -> Scored:
        found = [(one.group(), *one.span()) for one in re.finditer(r"\S", target)]
        tokens = [one[0] for one in found] + ["</s>"]
        logs = tuple(self.log_prob(source, tokens[: n + 1]) for n in range(len(tokens)))
        return Scored(tuple(tokens[:-1]), tuple(one[1] for one in found), tuple(one[2] for one in found), logs)

    def close(self) -> None:
        pass


class Dictionary(Arbitrary):
    """Knows `WORDS`: a target word is likely if the source has its original, a mark if the word beside it is marked there."""

    name = "dictionary"

    def score(self, sources: Sequence[str], targets: Sequence[str], src: str, tgt: str) -> list[Scored]:
        if src != "en":
            raise EngineError(f"no way from {src}")
        return super().score(sources, targets, src, tgt)

    def _one(self, source: str, target: str) -> Scored:
        inside = re.findall(r"\[ (.*?) \]", source)
        marked = {WORDS.get(word, word) for word in (inside[0].split() if inside else ())}
        known = {WORDS.get(word, word) for word in source.split()}
        found = [(one.group(), *one.span()) for one in re.finditer(r"\S+", target)]
        logs, is_open, done = [], False, False
        for number, (word, _, _) in enumerate(found):
            after = found[number + 1][0] if number + 1 < len(found) else ""
            if word == "[":
                logs.append(-0.1 if after in marked else -6.0)
                is_open = True
            elif word == "]":
                logs.append(-0.1 if after not in marked else -3.0)
                is_open, done = False, True
            else:
                fits = (word in marked) == is_open or not marked or (done and word not in marked)
                logs.append((-0.1 if word in known else -5.0) - (0.0 if fits else 2.0))
        ends = tuple(one[2] for one in found)
        return Scored(tuple(one[0] for one in found), tuple(one[1] for one in found), ends, (*logs, -0.1))


def pair(source: str, target: str, *surfaces: str) -> Parallel:
    spans = [Span(str(n), "X", ((source.index(one), source.index(one) + len(one)),)) for n, one in enumerate(surfaces)]
    return Parallel(Labelled("1", source, "en", tuple(spans)), target, "es")


def kept(target: str, said: object) -> list[str]:
    return [" ".join(target[a:b] for a, b in one.pieces) for one in said]  # type: ignore[attr-defined]


@pytest.mark.parametrize("target", ["uno dos, tres (cuatro) cinco seis siete.", "ab cd ef", "一 二三 四"])
@pytest.mark.parametrize("source", ["[ one ] two", "a [ b ] c", "x y [ z ]"])
def test_the_best_place_and_the_posterior_are_those_of_every_place_scored_alone(source: str, target: str) -> None:
    words, marks, model = word_spans(target, "es"), Marks(), Arbitrary()
    query = Query(source, source.replace("[ ", "").replace(" ]", ""), target, words, longest=5)
    search(
        [query],
        lambda texts: model.score([a for a, _ in texts], [b for _, b in texts], "en", "es"),
        marks,
        60,
        30.0,
        True,
    )
    alone = {
        (i, j): model._one(source, marks.around(target, (words[i][0], words[j - 1][1]))).total
        for i in range(len(words))
        for j in range(i + 1, min(len(words), i + 5) + 1)
    }
    whole = sum(math.exp(total) for total in alone.values())
    found = query.posterior()
    assert found[0][0] == max(alone, key=lambda place: alone[place])
    for place, chance in found:
        assert chance == pytest.approx(math.exp(alone[place]) / whole, abs=1e-3)


def test_bounds_save_places_without_losing_the_best() -> None:
    target = " ".join(f"w{number}" for number in range(25))
    words = word_spans(target, "es")
    few, all_of_them = (Query("a [ b ]", "a b", target, words, longest=25) for _ in range(2))
    for query, margin in ((few, 8.0), (all_of_them, 1e6)):
        model = Arbitrary()
        search(
            [query],
            lambda texts, m=model: m.score([a for a, _ in texts], [b for _, b in texts], "", ""),
            Marks(),
            60,
            margin,
            False,
        )  # type: ignore[misc]
    assert all_of_them.n_scored == 25 * 26 // 2
    assert few.n_scored < all_of_them.n_scored
    assert few.posterior()[0][0] == all_of_them.posterior()[0][0]
    for place, total in few.totals.items():
        assert total == all_of_them.totals[place]


def test_a_long_target_is_opened_where_the_marks_of_the_source_change_it() -> None:
    given = pair("the old house red wine", "el vieja casa vino rojo", "red wine")
    (all_open,) = ConstrainedProjector(Dictionary()).project([given])
    (few_open,) = ConstrainedProjector(Dictionary(), exact_words=2).project([given])
    assert kept(given.target, all_open) == kept(given.target, few_open) == ["vino rojo"]


def test_constrained_finds_spans_says_null_and_tells_other_places() -> None:
    given = pair("the old house the red wine sadly", "el vieja casa el vino rojo", "old house", "red wine", "sadly")
    method = ConstrainedProjector(Dictionary())
    method.fit([given])
    (said,) = method.project([given])
    assert kept(given.target, said) == ["vieja casa", "vino rojo", ""]
    assert [one.outcome for one in said] == ["kept", "kept", "null"]
    assert said[2].reason == "no_counterpart"
    assert all(one.score is not None and 0 < one.score <= 1 for one in said)
    assert said[0].candidates[0].probability < (said[0].score or 0)
    assert sum(one.probability for one in said[0].candidates) + (said[0].score or 0) <= 1.00001


def test_batches_do_not_decide() -> None:
    pairs = [
        pair("the old house", "el vieja casa", "old house"),
        pair("red wine the dog", "vino rojo el perro", "dog", "red wine"),
    ]
    for method in (ConstrainedProjector, CandidateProjector):
        assert list(method(Dictionary()).project(pairs)) == list(method(Dictionary(), pairs=1).project(pairs))


def test_rows_that_cannot_be_answered_are_rejected() -> None:
    for method in (ConstrainedProjector(Dictionary()), CandidateProjector(Dictionary(), directions="forward")):
        for target in ("", "  ", "..."):
            ((said,),) = method.project([pair("the dog", target, "dog")])
            assert (said.outcome, said.reason) == ("rejected", "no_words" if target == "..." else "empty_target")
        ((said,),) = method.project([pair("the dog ...", "el perro", "...")])
        assert (said.outcome, said.reason) == ("rejected", "no_words")
    assert list(ConstrainedProjector(Dictionary()).project([pair("the dog", "el perro")])) == [[]]


def test_brackets_of_the_text_are_no_marks() -> None:
    given = pair("the [ old ] house", "el [ vieja ] casa", "house")
    ((said,),) = ConstrainedProjector(Dictionary()).project([given])
    assert kept(given.target, [said]) == ["casa"]


def test_candidates_rank_runs_of_words_and_tell_occurrences_apart() -> None:
    source = "dog red wine dog"
    spans = (Span("0", "X", ((0, 3),)), Span("1", "X", ((13, 16),)), Span("2", "X", ((4, 12),)))
    given = Parallel(Labelled("1", source, "en", spans), "perro vino rojo perro", "es")
    method = CandidateProjector(Dictionary())
    method.fit([given])
    (said,) = method.project([given])
    assert [one.pieces[0][0] for one in said[:2]] == [0, 16]
    assert "en to es only" in method.facts()["notes"][0]
    ((low, *_),) = CandidateProjector(Dictionary(), "forward", min_score=1.0).project([given])
    assert (low.outcome, low.reason) == ("low_confidence", "low_score")


def test_options_are_checked() -> None:
    with pytest.raises(RecipeError, match=r"constrained\.marks"):
        ConstrainedProjector(Dictionary(), marks="[[")
    with pytest.raises(RecipeError, match=r"constrained\.margin"):
        ConstrainedProjector(Dictionary(), margin=-1)
    with pytest.raises(EngineError, match="no way from es"):
        CandidateProjector(Dictionary(), directions="both").fit([pair("the dog", "el perro", "dog")])
    with pytest.raises(UnknownName):
        CandidateProjector(Dictionary(), directions="back")
    with pytest.raises(UnknownName):
        SCORERS.get("minni")


def test_tokens_have_places_even_where_the_model_rewrote_a_word() -> None:
    assert located("go  home", ["▁go", "▁", "ho", "me"]) == [(0, 2), (4, 5), (4, 6), (6, 8)]
    assert located("ﬁn de", ["▁f", "in", "▁de"]) == [(0, 2), (0, 2), (3, 5)]
    assert located("a b", ["▁a b", "c"]) == [(0, 3), (0, 3)]


def test_the_mini_model_scores_and_prefers_the_translation() -> None:
    scorer = SCORERS.get("mini")()
    assert isinstance(scorer, TranslationScorer)
    target = "मेरी माँ दिल्ली में रहती है।"
    sources = ["My mother lives in Delhi.", "The dog ate two apples."]
    good, bad = scorer.score(sources, [target, target], "en", "hi")
    assert good.total > bad.total
    assert len(good.log_probs) == len(good.tokens) + 1 == len(good.starts) + 1
    for token, start, end in zip(good.tokens, good.starts, good.ends, strict=True):
        assert target[start:end] == token.replace("▁", "") or token == "▁"
    alone = scorer.score(sources[:1], [target], "en", "hi")[0]
    assert alone.total == pytest.approx(good.total, abs=0.05)
    with pytest.raises(EngineError, match="mini translates from en"):
        scorer.score(["a"], ["a"], "hi", "en")
    assert scorer.score(["word " * 200], [target], "en", "hi")[0].total == -math.inf
    scorer.close()


@pytest.mark.parametrize("method", ["constrained", "candidates"])
def test_project_with_the_mini_model(tmp_path: Path, method: str) -> None:
    (tmp_path / "en.jsonl").write_text(
        '{"id":"1","text":"The boy reads a good book in the garden.","lang":"en",'
        '"spans":[{"id":"a","start":4,"end":7,"label":"WHO"},{"id":"b","start":33,"end":39,"label":"WHERE"}]}\n',
        "utf-8",
    )
    (tmp_path / "hi.jsonl").write_text(
        '{"id":"1","text":"लड़का बगीचे में एक अच्छी किताब पढ़ता है।","lang":"hi","spans":[]}\n', "utf-8"
    )
    out = tmp_path / "out"
    options = (
        "--langs",
        "hi",
        "--method",
        method,
        "--executor",
        "in-process",
        "--out",
        str(out),
        "--store",
        str(tmp_path / "s"),
    )
    given = ("--src", f"spans:{tmp_path / 'en.jsonl'}", "--target", f"spans:{tmp_path / 'hi.jsonl'}")
    code, _, err = cli("project", *given, *options)
    assert code == 2
    assert "needs a scorer" in err
    code, _, err = cli("project", *given, *options, "--set", "scorer.name=mini")
    assert code == 0, err
    found = {one["src_text"]: one["tgt_text"] for one in rows(out, "spans/hi-*")}
    assert found["boy"] == "लड़का"
    assert found["garden"].startswith("बगीचे")


def test_a_model_folder_scores_without_its_forced_prefix(tmp_path: Path) -> None:
    folder = write_nllb(tmp_path / "nllb", train_spm(), seed=3, positions=64)
    with closing(SCORERS.get("ctranslate2")(model=str(folder), device="cpu", compute_type="float32")) as scorer:
        raw = ctranslate2.Translator(str(folder), device="cpu", compute_type="float32")
        source, target = SENTENCES[0], SENTENCES[1]
        (found,) = scorer.score([source], [target], "en", "hi")
        encoded = scorer._tokenizer.encode(source, "en", "hi")
        told = raw.score_batch([encoded.tokens], [["hin_Deva", *found.tokens]])[0]
        assert told.tokens[0] == "hin_Deva"
        assert found.log_probs == pytest.approx(told.log_probs[1:], abs=1e-4)
        assert len(found.log_probs) == len(found.tokens) + 1
        assert all(0 <= start < end <= len(target) for start, end in zip(found.starts, found.ends, strict=True))
        assert scorer.score(["long " * 100], [target], "en", "hi")[0].total == -math.inf
        assert scorer.score([source], ["long " * 100], "en", "hi")[0].total == -math.inf
        assert scorer.score([], [], "en", "hi") == []
        with pytest.raises(EngineError):
            scorer.score([source], [target], "en", "de")
