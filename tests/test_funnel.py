"""The funnel on hand-made rows: what each step loses, what it leaves, and that everything adds up."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dsbuild.builders.funnel.plan import FunnelSection, plan_funnel
from dsbuild.errors import RecipeError, UnknownName
from tests.generated_rows import Given, came_out, lost, ran, verdicts

PASSAGES = (
    ("p1", "The harbour of Port Liss was dug in 1871 by prisoners. Its eastern wall broke in the great storm of 1903 and was never rebuilt."),
    ("p2", "Maple syrup is boiled from the sap of the sugar maple. About forty litres of sap give one litre of syrup."),
    ("p3", "The Karoo lark builds a domed nest on the ground. Both parents feed the young for twelve days."),
    ("p4", "A sextant measures the angle between the horizon and the sun. Sailors used it to find their latitude at noon."),
)  # fmt: skip
QUERIES = (
    ("good1", "p1", "when did the eastern wall of Port Liss harbour break"),
    ("good2", "p2", "how many litres of sap are needed for maple syrup"),
    ("good3", "p3", "where does the Karoo lark build its nest"),
    ("short", "p1", "harbour"),
    ("lines", "p2", "what is syrup\nwhat is sap"),
    ("framed", "p2", '"how is maple syrup made from sap"'),
    ("german", "p3", "wie lange füttern beide Eltern der Karoolerche ihre Jungen im Nest"),
    ("copied", "p4", "a sextant measures the angle between the horizon and the sun"),
    ("leaked", "p3", "according to the passage, how long do both parents feed the young lark"),
    ("alone", "p1", "when was it dug by prisoners"),
    ("twin", "p2", "How many litres of sap are needed for maple syrup?"),
    ("far", "p4", "which bird feeds its young for twelve days in a domed nest"),
)
LOST = {
    "short": "form", "lines": "form", "framed": "form", "german": "language", "copied": "copied", "leaked": "leaked", "alone": "alone",
    "far": "round_trip",
}  # fmt: skip


def test_control_characters_are_a_matter_of_form(tmp_path: Path) -> None:
    queries = (("bell", "p1", "when did the eastern wall\x07 of Port Liss harbour break"), QUERIES[0])
    (bell, good) = came_out(*ran(Given(queries, PASSAGES), tmp_path, {"round_trip": False}))
    assert (bell["lost_at"], bell["form_controls"]) == ("form", 1)
    assert good["fate"] == "kept"


def test_each_step_loses_what_it_is_for(tmp_path: Path) -> None:
    part, progress = ran(Given(QUERIES, PASSAGES, height=5), tmp_path, {"round_trip": {"k": 1}})
    rows = came_out(part, progress)
    found = lost(rows)
    assert [row["id"] for row in rows] == [key for key, _, _ in QUERIES]
    duplicates = {key for key, at in found.items() if at == "duplicates"}
    assert len(duplicates) == 1
    assert duplicates < {"good2", "twin"}
    assert {key: at for key, at in found.items() if at and key not in duplicates} == LOST
    by_id = {row["id"]: row for row in rows}
    (gone,) = duplicates
    assert by_id[gone]["duplicate_of"] == ({"good2", "twin"} - duplicates).pop()
    assert by_id["good1"]["round_trip_rank"] == 1
    assert by_id["far"]["round_trip_rank"] > 1
    assert by_id["leaked"]["leaked_phrase"] == "according to the passage"
    assert by_id["alone"]["alone_word"] == "it"
    # A dear step scores only what is left.
    assert all(by_id[key]["round_trip_rank"] is None for key in LOST if key != "far")
    assert all((row["fate"] == "kept") == (row["lost_at"] == "") for row in rows)
    assert {state.name: state.ran for state in part.states} == dict.fromkeys(
        ["form", "language", "copied", "leaked", "alone", "bm25", "round_trip", "duplicates"], True
    )


def test_every_lost_row_has_one_primary_verdict_and_units_add_up(tmp_path: Path) -> None:
    part, progress = ran(Given(QUERIES, PASSAGES, height=4), tmp_path)
    rows = came_out(part, progress)
    primary = Counter(one["id"] for one in verdicts(progress) if one["outcome"] == "dropped" and one["primary"])
    assert primary == Counter(row["id"] for row in rows if row["fate"] == "dropped")
    for records in progress.done.values():
        for record in records:
            assert record.counts.balanced()
    steps = {
        one["id"]: one["rule"].partition(".")[0]
        for one in verdicts(progress)
        if one["primary"] and one["stage"] == "funnel"
    }
    assert all(steps[row["id"]] == row["lost_at"] for row in rows if row["lost_at"] not in ("", "duplicates"))


def test_the_same_rows_stay_however_they_are_cut_and_ordered(tmp_path: Path) -> None:
    first = lost(came_out(*ran(Given(QUERIES, PASSAGES, height=3), tmp_path / "a")))
    second = lost(came_out(*ran(Given(QUERIES[::-1], PASSAGES, height=7), tmp_path / "b")))
    assert first == second


def test_too_easy_is_a_flag_unless_it_shall_drop(tmp_path: Path) -> None:
    easy = (("easy", "p2", "sugar maple sap syrup"), ("hard", "p2", "what tree gives sweet breakfast sauce sap"))
    rows = came_out(*ran(Given(easy, PASSAGES), tmp_path / "a"))
    assert [(row["id"], row["flag"], row["fate"]) for row in rows] == [
        ("easy", "bm25.too_easy", "kept"),
        ("hard", "", "kept"),
    ]
    rows = came_out(*ran(Given(easy, PASSAGES), tmp_path / "b", {"bm25": {"action": "drop"}}))
    assert lost(rows) == {"easy": "bm25", "hard": ""}


def test_passages_with_the_same_text_do_not_push_a_query_back(tmp_path: Path) -> None:
    copies = (*PASSAGES, ("a0", PASSAGES[1][1]), ("a1", PASSAGES[1][1]))
    rows = came_out(
        *ran(Given((("q", "p2", "how much sap for one litre of syrup"),), copies), tmp_path, {"round_trip": {"k": 1}})
    )
    assert rows[0]["round_trip_rank"] == 1
    assert rows[0]["fate"] == "kept"


def test_what_cannot_run_says_why(tmp_path: Path) -> None:
    hindi = (("h1", "p2", "एक लीटर मेपल सिरप बनाने के लिए कितने लीटर रस की आवश्यकता होती है"),)
    part, progress = ran(Given(hindi, PASSAGES, lang="hi"), tmp_path)
    states = {one.name: one for one in part.states}
    assert not states["bm25"].ran
    assert not states["round_trip"].ran
    assert "cannot search across languages" in states["round_trip"].why
    (row,) = came_out(part, progress)
    assert row["fate"] == "kept"
    assert "round_trip_rank" not in row


def test_numbers_and_names_are_no_copy_across_languages(tmp_path: Path) -> None:
    across = (
        ("names", "p1", "Port Liss का बंदरगाह 1871 में किसने खोदा था और क्यों"),
        ("copied", "p1", "great storm of the eastern wall of the harbour of बंदरगाह was never rebuilt"),
    )
    rows = came_out(*ran(Given(across, PASSAGES, lang="hi"), tmp_path, {"language": False}))
    shares = {row["id"]: row["copied_share"] for row in rows}
    assert shares["names"] < 0.2 < shares["copied"]


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_a_query_is_not_lost_as_a_duplicate_of_one_whose_passage_is_not_found(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    # Whichever a draw would put first, it is the one whose passage answers that stays.
    text = "which bird feeds its young for twelve days in a domed nest"
    wrong, right = names
    queries = ((wrong, "p4", text), (right, "p3", f"{text}?"))
    rows = came_out(*ran(Given(queries, PASSAGES), tmp_path, {"round_trip": {"k": 1}}))
    assert lost(rows) == {wrong: "round_trip", right: ""}


def test_duplicates_alone(tmp_path: Path) -> None:
    rows = came_out(*ran(Given(QUERIES, PASSAGES), tmp_path, {"stages": ["form", "duplicates"]}))
    assert Counter(row["lost_at"] for row in rows) == {"": 8, "form": 3, "duplicates": 1}


def test_the_best_k_and_the_best_share(tmp_path: Path) -> None:
    queries = tuple((f"q{number}", "p2", f"{word} litres of maple sap make how much syrup") for number, word in enumerate(
        ["forty", "sixty", "ninety", "seven", "eleven", "twelve", "thirty", "eighty", "seventy", "hundred"]))  # fmt: skip
    scores = (*tuple(-number / 10 for number in range(9)), None)
    given = Given(queries, PASSAGES, logprobs=scores)
    only = {"stages": ["form", "likelihood"]}
    rows = came_out(*ran(given, tmp_path / "a", {**only, "likelihood": {"top_k": 3}}))
    assert [row["id"] for row in rows if row["fate"] == "kept"] == ["q0", "q1", "q2", "q9"], (
        "a row without a score is not compared"
    )
    rows = came_out(*ran(given, tmp_path / "b", {"stages": ["form", "top_share"], "top_share": {"by": "logprob"}}))
    assert [row["id"] for row in rows if row["fate"] == "kept"] == ["q0", "q1", "q9"], "30 % of nine, rounded down"
    told = list(
        verdicts(ran(given, tmp_path / "b", {"stages": ["form", "top_share"], "top_share": {"by": "logprob"}})[1])
    )
    assert {one["threshold_source"] for one in told if one["rule"] == "top_share.below_cutoff"} == {
        "doc2query--: best 30%"
    }


def test_a_reranker_sees_the_passage_and_its_rivals(tmp_path: Path) -> None:
    queries = (
        ("q1", "p2", "how many litres of sap give syrup"),
        ("q2", "p3", "how many days of feeding for the young of the lark"),
    )
    scores = [
        (query, doc, 0.9 if (query, doc) in (("q1", "p2"), ("q2", "p1")) else 0.1)
        for query, _, _ in queries
        for doc, _ in PASSAGES
    ]
    (tmp_path / "scores.jsonl").write_text(
        "".join(json.dumps(dict(zip(("query_id", "doc_id", "score"), one, strict=True))) + "\n" for one in scores)
    )
    settings = {"reranker": {"file": str(tmp_path / "scores.jsonl")}}
    part, progress = ran(Given(queries, PASSAGES), tmp_path / "store", settings)
    rows = {row["id"]: row for row in came_out(part, progress)}
    assert rows["q1"]["reranker_margin"] == pytest.approx(0.8)
    assert rows["q2"]["lost_at"] == "reranker"
    assert rows["q2"]["reranker_margin"] == pytest.approx(-0.8)
    assert "rivals" not in rows["q1"]


def test_overlap_with_an_evaluation_set(tmp_path: Path) -> None:
    held = tmp_path / "held.jsonl"
    held.write_text(
        json.dumps({"id": "e1", "text": "When did the eastern wall of Port Liss harbour break?", "lang": "en"}) + "\n"
    )
    rows = came_out(*ran(Given(QUERIES[:3], PASSAGES), tmp_path / "store", {"contamination": {"against": str(held)}}))
    assert lost(rows)["good1"] == "contamination"
    assert rows[0]["contamination_item"] == "e1"


def test_a_run_file_finds_across_languages(tmp_path: Path) -> None:
    hindi = (
        ("h1", "p2", "एक लीटर मेपल सिरप बनाने के लिए कितने लीटर रस की आवश्यकता होती है"),
        ("h2", "p3", "कारू लार्क अपना घोंसला कहाँ बनाती है और कितने दिन खिलाती है"),
    )
    (tmp_path / "run.trec").write_text(
        "h1 Q0 p2 1 9.0 made\nh1 Q0 p1 2 8.0 made\nh2 Q0 p1 1 7.0 made\nh2 Q0 p4 2 6.0 made\n"
    )
    settings = {"round_trip": {"retriever": f"run:{tmp_path / 'run.trec'}", "k": 1}}
    rows = {row["id"]: row for row in came_out(*ran(Given(hindi, PASSAGES, lang="hi"), tmp_path / "store", settings))}
    assert rows["h1"]["round_trip_rank"] == 1
    assert rows["h2"]["round_trip_rank"] == 101
    assert rows["h2"]["lost_at"] == "round_trip"


@pytest.mark.parametrize("queries", [(), (("a", "p1", "x"), ("b", "p2", "y"))], ids=["no rows", "all lost at once"])
def test_nothing_left_for_dear_steps(tmp_path: Path, queries: tuple[Any, ...]) -> None:
    (tmp_path / "scores.jsonl").write_text('{"query_id": "a", "doc_id": "p1", "score": 1.0}\n')
    settings = {"reranker": {"file": str(tmp_path / "scores.jsonl")}, "top_share": True, "likelihood": {"top_k": 3}}
    rows = came_out(*ran(Given(queries, PASSAGES, height=1), tmp_path / "store", settings))
    assert [row["lost_at"] for row in rows] == ["form"] * len(queries)


def test_passages_without_titles(tmp_path: Path) -> None:
    titled = lost(came_out(*ran(Given(QUERIES, PASSAGES), tmp_path / "a")))
    assert lost(came_out(*ran(Given(QUERIES, PASSAGES, titles=False), tmp_path / "b"))) == titled


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"round_tripp": {"k": 1}}, UnknownName, "round_trip"),
        ({"round_trip": {"kk": 1}}, UnknownName, "funnel.round_trip.k"),
        ({"round_trip": {"k": 500}}, RecipeError, "between 1 and"),
        ({"round_trip": {"retriever": "bm24"}}, UnknownName, "bm25"),
        ({"copied": {"max_share": "much"}}, RecipeError, "a number"),
        ({"copied": "off"}, RecipeError, "true, false, or settings"),
        ({"leaked": {"action": "keep"}}, UnknownName, "drop"),
        ({"contamination": True}, RecipeError, "name evaluation sets"),
        ({"reranker": True}, RecipeError, "name a model or a file"),
        ({"likelihood": True}, RecipeError, "top_k"),
        ({"top_share": True}, RecipeError, "by which score"),
        ({"stages": ["form"], "leaked": {"max_count": 1}}, RecipeError, "not among funnel.stages"),
        ({"stages": ["forms"]}, UnknownName, "form"),
    ],
)
def test_wrong_settings_are_told_before_work_starts(
    settings: dict[str, Any], error: type[Exception], said: str
) -> None:
    from pydantic import ValidationError

    with pytest.raises((error, ValidationError), match=said.replace("(", r"\(")):
        plan_funnel(FunnelSection.model_validate(settings))
