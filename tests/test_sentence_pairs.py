import itertools

from dsbuild.project.sentence_pairs import sentence_pairs

ONE = "The mill burned in 1873. Nobody was hurt. Ana Tomar rebuilt it with stone from the river, and it stood for ninety years."
TWO = "Die Mühle brannte 1873 ab, doch niemand wurde verletzt. Ana Tomar baute sie mit Steinen aus dem Fluss wieder auf, und sie stand neunzig Jahre."


def test_sentences_are_joined_where_the_translation_joined_them():
    pairs = sentence_pairs(ONE, TWO, "en", "de")
    assert [ONE[a:b].strip()[-6:] for a, b, _, _ in pairs] == [" hurt.", "years."]
    assert TWO[pairs[1][2] :].startswith("Ana Tomar")


def test_the_parts_cover_both_texts_in_order():
    for source, target in (
        (ONE, TWO),
        (TWO, ONE),
        (ONE, "Kurz. Und. Knapp."),
        ("One.", "Eins. Zwei."),
        ("  ", "x"),
        ("A. B. C. D.", "A."),
    ):
        pairs = sentence_pairs(source, target, "en", "de")
        assert pairs[0][0] == pairs[0][2] == 0
        assert (pairs[-1][1], pairs[-1][3]) == (len(source), len(target))
        for one, other in itertools.pairwise(pairs):
            assert (one[1], one[3]) == (other[0], other[2])
