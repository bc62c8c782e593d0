from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dsbuild.builders.retrieval.retriever import Collection, open_retrievers
from dsbuild.errors import DsbuildError, RecipeError, SourceError, UnknownName

DOCS = {
    "10": "Cats chase mice in the old barn at night.",
    "9": "The old barn burned down; the cats were safe.",
    "2": "Mice eat cheese. Cheese is made of milk, and the mice know it.",
    "a": "",
    "007": "Trains leave the station every hour.",
    "7": "A train left the station late, the station master said.",
}
QUERIES = {"1": "cats in the barn", "01": "cheese for mice", "x": "…", "y": "zebra quagga", "z": "train station"}
INDEXING = ["bm25", "lsa", "ngrams"]


def collection(rows: dict[str, str], lang: str = "en") -> Collection:
    return Collection(pa.array(list(rows), pa.large_string()), pa.array(list(rows.values()), pa.large_string()), lang)


def search(
    spec: str, docs: Collection, queries: Collection, k: int, folder: Path, **options: dict[str, Any]
) -> list[list[tuple[str, float]]]:
    (made,) = open_retrievers(spec, options)
    made.index(docs, folder)
    rows, scores = made.search(queries, k)
    assert rows.shape == scores.shape == (len(queries), k)
    pairs = np.argwhere(rows >= 0)
    again = made.score(queries, pairs[:, 0], rows[rows >= 0])
    assert np.array_equal(again, scores[rows >= 0])
    made.close()
    assert (np.isneginf(scores) == (rows < 0)).all()
    return [
        [(docs.ids[int(row)].as_py(), float(score)) for row, score in zip(own, values, strict=True) if row >= 0]
        for own, values in zip(rows, scores, strict=True)
    ]


@pytest.mark.parametrize("spec", [*INDEXING, "rrf:bm25+ngrams", "interleave:bm25+lsa"])
def test_order_of_rows_and_of_queries_changes_nothing(spec: str, tmp_path: Path) -> None:
    one = search(spec, collection(DOCS), collection(QUERIES), 4, tmp_path)
    turned = search(
        spec, collection(dict(reversed(DOCS.items()))), collection(dict(reversed(QUERIES.items()))), 4, tmp_path
    )
    assert one == turned[::-1]
    assert one[0][0][0] in ("10", "9")
    assert one[1][0][0] == "2"
    assert {found for found, _ in one[4][:2]} == {"007", "7"}


@pytest.mark.parametrize("spec", INDEXING)
def test_ids_stay_strings_and_few_documents_are_fine(spec: str, tmp_path: Path) -> None:
    found = search(spec, collection(DOCS), collection(QUERIES), 50, tmp_path)
    assert {doc for own in found for doc, _ in own} <= set(DOCS)
    assert all(len({doc for doc, _ in own}) == len(own) for own in found)


@pytest.mark.parametrize("spec", INDEXING)
def test_a_query_without_words_has_no_hits(spec: str, tmp_path: Path) -> None:
    found = search(spec, collection(DOCS), collection(QUERIES), 3, tmp_path)
    assert found[2] == []
    if spec != "ngrams":
        assert found[3] == []


@pytest.mark.parametrize("spec", [*INDEXING, "words"])
def test_an_empty_corpus_is_said(spec: str, tmp_path: Path) -> None:
    (made,) = open_retrievers(spec)
    with pytest.raises(SourceError, match="no documents"):
        made.index(collection({}), tmp_path)


@pytest.mark.parametrize("spec", INDEXING)
def test_no_queries_are_no_hits(spec: str, tmp_path: Path) -> None:
    assert search(spec, collection(DOCS), collection({}), 3, tmp_path) == []


def test_equal_texts_end_in_the_order_of_ids(tmp_path: Path) -> None:
    docs = dict.fromkeys(("b", "10", "a", "9", "c"), "same words here") | {"z": "other"}
    for spec in [*INDEXING, "rrf:bm25+lsa"]:
        found = search(spec, collection(docs), collection({"q": "same words"}), 3, tmp_path)[0]
        assert [doc for doc, _ in found] == ["10", "9", "a"]
        if spec != "rrf:bm25+lsa":
            assert len({score for _, score in found}) == 1


def test_a_title_stands_before_its_text_and_an_id_twice_is_said() -> None:
    table = pa.table({"doc_id": ["a", "b"], "title": ["T", ""], "text": ["one", "two"]})
    assert Collection.of(table, "doc_id", "en").texts.to_pylist() == ["T\none", "two"]
    with pytest.raises(SourceError, match="doc_id 'a' stands in two rows"):
        Collection.of(pa.table({"doc_id": ["a", "b", "a"], "text": ["", "", ""]}), "doc_id", "en")


@pytest.mark.parametrize(
    ("spec", "options", "error", "said"),
    [
        ("bm52", {}, UnknownName, "Did you mean 'bm25'"),
        ("bm25", {"bm25": {"k": 1}}, UnknownName, "Did you mean 'k1'"),
        ("bm25", {"bm25": {"k1": "much"}}, RecipeError, "retriever.bm25.k1='much': a float"),
        ("bm25", {"bm25": {"b": 1.5}}, RecipeError, "b lies between"),
        ("bm25", {"bm25": {"method": "lucen"}}, UnknownName, "Did you mean 'lucene'"),
        ("bm25", {"lsa": {"dims": 5}}, RecipeError, "not in --retriever"),
        ("bm25", {"bn25": {}}, UnknownName, "Did you mean 'bm25'"),
        ("bm25,,lsa", {}, RecipeError, "a comma list of"),
        ("bm25,bm25", {}, RecipeError, "two retrievers are called 'bm25'"),
        ("bm25:x", {}, RecipeError, "takes no argument"),
        ("rrf:bm25", {}, RecipeError, "at least two"),
        ("rrf:bm25+bm25", {}, RecipeError, "a part is named twice"),
        ("run", {}, RecipeError, "name a run file"),
        ("run:no/such.trec", {}, SourceError, "no such run file"),
        ("dense", {}, RecipeError, "name a model"),
        ("lsa", {"lsa": {"dims": 0}}, RecipeError, "dims=0"),
        ("lsa", {"lsa": {"index": "flat"}}, RecipeError, "exact, faiss"),
        ("ngrams", {"ngrams": {"n": 1}}, RecipeError, "2 to 16"),
    ],
)
def test_what_no_retriever_knows_is_one_line(
    spec: str, options: dict[str, Any], error: type[DsbuildError], said: str
) -> None:
    with pytest.raises(error) as raised:
        open_retrievers(spec, options)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_options_reach_the_retrievers_inside_a_fusion() -> None:
    (made,) = open_retrievers("rrf:bm25+lsa", {"bm25": {"k1": 2}, "lsa": {"dims": 7}, "rrf": {"k": 5}})
    said = made.fingerprint()
    assert said["k"] == 5
    assert [part.get("k1", part.get("dims")) for part in said["parts"]] == [2.0, 7]
