import pytest

from dsbuild.engine import Output
from dsbuild.errors import RecipeError
from dsbuild.project.fuzzy import FuzzyProjector
from dsbuild.project.projector import Parallel
from dsbuild.project.romanise import key, romanise
from dsbuild.project.similarity import alike, alike_words, values
from dsbuild.spans import Labelled, Span


def one(source, surface, target, lang="hi", segments=(), **options):
    start = source.index(surface)
    span = Span("0", "X", ((start, start + len(surface)),))
    pair = Parallel(Labelled("1", source, "en", (span,)), target, lang, segments)
    made = FuzzyProjector("en", lang, **options)
    made.fit([pair])
    [[said]] = made.project([pair])
    return said, " ".join(target[a:b] for a, b in said.pieces)


@pytest.mark.parametrize(
    ("surface", "target", "found"),
    [
        ("Kalinda Morris", "उस दिन कलिन्डा मॉरिस ने गाया", "कलिन्डा मॉरिस"),
        ("Dmitri Volkov", "Вчера Дмитрий Волков пел", "Дмитрий Волков"),
        ("1,250", "इसमें १,२५० दीपक थे", "१,२५०"),
        ("12,500.5", "Es waren 12.500,5 Liter", "12.500,5"),
        ("Zürich", "nach ZÜRICH fahren", "ZÜRICH"),
        ("Nikos", "Ο Νίκος τραγουδά", "Νίκος"),
    ],
)
def test_names_and_numbers_in_other_letters(surface, target, found):
    said, surface_there = one(f"and {surface} came", surface, target)
    assert surface_there == found
    assert said.outcome == "kept"
    assert 0.8 <= said.score <= 1


def test_it_never_guesses():
    said, _ = one("the kettle sings", "kettle", "der Kessel singt")
    assert (said.outcome, said.reason, said.pieces) == ("null", "not_found", ())
    assert one("in 1871 there", "1871", "im Jahr 1872 dort")[0].outcome == "null"
    assert one("so 👍 then", "👍", "also 👍 dann")[0].reason == "no_words"
    assert one("Ana", "Ana", " ")[0].reason == "empty_target"


def test_of_several_places_the_nearest_is_taken_and_the_doubt_is_said():
    source, target = "Ana met Pia, then Pia left with Bo", "Ana traf Pia, dann ging Pia mit Bo"
    start = source.index("Pia", 12)
    pair = Parallel(Labelled("1", source, "en", (Span("0", "X", ((start, start + 3),)),)), target, "de")
    [[said]] = FuzzyProjector().project([pair])
    assert said.pieces == ((target.index("Pia", 12), target.index("Pia", 12) + 3),)
    assert said.score == 0.5
    assert len(said.candidates) == 1


def test_only_the_part_that_translates_the_span_is_searched():
    source, target = "Ana ate. Pia slept.", "Pia schlief. Ana aß."
    said, _ = one(source, "Pia", target, "de", segments=((0, 8, 13, 20), (9, 19, 0, 12)))
    assert said.pieces == ((0, 3),)
    assert one(source, "Ana", target, "de", segments=((0, 8, 0, 12),))[0].outcome == "null"


class Engine:
    name = "small"

    def fingerprint(self):
        return {"name": self.name}

    def translate_batches(self, batches):
        for number, batch in enumerate(batches):
            yield number, [Output({"kettle": "Kessel"}.get(request.text, "")) for request in batch]


def test_a_translation_of_the_span_itself_is_looked_for():
    said, surface = one("the kettle sings", "kettle", "der Kessel singt", "de", engine=Engine())
    assert (said.outcome, surface) == ("kept", "Kessel")


def test_bad_options():
    with pytest.raises(RecipeError, match="least"):
        FuzzyProjector(least=2)


def test_similarity():
    assert values("३ मई, २०२०") == values("2020, May 3")
    assert alike("Tomar", "Toma") > 0.6 > alike("Tomar", "Quiz")
    assert alike_words(["Ana", "Lee"], ["Ana", "Lee", "und"]) < 1
    assert alike_words([], ["x"]) == 0
    assert key("Khan") == key("खान") == key("Хан")
    assert romanise("한국") == "hangug"
    assert romanise("") == ""
