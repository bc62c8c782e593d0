"""The sample's three files as they are: counts, chosen records word for word, the odd passages, the judgements."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter, defaultdict
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "builders" / "sources"
STOCK = "Always ask a doctor before you take any medicine."


def records(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(encoding="utf-8", newline="\n") as lines:
        return [json.loads(line) for line in lines]


def judgements() -> list[tuple[str, str, int]]:
    with (FOLDER / "sample_qrels.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    assert rows[0] == ["query-id", "corpus-id", "score"]
    return [(query, passage, int(score)) for query, passage, score in rows[1:]]


CORPUS = records("sample_corpus.jsonl")
QUERIES = records("sample_queries.jsonl")
QRELS = judgements()


def having(pattern: str) -> list[str]:
    return [record["_id"] for record in CORPUS if re.search(pattern, record["text"])]


def test_counts_and_ids() -> None:
    assert [record["_id"] for record in CORPUS] == [f"p{n:04d}" for n in range(1, 273)]
    assert [record["_id"] for record in QUERIES] == [f"q{n:02d}" for n in range(1, 69)]
    assert len(QRELS) == 276
    assert all(list(record) == ["_id", "title", "text"] for record in CORPUS)
    assert all(list(record) == ["_id", "text"] for record in QUERIES)
    assert sum(1 for record in CORPUS if record["title"]) == 135


def test_first_middle_and_last_records() -> None:
    assert CORPUS[0] == {
        "_id": "p0001",
        "title": "Kidney",
        "text": (
            "A kidney is an organ of the body that cleans the blood. Most people have two kidneys. They lie near the "
            "back, one on the left and one on the right. Each kidney is about 11 centimetres long and has the shape "
            "of a bean."
        ),
    }
    assert CORPUS[135] == {
        "_id": "p0136",
        "title": "",
        "text": (
            "A football team also has eleven players. They play with the feet and the head, but only one player may "
            "use the hands. A match lasts 90 minutes. The team with more goals wins."
        ),
    }
    assert CORPUS[-1] == {
        "_id": "p0272",
        "title": "",
        "text": (
            "In a big city people often do not know their neighbours. They leave home early and return late by train "
            "or bus. Food comes from the shop, and the seasons are less important. Rent is expensive."
        ),
    }
    assert QUERIES[0] == {"_id": "q01", "text": "what is a kidney"}
    assert QUERIES[33] == {"_id": "q34", "text": "how many players are in a cricket team"}
    assert QUERIES[-1] == {"_id": "q68", "text": "life in an indian village through the year"}
    assert QRELS[0] == ("q01", "p0001", 3)
    assert QRELS[138] == ("q34", "p0136", 0)
    assert QRELS[-1] == ("q68", "p0272", 0)


def test_lengths() -> None:
    lengths = {record["_id"]: len(record["text"].split()) for record in CORPUS}
    assert lengths.pop("p0269") == 2979
    assert min(lengths.values()) >= 25
    assert max(lengths.values()) <= 62
    assert all(record["text"] == record["text"].lower() and "?" not in record["text"] for record in QUERIES)


def test_mojibake_that_can_be_undone() -> None:
    assert having("â€™") == having("cafÃ©") == ["p0024"]
    text = CORPUS[23]["text"].encode("cp1252").decode("utf-8")
    assert text == (
        "You don’t need a machine for good coffee. Many a small café uses only a metal filter and hot water. "
        "Add two spoons of coffee and wait – it’s ready in ten minutes. Mix it with hot milk."
    )


def test_things_that_a_translation_must_keep() -> None:
    assert having(re.escape("https://www.example.org/passport/help?lang=en")) == ["p0223"]
    assert having(re.escape("help.desk@example.org")) == ["p0223"]
    assert having(r"3\.5 km.*\$4\.99.*12:30.*40 °C.*1,250 mg") == ["p0212"]
    assert having(r"\{name\}.*`pip install mailer`") == ["p0080"]
    assert having("[\u0900-\u097f]") == having("आम") == ["p0103"]


def test_layout() -> None:
    assert having(r"\n- ") == ["p0058"]
    assert CORPUS[57]["text"].split("\n") == [
        "You need only a few things:",
        "",
        "- a pot at least 30 centimetres deep",
        "- good soil with some fertiliser",
        "- seeds or a small tomato plant",
        "- a strong piece of bamboo",
        "- six hours of sun every day",
        "",
        "Join the stem to it with thread when the plant becomes tall.",
    ]
    assert having(r"(?m)^[A-Z][A-Z ]{10,}$") == ["p0123"]
    assert having("\n") == ["p0058", "p0123", "p0269"]


def test_the_long_passage_is_written_not_repeated() -> None:
    paragraphs = CORPUS[268]["text"].split("\n\n")
    assert len(paragraphs) == len(set(paragraphs)) == 40
    assert paragraphs[0].startswith("The village stands on the bank of a small river, about twelve kilometres")
    assert paragraphs[-1].endswith("the river will rise and fall as before, and the village will live with it.")


def test_the_stock_sentence() -> None:
    assert len(having(re.escape(STOCK))) == 14
    assert sum(record["text"].count(STOCK) for record in CORPUS) == 14


def test_abbreviations() -> None:
    assert having(r"\bDr\. [A-Z]") == ["p0235", "p0239"]
    assert having(r"\bRs\. [0-9]") == ["p0097", "p0212"]
    assert having(r"\be\.g\. ") == ["p0258"]


def test_one_exact_duplicate() -> None:
    by_content = defaultdict(list)
    for record in CORPUS:
        by_content[record["title"], record["text"]].append(record["_id"])
    assert [ids for ids in by_content.values() if len(ids) > 1] == [["p0245", "p0247"]]
    assert len({record["text"] for record in CORPUS}) == 271
    grades = {passage: score for query, passage, score in QRELS if query == "q62"}
    assert grades["p0245"] == grades["p0247"] == 3


def test_judgements() -> None:
    assert {query for query, _, _ in QRELS} == {record["_id"] for record in QUERIES}
    assert {passage for _, passage, _ in QRELS} == {record["_id"] for record in CORPUS}
    assert len({(query, passage) for query, passage, _ in QRELS}) == len(QRELS)
    assert Counter(score for _, _, score in QRELS) == {0: 70, 1: 68, 2: 68, 3: 70}
    for record in QUERIES:
        scores = [score for query, _, score in QRELS if query == record["_id"]]
        assert 3 <= len(scores) <= 5
        assert 3 in scores
        assert 0 in scores
