import json
from dataclasses import replace

import pytest

from dsbuild.errors import RecipeError, UnknownName
from dsbuild.project.cascade import REASONS, CascadeProjector
from dsbuild.project.projection_evaluation import Answer, evaluate
from dsbuild.project.projector import Links, Parallel
from dsbuild.project.span_evidence import SetEvidence
from dsbuild.spans import Labelled, Span
from tests.small_cipher import sets


def projector(**options):
    return CascadeProjector(aligner="built-in", **options)


def scored(pairs, gold, made):
    rows = []
    for item, said in zip(gold, made.project(pairs), strict=True):
        rows.append(
            (item, [Answer(one.span_id, "THING", one.pieces, one.score, one.outcome, one.reason) for one in said])
        )
    return evaluate(rows)


def test_it_learns_a_made_up_language_from_the_set_alone():
    pairs, gold = sets(150)
    made = projector()
    made.fit(pairs)
    found = scored(pairs, gold, made)
    assert found["exact"]["f1"] > 0.9
    assert found["coverage"] > 0.98
    assert all(0 <= one.score <= 1 for said in made.project(pairs) for one in said if one.score is not None)


def test_same_set_same_answers_however_it_is_asked():
    pairs, _ = sets(60)
    one, other = projector(), projector()
    one.fit(pairs)
    other.fit(pairs)
    whole = list(one.project(pairs))
    assert whole == [said for at in range(0, 60, 7) for said in other.project(pairs[at : at + 7])]
    assert whole == list(projector().project(pairs))


def test_a_target_holds_back_the_least_sure_and_says_so():
    pairs, _ = sets(150)
    made = projector()
    made.fit(pairs)
    made._facts["status"], made._bounds = "calibrated", {place: one.probability for place, one in made._found.items()}
    shares = []
    for target in (0.5, 0.9, 0.97, 0.999):
        made.decide(target)
        said = [one for answers in made.project(pairs) for one in answers]
        assert {one.reason for one in said if one.outcome == "low_confidence"} <= {"below_target"}
        kept = [one.score for one in said if one.outcome == "kept"]
        held = [one.score for one in said if one.outcome == "low_confidence"]
        assert not kept or not held or min(kept) >= max(held)
        assert not kept or sum(kept) / len(kept) >= target - 1e-6
        shares.append(made.facts()["coverage"])
        assert f"coverage {shares[-1]:.1%}" in made.facts()["notes"][0]
    assert shares == sorted(shares, reverse=True)


