import pytest

from dsbuild.project.projection_evaluation import Answer, calibration_error, curve, edged, evaluate
from dsbuild.spans import Labelled, Span

TEXT = "La señora Ortiz compró tres libros en Cádiz."


def gold(*spans, text=TEXT, lang="es", name="1"):
    return Labelled(name, text, lang, tuple(Span(str(at), label, pieces) for at, (label, pieces) in enumerate(spans)))


def at(surface, text=TEXT):
    start = text.index(surface)
    return (start, start + len(surface))


def answer(label, surface, name="0", confidence=None, outcome="kept", reason=""):
    return Answer(name, label, (at(surface),) if surface else (), confidence, outcome, reason)


def test_what_is_missing_and_what_is_too_much_both_cost():
    item = gold(("PER", (at("señora Ortiz"),)), ("LOC", (at("Cádiz"),)))
    found = evaluate([(item, [answer("PER", "Ortiz"), answer("LOC", "Cádiz."), answer("LOC", "libros")])])
    assert found["exact"] == {"precision": pytest.approx(1 / 3, abs=1e-6), "recall": 0.5, "f1": 0.4}
    assert found["overlap"]["recall"] == 1.0
    assert found["overlap"]["precision"] == pytest.approx(2 / 3, abs=1e-6)
    assert (found["misses"], found["extras"]) == (0, 1)
    assert found["labels"]["LOC"]["exact"] == {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3, abs=1e-6)}
    assert found["languages"]["es"]["labels"]["PER"]["overlap"]["f1"] == 1.0


def test_the_head_is_the_rarest_word_of_the_span():
    # "señora" stands in two texts, "Ortiz" in one: the name is the head.
    items = [gold(("PER", (at("señora Ortiz"),))), gold(text="La señora canta.", name="2")]
    for surface, right in (("Ortiz", 1.0), ("señora", 0.0)):
        found = evaluate([(items[0], [answer("PER", surface)]), (items[1], [])])
        assert found["head"]["f1"] == right
        assert found["overlap"]["f1"] == 1.0


def test_the_label_must_be_the_same_and_a_span_counts_once():
    item = gold(("PER", (at("Ortiz"),)))
    assert evaluate([(item, [answer("LOC", "Ortiz")])])["overlap"]["f1"] == 0.0
    twice = evaluate([(item, [answer("PER", "Ortiz", "0"), answer("PER", "Ortiz", "1")])])
    assert (twice["exact"]["precision"], twice["exact"]["recall"]) == (0.5, 1.0)


def test_spans_with_ids_of_their_own_are_compared_with_their_own_only():
    item = gold(("answer", (at("Ortiz"),)), ("answer", (at("Cádiz"),)))
    swapped = [answer("answer", "Cádiz", "0"), answer("answer", "Ortiz", "1")]
    assert evaluate([(item, swapped)])["exact"]["f1"] == 1.0
    assert evaluate([(item, swapped)], by_id=True)["exact"]["f1"] == 0.0


def test_pairs_are_made_so_that_most_agree():
    # The wide answer overlaps both gold spans, the narrow one only the first: one each is possible.
    item = gold(("X", (at("señora"),)), ("X", (at("Ortiz"),)))
    assert evaluate([(item, [answer("X", "señora Ortiz", "0"), answer("X", "señora", "1")])])["overlap"]["f1"] == 1.0


def test_discontinuous_spans_need_all_their_pieces():
    item = gold(("V", (at("compró"), at("libros"))))
    whole = [Answer("0", "V", (at("compró"), at("libros")))]
    assert evaluate([(item, whole)])["exact"]["f1"] == 1.0
    half = evaluate([(item, [answer("V", "compró")])])
    assert (half["exact"]["f1"], half["overlap"]["f1"]) == (0.0, 1.0)


def test_what_was_left_out_is_told_apart():
    item = gold(*[("X", (at(word),)) for word in ("señora", "Ortiz", "tres", "Cádiz")])
    said = [
        answer("X", "señora", "0", 0.9), answer("X", "Ortiz", "1", 0.4, "low_confidence", "below_target"),
        answer("X", "", "2", None, "null", "no_counterpart"), answer("X", "", "3", None, "rejected", "unsound"),
    ]  # fmt: skip
    found = evaluate([(item, said)])
    assert (found["coverage"], found["low_confidence"], found["null"], found["rejected"]) == (0.25, 1, 1, 1)
    assert found["reasons"] == {"below_target": 1, "no_counterpart": 1, "unsound": 1}
    assert (found["predicted"], found["exact"]["recall"]) == (1, 0.25)
    # The answer that was held back was right: it counts for the curve and for calibration, not for the scores.
    assert [point["coverage"] for point in found["curve"]] == [0.25, 0.5]
    assert found["calibration"]["n"] == 2


def test_nothing_predicted_and_nothing_wanted_are_no_numbers():
    found = evaluate([(gold(), [])])
    assert found["exact"] == {"precision": None, "recall": None, "f1": None}
    assert found["calibration"] is None
    assert found["curve"] == []


def test_edges():
    assert edged("«¡Sí!»", (0, 6)) == (2, 4)
    assert edged("...", (0, 3)) == (0, 3)


def test_calibration_error_does_not_depend_on_the_order_of_ties():
    judged = [(0.8, True)] * 7 + [(0.8, False)] * 3
    assert calibration_error(judged)["ece"] == calibration_error(judged[::-1])["ece"] == pytest.approx(0.1)


def test_the_curve_is_thinned_and_keeps_both_ends():
    points = curve([(number / 1000, number % 3 > 0) for number in range(1000)], 2000)
    assert len(points) == 200
    assert (points[0]["confidence"], points[-1]["coverage"]) == (0.999, 0.5)
