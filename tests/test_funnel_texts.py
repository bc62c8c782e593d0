"""Every generated text of a row: scores by text, bounds that fit a sentence or a document, verdicts that say which one failed, what releases tell."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsbuild import release
from dsbuild.builders.funnel.plan import FunnelSection, plan_funnel
from dsbuild.builders.funnel.report import facts_of_release
from dsbuild.builders.funnel.what_if import what_if_funnel
from dsbuild.errors import UnknownName
from dsbuild.filters.funnel_rules import rules_of
from dsbuild.llm import close_models
from tests.generated_rows import Given, came_out, lost, ran, verdicts
from tests.scripted_chat import ScriptedChat
from tests.small_set import cli, rows
from tests.test_generated import TOPICS, generate, write

GERMAN = "Der alte Leuchtturm auf der Insel wurde von den Fischern des Dorfes gebaut."
ITEM = "Seven grey geese crossed the frozen lake before the mayor had finished his breakfast."
LINES = (
    "# The lark\n\n1. It builds a nest.\n2. It feeds its young for twelve days.\n\n"
    + "Both parents feed the young larks. " * 60
)
PASSAGES = (("p1", "The Karoo lark builds a domed nest on the ground. Both parents feed the young for twelve days."),)
TRIPLETS = {
    "good": ("", ""),
    "lines": (LINES, LINES.replace("twelve", "nine")),
    "german": (GERMAN, ""),
    "leaked": ("", "According to the passage, the lark builds its nest on the ground."),
    "label": ("", "Answer: the lark builds its nest on the ground near a stone."),
    "word": ("Larks", ""),
    "digits": ("", "1871 1903 1938 12 45 1999 lark 2020 77 3 1 1874"),
    "long": ("lark nest " * 900, ""),
    "both": (GERMAN, "Based on the passage, the lark builds its nest on the ground."),
}
LOST = {
    "german": "language.wrong_language_positive", "leaked": "leaked.leaked_words_negative", "label": "leaked.leaked_words_negative",
    "word": "form.few_words_positive", "digits": "form.few_letters_negative", "long": "form.many_words_positive",
    "both": "language.wrong_language_positive",
}  # fmt: skip


@pytest.fixture(autouse=True)
def models() -> Iterator[None]:
    yield
    close_models()


def triplets(height: int = 1_000) -> Given:
    """Rows whose query is sound; a document that is not named is, too."""
    queries, positives, negatives = [], [], []
    for number, (key, (positive, negative)) in enumerate(TRIPLETS.items()):
        topic = TOPICS[number]
        queries.append((key, "p1", f"where does the Karoo lark of the {topic} build its nest"))
        positives.append(positive or f"The lark of the {topic} builds its nest on the ground.")
        negatives.append(negative or f"The lark of the {topic} sings from the top of a bush.")
    return Given(
        tuple(queries), PASSAGES, height=height, others={"positive": tuple(positives), "negative": tuple(negatives)}
    )


def test_a_document_is_lost_by_its_own_bounds_and_the_verdict_says_which(tmp_path: Path) -> None:
    part, progress = ran(triplets(), tmp_path, {"bm25": False, "round_trip": False, "duplicates": False})
    found = came_out(part, progress)
    assert {key: at for key, at in lost(found).items() if at} == {
        key: rule.partition(".")[0] for key, rule in LOST.items()
    }
    dropped = [one for one in verdicts(progress) if one["outcome"] == "dropped"]
    assert {one["id"]: one["rule"] for one in dropped if one["primary"]} == LOST
    assert [one["rule"] for one in dropped if one["id"] == "both"] == [
        "language.wrong_language_positive",
        "leaked.leaked_words_negative",
    ]
    by_id = {row["id"]: row for row in found}
    row = by_id["lines"]
    assert row["form_lines_positive"] > 1 < row["form_words_negative"] / 100
    assert row["form_framed_positive"]
    assert by_id["label"]["leaked_phrase_negative"] == "Answer:"
    assert by_id["label"]["leaked_phrase"] is by_id["label"]["leaked_phrase_positive"] is None
    for name in ("language_fit", "length_letters", "form_words", "leaked_words"):
        assert {name, f"{name}_positive", f"{name}_negative"} <= row.keys()
    assert not {"alone_dangling_positive", "copied_share_negative"} & row.keys(), "what a document cannot be"


def test_how_rows_are_cut_makes_no_difference(tmp_path: Path) -> None:
    first, second = (came_out(*ran(triplets(height), tmp_path / str(height))) for height in (2, 50))
    assert first == second


def test_scores_of_a_text_are_those_of_any_place(tmp_path: Path) -> None:
    texts = ("who wrote the old book of the harbour", GERMAN, "Answer: nobody", '"lark"', "according to the text, why")
    queries = tuple((f"q{number}", "p1", text) for number, text in enumerate(texts))
    given = Given(queries, PASSAGES, others={"text_b": texts, "positive": texts, "negative": texts})
    for row in came_out(*ran(given, tmp_path, {"round_trip": False})):
        scored = [name for name in row if re.match(r"(form|length|language|leaked)_", name)]
        for end in ("_b", "_positive", "_negative"):
            plain = [name for name in scored if f"{name}{end}" in row]
            assert len(plain) == 16
            assert all(row[name] == row[f"{name}{end}"] for name in plain)


def test_rules_by_kind_of_text() -> None:
    pair, triplet = (
        rules_of("form", "en", {}, names) for names in (("text", "text_b"), ("text", "positive", "negative"))
    )
    first = [rule.name for rule in rules_of("form", "en", {})]
    assert [rule.name for rule in pair] == first + [f"{name}_b" for name in first]
    bounds = {rule.name: rule.value for rule in triplet}
    assert (bounds["form.many_words"], bounds["form.many_words_positive"]) == (48, 1500)
    assert "form.framed" in bounds
    assert "form.framed_positive" not in bounds
    assert len(bounds) == len(triplet)
    assert {rule.value for rule in rules_of("language", "sw", {"min_fit": 0.2}, ("text", "positive"))} == {0.2}
    assert [rule.action for rule in rules_of("leaked", "en", {"action": "flag"}, ("text", "positive"))] == [
        "flag",
        "flag",
    ]
    assert [rule.name for rule in rules_of("alone", "en", {}, ("text", "positive"))] == ["alone.dangling"]


def test_a_bound_of_documents_where_there_are_none() -> None:
    section = FunnelSection.model_validate({"form": {"document_max_words": 100}})
    for texts in (("text",), ("text", "text_b")):
        with pytest.raises(UnknownName, match=r"funnel\.form\.max_words"):
            plan_funnel(section, texts=texts)
    plan = plan_funnel(section, texts=("text", "positive", "negative"))
    assert plan.said["form"] == {"document_max_words": 100.0}


def answer(data: dict[str, Any], body: Any) -> Any:
    """Pairs about a topic and a place; the second text is at fault by the topic."""
    found = re.match(r"The (\w+) of the (\w+) is", data.get("passage", "The x of the y is"))
    assert found
    topic, place = found.groups()
    fault = {
        "wool": GERMAN,
        "rice": '"Rice is eaten in the plain"',
        "lamp": "According to the article, the lamp is old.",
        "garden": ITEM,
    }
    text = f"The {topic} of the {place} is older than most of the houses."
    return {"text_a": text, "text_b": fault.get(topic, f"Nobody in the {place} remembers a time without its {topic}.")}


WHY = {
    "wool": "language.wrong_language_b", "rice": "form.framed_b", "lamp": "leaked.leaked_words_b", "garden": "contamination.contaminated",
}  # fmt: skip


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Counter[str]]:
    """A release of pairs, and how many passages speak of each topic."""
    tmp = tmp_path_factory.mktemp("pairs")
    source = write(tmp / "set")
    (tmp / "held.jsonl").write_text(json.dumps({"id": "e1", "text": ITEM, "lang": "en"}) + "\n")
    with ScriptedChat(answer) as chat:
        code, _, err = generate(
            tmp, source, chat.url, "--set", f"funnel.contamination.against=[{tmp / 'held.jsonl'}]", task="sts"
        )
    assert code == 0, err
    topics = Counter(re.findall(r"The (\w+) of the \w+ is", (source / "corpus.jsonl").read_text("utf-8")))
    return tmp / "out", topics


def test_the_second_text_of_a_pair(pairs: tuple[Path, Counter[str]]) -> None:
    out, topics = pairs
    gone = [row for row in rows(out, "dropped/en-pairs*") if row["lost_at"] != "duplicates"]
    named = {row["pair_id"]: row["text_a"].split()[1] for row in gone}
    said = [one for one in rows(out, "dropped/verdicts-*") if one["stage"] == "funnel" and one["primary"]]
    assert {one["id"]: one["rule"] for one in said} == {key: WHY[topic] for key, topic in named.items()}
    assert Counter(named.values()) == Counter({topic: topics[topic] for topic in WHY})
    (where,) = {one["detail"] for one in said if one["rule"] == "contamination.contaminated"}
    assert re.fullmatch(r"\S*:e1 in text_b at 0-\d+", where)
    assert {row["contamination_field"] for row in gone if row["lost_at"] == "contamination"} == {"text_b"}
    assert {(row["form_framed"], row["form_framed_b"]) for row in gone if row["lost_at"] == "form"} == {(False, True)}


def test_commands_tell_the_text_that_failed(pairs: tuple[Path, Counter[str]]) -> None:
    out, topics = pairs
    manifest = release.read_manifest(out)
    assert facts_of_release(out) == manifest["funnel"]
    told = manifest["funnel"]["en"]
    assert told["texts"] == ["text_a", "text_b"]
    steps = {one["name"]: one for one in told["steps"]}
    fits = {rule["rule"]: rule["lost"] for rule in steps["language"]["rules"]}
    assert fits == {"language.wrong_language": 0, "language.wrong_language_b": topics["wool"]}
    for name, text in (("language", GERMAN), ("contamination", ITEM)):
        assert {sample["text"] for sample in steps[name]["samples"]} == {text}
    code, shown, err = cli("funnel", str(out), "--samples", "1")
    assert code == 0, err
    assert "language.wrong_language_b" in shown
    assert GERMAN in shown
    assert "e1 in text_b at" in shown
    (lamp,) = [row for row in rows(out, "dropped/en-pairs*") if row["lost_at"] == "leaked"][:1]
    code, shown, err = cli("explain", str(out), "--id", lamp["pair_id"])
    assert code == 0, err
    assert "leaked_words_b" in shown
    code, _, err = cli("verify", out)
    assert code == 0, err
    page = out.parent / "page.html"
    code, _, err = cli("report", out, "--out", page)
    assert code == 0, err
    assert "(of the second text they end in `_b`)" in (out / "README.md").read_text("utf-8")
    for told_in in (page, out / "README.md"):
        assert "wrong_language, wrong_language_b < 0.3" in html.unescape(told_in.read_text("utf-8")).replace("\\", "")


def test_other_thresholds_for_every_text(pairs: tuple[Path, Counter[str]]) -> None:
    out, topics = pairs
    manifest = release.read_manifest(out)
    (table,) = what_if_funnel(out, manifest, ["funnel.leaked.max_count=1"])["tables"]
    assert (table["newly_kept"], table["newly_dropped"]) == (topics["lamp"], 0)
    (table,) = what_if_funnel(out, manifest, ["funnel.form.max_words=10"])["tables"]
    long = [row for row in rows(out, "en-pairs/*") if max(len(row[name].split()) for name in ("text_a", "text_b")) > 10]
    assert len({len(row["text_b"].split()) > len(row["text_a"].split()) for row in long}) == 1
    assert table["newly_dropped"] == len(long) > 0


def test_releases_of_before_know_of_the_first_text_only(pairs: tuple[Path, Counter[str]], tmp_path: Path) -> None:
    import shutil

    out = tmp_path / "old"
    shutil.copytree(pairs[0], out)
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    told = manifest["funnel"]["en"]
    del told["texts"]
    for step in told["steps"]:
        step["rules"] = [rule for rule in step["rules"] if not rule["rule"].endswith("_b")]
    (out / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    assert cli("funnel", str(out))[0] == 0
    found = facts_of_release(out)["en"]
    assert found["texts"] == ["text_a"]
    (table,) = what_if_funnel(out, release.read_manifest(out), ["funnel.form.max_words=47"])["tables"]
    assert table["kept_then"] > table["kept"], "its rules are of the first text"


def test_a_triplet_with_a_document_at_fault_leaves_nothing_behind(tmp_path: Path) -> None:
    def said(data: dict[str, Any], body: Any) -> Any:
        found = re.match(r"The (\w+) of the (\w+) is", data.get("passage", "The x of the y is"))
        assert found
        topic, place = found.groups()
        final = {
            "instruction": "Find stories.", "query": f"which old stories of the {topic} are told in the {place}", "answer": "",
            "positive": f"People of the {place} tell many stories of the {topic}.\n\n- one of a king\n- one of a fish",
            "negative": GERMAN if topic == "wool" else f"The {topic} of the {place} is for sale on two days a week.",
        }  # fmt: skip
        scores = dict.fromkeys(("relevance", "hard_negative", "clarity", "diversity"), 4)
        return {"interpretation": "Of a place.", "draft": final, "evaluation": {**scores, "advice": ""}, "final": final}

    source = write(tmp_path / "set")
    with ScriptedChat(said) as chat:
        code, _, err = generate(tmp_path, source, chat.url, task="triplets")
        assert code == 0, err
        code, _, err = generate(
            tmp_path, source, chat.url, "--set", "funnel.form.document_max_words=15", task="triplets", out="short"
        )
        assert code == 0, err
    out = tmp_path / "out"
    gone = [row for row in rows(out, "dropped/en-queries*") if " wool " in row["text"]]
    assert {row["lost_at"] for row in gone} == {"language"}
    kept = {row["query_id"] for row in rows(out, "en-queries/*")}
    assert kept
    assert (
        {row["doc_id"][:-2] for row in rows(out, "en-corpus/*")}
        == {row["query_id"] for row in rows(out, "en-qrels/*")}
        == kept
    )
    assert {row["text"] for row in rows(out, "en-corpus/*") if row["doc_id"].endswith("-n")} & {GERMAN} == set()
    steps = {
        one["name"]: one
        for one in json.loads(cli("funnel", str(out), "--format", "json")[1])["languages"]["en"]["steps"]
    }
    assert {sample["text"] for sample in steps["language"]["samples"]} == {GERMAN}
    # The same bound afterwards, and at once.
    manifest = release.read_manifest(out)
    (table,) = what_if_funnel(out, manifest, ["funnel.form.document_max_words=15"])["tables"]
    assert table["kept_then"] == len(rows(tmp_path / "short", "en-queries/*")) < table["kept"]