def test_a_set_unlike_the_gold_is_called_uncalibrated_and_nothing_is_promised():
    # Ten pairs of unrelated texts: nothing in them looks like the gold.
    words = [f"w{number}" for number in range(200)]
    pairs = []
    for number in range(10):
        text = " ".join(words[number * 9 : number * 9 + 9])
        pairs.append(
            Parallel(Labelled(str(number), text, "en", (Span("0", "X", ((0, len(text) // 2),)),)), text.upper(), "xx")
        )
    made = projector(target_precision=0.9)
    made.fit(pairs)
    assert made.facts()["status"] == "uncalibrated"
    assert made.facts()["coverage"] == 0
    assert made.facts()["notes"][0].startswith("uncalibrated: ")
    said = [one for answers in made.project(pairs) for one in answers]
    assert {(one.outcome, one.reason) for one in said} == {("low_confidence", "uncalibrated")}


def test_another_language_gets_a_lower_bound():
    pairs, _ = sets(40, lang="fr")
    made = projector(target_precision=0.9)
    made.fit(pairs)
    assert made.facts()["status"] in ("lower_bound", "uncalibrated")


def test_given_links_are_followed():
    source, target = "the red door", "la puerta roja"
    links = Links(((4, 7), (8, 12)), ((10, 14), (3, 9)), ())
    pairs = [Parallel(Labelled("1", source, "en", (Span("0", "X", ((4, 12),)),)), target, "es", links=links)]
    made = projector()
    made.fit(pairs)
    [[said]] = made.project(pairs)
    assert said.pieces == ((3, 14),)
    assert made.facts()["setup"] == "links+built-in"


@pytest.mark.parametrize(
    ("source", "pieces", "target", "outcome"),
    [
        ("so good 👍🏽 thanks", ((8, 10),), "qué bueno 👍🏽 gracias", "kept"),
        ("so good 👍🏽 thanks", ((8, 10),), "qué bueno gracias", "rejected"),
        ("a word", ((2, 6),), "   ", "rejected"),
        ("a word", ((2, 6),), "...", "null"),
        ("שלום עולם", ((0, 4),), "مرحبا بالعالم", None),
        ("a\u0301 e\u0301", ((0, 2),), "a\u0301 e\u0301", "kept"),
        ("long " * 2_000, ((0, 4),), "largo " * 2_000, None),
    ],
)
def test_odd_texts_get_an_answer_and_no_error(source, pieces, target, outcome):
    pairs = [Parallel(Labelled("1", source, "en", (Span("0", "X", pieces),)), target, "es")]
    [[said]] = projector().project(pairs)
    assert outcome in (None, said.outcome)
    assert said.outcome in ("kept", "low_confidence") or said.reason in REASONS
    for start, end in said.pieces:
        assert 0 <= start < end <= len(target)


def test_other_texts_of_the_rows_are_learned_from_as_those_of_a_file_are(tmp_path):
    pairs, _ = sets(8)
    others, _ = sets(50, seed=2)
    further = tuple((one.source.text, one.target) for one in others)
    (tmp_path / "more.tsv").write_text("".join(f"{one}\t{two}\n" for one, two in further), "utf-8")
    alone = list(projector().project(pairs))
    told = list(projector().project([replace(pairs[0], more=further), *pairs[1:]]))
    assert told != alone
    assert told == list(projector(parallel=str(tmp_path / "more.tsv")).project(pairs))


def test_the_weighted_rule_votes_for_a_place_with_what_it_left_out():
    pairs, _ = sets(120)
    units = projector().units(pairs)
    evidence = SetEvidence(units)
    votes = [
        {vote: option.words for option in evidence.options(unit, span) for vote in option.votes}
        for unit in units
        for span in unit.pair.source.spans
    ]
    assert sum("weighted.best" in one for one in votes) > 0.95 * len(votes)
    first = next(name for name in votes[0] if name.endswith("gap3"))
    differ = [one for one in votes if "weighted.best" in one and first in one and one[first] != one["weighted.best"]]
    assert len(differ) < 0.2 * len(votes)


def test_a_text_without_spans_and_a_set_without_texts():
    assert list(projector().project([Parallel(Labelled("1", "text", "en"), "texto", "es")])) == [[]]
    assert list(projector().project([])) == []


def test_bad_options_are_one_line(tmp_path):
    with pytest.raises(UnknownName, match="aligner"):
        CascadeProjector(aligner="giza")
    with pytest.raises(RecipeError, match="target_precision 97"):
        CascadeProjector(target_precision=97)
    (tmp_path / "c.json").write_text(json.dumps({"built-in": {}}), "utf-8")
    with pytest.raises(RecipeError, match=r"c\.json.*cannot be read"):
        projector(calibration=str(tmp_path / "c.json")).fingerprint()
    (tmp_path / "p.tsv").write_text("one\tuno\ntwo\n", "utf-8")
    with pytest.raises(RecipeError, match=r"p\.tsv:2"):
        projector(parallel=str(tmp_path / "p.tsv"))


def test_a_sign_that_is_found_again_is_not_promised():
    pairs, _ = sets(60)
    one = pairs[0]
    span = Span("sign", "THING", ((len(one.source.text) + 1, len(one.source.text) + 2),))
    signed = replace(
        one, source=Labelled("sign", f"{one.source.text} ♥", one.source.lang, (span,)), target=f"♥ {one.target}"
    )
    for target, outcome in ((None, "kept"), (0.9, "low_confidence")):
        made = projector(target_precision=target)
        held = [*pairs, signed]
        made.fit(held)
        assert [(said.outcome, said.pieces) for said in list(made.project(held))[-1]] == [(outcome, ((0, 1),))]
