"""The method `markers` with an engine that translates word by word."""

import shutil

import pytest

from dsbuild.engine import Capabilities, Output
from dsbuild.errors import EngineError, RecipeError
from dsbuild.project.marker_projector import MarkerProjector
from dsbuild.project.projector import Parallel
from dsbuild.spans import Labelled, Span
from dsbuild.translate.apertium import ApertiumEngine

WORDS = {"the": "la", "house": "casa", "likes": "quiere", "a": "una"}


class WordByWord:
    name = "words"
    capabilities = Capabilities()

    def __init__(self, spoil=lambda text: text):
        self.spoil, self.asked = spoil, []

    def fingerprint(self):
        return {"engine": self.name}

    def translate_batches(self, batches):
        for number, batch in enumerate(batches):
            self.asked += [request.text for request in batch]
            yield number, [self._one(self.spoil(request.text)) for request in batch]

    def _one(self, text):
        if not text:
            return Output("", "error", error="nothing")
        return Output(" ".join(WORDS.get(word, word) for word in text.split(" ")))


def _pair(text, *places, target=""):
    spans = tuple(Span(str(number), "X", place) for number, place in enumerate(places))
    return Parallel(Labelled("r", text, "en", spans), target, "es")


def _method(spoil=lambda text: text, **options):
    return MarkerProjector(WordByWord(spoil), "en", "es", **options)


def test_sentences_are_marked_one_by_one_and_joined_as_they_were():
    method = _method()
    text = "Ada likes the house.\n\n The house likes Bo."
    [(made, answers)] = method.translated([_pair(text, ((0, 3),), ((27, 32),), ((39, 41),))])
    assert made == "Ada quiere la casa.".replace("casa.", "house.") + "\n\n The casa quiere Bo.".replace(
        "casa", "house"
    )
    assert [made[low:high] for one in answers for low, high in one.pieces] == ["Ada", "house", "Bo"]
    assert method.facts()["schemes"] == {"letters": 2}


def test_a_span_across_sentences_keeps_them_together_and_one_of_two_pieces_does_not():
    method = _method()
    list(method.translated([_pair("I go. You stay. We run.", ((2, 9),), ((0, 1), (16, 18)))]))
    assert method._engine.asked == ["<a>I</a> <b>go. You</b> stay.", "<a>We</a> run."]


def test_what_marks_spoil_is_translated_without_them():
    method = _method(lambda text: text.replace("<a>", "<una>"))
    [(made, answers)] = method.translated([_pair("the house", ((4, 9),))])
    assert made == "la casa"
    assert [one.reason for one in answers] == ["debris"]
    assert "without marks" in method.facts()["notes"][0]


def test_white_space_that_an_engine_leaves_at_the_ends_goes():
    [(made, answers)] = _method(lambda text: f" {text} ").translated([_pair("Ada likes the house", ((14, 19),))])
    assert made == "Ada quiere la house"
    assert answers[0].pieces == ((14, 19),)


def test_a_text_without_a_translation_says_so():
    method = _method(lambda text: "")
    assert [
        (text, [one.reason for one in said]) for text, said in method.translated([_pair("the house", ((4, 9),))])
    ] == [("", ["no_translation"])]


def test_words_are_looked_for_in_a_given_translation():
    pairs = [
        _pair("Ada likes Bo", ((0, 3),), target="Bo es amado por Ada."),
        _pair("Ada likes Bo", ((0, 3),), target="Ada y Ada."),
        _pair("Ada likes Bo", ((0, 3),), target="Adam."),
    ]
    method = _method()
    said = [one for answers in method.project(pairs) for one in answers]
    assert [(one.pieces, one.reason) for one in said] == [(((16, 19),), ""), ((), "ambiguous"), ((), "target_differs")]
    assert said[0].score == 0.5
    assert "3 texts had a translation" in method.facts()["notes"][0]


def test_spans_that_are_not_sound_are_rejected():
    [(_, answers)] = _method().translated([_pair("the house", ((4, 99),), ((4, 9),))])
    assert [one.reason for one in answers] == ["unsound", ""]


def test_a_probe_finds_the_marks_that_the_engine_leaves_alone():
    pairs = [_pair(f"Ada{number} likes the house", ((0, 4),)) for number in range(5)]
    method = _method(lambda text: text.replace("<", "").replace("[", "").replace("⟦", ""))
    method.fit(pairs)
    facts = method.facts()
    assert facts["probe"]["letters"]["survival"] == facts["probe"]["square"]["survival"] == 0
    assert facts["probe"]["braces"] == {"survival": 1.0, "chrf": facts["probe"]["braces"]["chrf"], "n_spans": 5}
    [(made, answers)] = method.translated(pairs[:1])
    assert (made, answers[0].pieces) == ("Ada0 quiere la house".replace("house", "casa"), ((0, 4),))
    assert method.facts()["schemes"] == {"braces": 1}
    assert "scheme braces: 100% of 5 spans" in facts["notes"][0]


def test_a_scheme_that_was_asked_for_is_not_probed():
    method = _method(scheme="xml")
    method.fit([_pair("Ada likes", ((0, 3),))])
    assert "probe" not in method.facts()
    assert method._engine.asked == []


def test_apertium_carries_its_placeholders():
    if shutil.which("apertium") is None:
        pytest.skip("apertium is not installed")
    engine = ApertiumEngine()
    try:
        engine.check("en", ["es"])
    except EngineError:
        pytest.skip("apertium is not installed with English to Spanish")
    method = MarkerProjector(engine, "en", "es", scheme="placeholder")
    [(made, answers)] = method.translated([_pair("The old house is near the river.", ((4, 13),), ((26, 31),))])
    assert "zqx" not in made
    assert [made[low:high] for one in answers for low, high in one.pieces] == ["casa vieja", "río"]


def _other_with_marks(text):
    return text.replace("the", "a very").replace("likes", "adores") if "<a>" in text else text


def test_a_sentence_that_marks_change_is_taken_plain_and_its_spans_are_not_sure():
    text = "Ada likes the house. The house likes Bo."
    pair = _pair(text, ((0, 3), (37, 39)), ((14, 19),))
    for bound, outcome in ((0.1, "kept"), (0.9, "low_confidence")):
        method = _method(_other_with_marks, scheme="letters", min_chrf=bound)
        [(made, answers)] = method.translated([pair])
        assert [one.outcome for one in answers] == [outcome, outcome]
        assert [[made[low:high] for low, high in one.pieces] for one in answers] == [["Ada", "Bo"], ["house"]]
        assert ("quiere la" in made) == (outcome == "low_confidence")
    assert {one.reason for one in answers} == {"marks_changed"}
    assert "2 sentences became others" in method.facts()["notes"][-1]


def test_a_span_whose_words_the_plain_sentence_lacks_is_rejected():
    method = _method(_other_with_marks, scheme="letters", min_chrf=0.95)
    [(made, answers)] = method.translated([_pair("Ada likes the house.", ((4, 9),))])
    assert made == "Ada quiere la house."
    assert (answers[0].outcome, answers[0].reason) == ("rejected", "target_differs")


@pytest.mark.parametrize("bound", [1.5, -0.1, "much"])
def test_a_bound_that_is_no_share_is_refused(bound):
    with pytest.raises(RecipeError, match="min_chrf"):
        _method(min_chrf=bound)
