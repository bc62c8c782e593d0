"""A document that is the query itself: never a negative, never found, wherever it is looked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dsbuild import parquet
from dsbuild.builders.evaluation.measure_retrieval import measure
from dsbuild.builders.mining.map_negatives import MapNegatives
from dsbuild.builders.retrieval.own_documents import FindOwn
from dsbuild.stage import Shards, Workspace
from tests.small_set import cli, rows
from tests.test_mined import made, mine, negatives, write


def pairs(
    tmp_path: Path, queries: dict[str, str], docs: dict[str, tuple[str, str]], shards: int = 2
) -> set[tuple[str, str]]:
    parquet.write_unit(tmp_path / "q.parquet", pa.table({"query_id": list(queries), "text": list(queries.values())}))
    paths = []
    for shard in range(shards):
        some = list(docs.items())[shard::shards]
        table = {
            "doc_id": [name for name, _ in some],
            "title": [one[0] for _, one in some],
            "text": [one[1] for _, one in some],
        }
        paths.append(tmp_path / f"d{shard}.parquet")
        parquet.write_unit(paths[-1], pa.table(table, schema=pa.schema([(name, pa.string()) for name in table])))
    found = FindOwn().run(
        {"queries": Shards([tmp_path / "q.parquet"]), "corpus": Shards(paths)}, Workspace("u", tmp_path, tmp_path)
    )
    (shard,) = found.outputs["out"]
    held = list(zip(shard.table["query_id"].to_pylist(), shard.table["doc_id"].to_pylist(), strict=True))
    assert held == sorted(set(held))
    return set(held)


def test_text_with_and_without_title_and_ids(tmp_path: Path) -> None:
    queries = {"a": "Is tea good?", "b": "is TEA good", "c": "...", "d": "Milk: a drink", "007": "what is milk"}
    docs = {
        "1": ("", "Is  tea good"), "2": ("A debate", "is tea good!"), "3": ("Milk", "a drink"), "4": ("", "!!"), "007": ("", "unlike"),
        "7": ("", "unlike too"), "5": ("", "Is tea good for you?"),
    }  # fmt: skip
    wanted = {("a", "1"), ("a", "2"), ("b", "1"), ("b", "2"), ("d", "3")}
    assert pairs(tmp_path, queries, docs) == pairs(tmp_path, queries, docs, 1) == wanted


def test_equal_ids_count_where_the_texts_say_that_they_name_one_thing(tmp_path: Path) -> None:
    words = "mill stream valley wheel stone baker bread morning lamp harbour rope sail".split()
    queries = {str(i): " ".join(words[i : i + 3]) + " of an old town" for i in range(9)}
    # Numbers that both sides have by chance, as in Cranfield: the text alone says what is the query.
    chance = {str(i): ("", " ".join(words[11 - i :: -1])) for i in range(9)} | {"8": ("", queries["8"])}
    assert pairs(tmp_path, queries, chance) == pairs(tmp_path, queries, chance, 3) == {("8", "8")}
    # Queries that are documents, two of which were changed later: ids say it.
    same = {name: ("", f"{text}, as it was long ago") for name, text in queries.items()} | {
        "2": ("", "rope"),
        "3": ("", "!"),
    }
    assert pairs(tmp_path, queries, same) == {(name, name) for name in queries}
    # A query may be the title of a document.
    titled = {name: (text, "something else is told of here at some length " * 5) for name, text in queries.items()}
    assert pairs(tmp_path, queries, titled) == {(name, name) for name in queries}


def test_the_source_says_what_ids_of_a_translation_mean(tmp_path: Path) -> None:
    for name, texts in {"src": ("tea is a drink", "tea is a drink of old"), "own": ("चाय", "बहुत पुराना पेय")}.items():
        parquet.write_unit(tmp_path / f"{name}q.parquet", pa.table({"query_id": ["a"], "text": [texts[0]]}))
        parquet.write_unit(
            tmp_path / f"{name}d.parquet", pa.table({"doc_id": ["a"], "title": [""], "text": [texts[1]]})
        )
    own = {"queries": Shards([tmp_path / "ownq.parquet"]), "corpus": Shards([tmp_path / "ownd.parquet"])}
    src = {"src_queries": Shards([tmp_path / "srcq.parquet"]), "src_corpus": Shards([tmp_path / "srcd.parquet"])}
    work = Workspace("u", tmp_path, tmp_path)
    assert next(iter(FindOwn().run(own, work).outputs["out"])).table.num_rows == 0
    assert next(iter(FindOwn().run({**own, **src}, work).outputs["out"])).table.num_rows == 1


@pytest.fixture(scope="module")
def argued(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Queries that are documents: under their own id, under another one, and with a title."""
    docs, queries, judged = made()
    docs["00"] = {"text": queries["00"] + " and some more of it"}
    docs["twin"] = {"text": queries["01"].upper() + "!"}
    docs["titled"] = {"title": "mill stream", "text": queries["02"]}
    return write(tmp_path_factory.mktemp("own") / "set", docs, queries, judged)


def test_mine_refuses_and_counts_them(argued: Path, tmp_path: Path) -> None:
    found = mine(tmp_path, argued, "retriever.depth=150")["languages"]["en"]
    own = {("00", "00"), ("01", "twin"), ("02", "titled")}
    listed = {(row["query_id"], row["doc_id"]): row["rank"] for row in rows(tmp_path / "out", "en-candidates/*")}
    assert own <= set(listed), "they are candidates, and among the best"
    taken = {(query, row["doc_id"]) for query, some in negatives(tmp_path / "out").items() for row in some}
    assert not taken & own
    assert found["refused"]["itself"] == len(own)
    # For other queries they are documents like any.
    mine(tmp_path, argued, "retriever.depth=150", negatives=130, out="all")
    everything = {(query, row["doc_id"]) for query, some in negatives(tmp_path / "all").items() for row in some}
    assert {(query, doc) for query in made()[1] for doc in ("00", "twin", "titled")} - own <= everything
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))
    assert "refused: itself" in manifest["sections"][0]["table"]["columns"]


def test_a_hidden_positive_that_is_the_query_is_no_false_negative(tmp_path: Path) -> None:
    docs, queries, _ = made()
    # Every query's second positive is its own text, the first a document that nobody finds.
    judged = []
    for place, (query, text) in enumerate(queries.items()):
        docs[f"own{place}"], docs[f"far{place}"] = {"text": text}, {"text": f"zebra{place} quagga{place}"}
        judged += [(query, f"far{place}", 1), (query, f"own{place}", 1)]
    write(tmp_path / "set", docs, queries, judged)
    found = mine(tmp_path, tmp_path / "set", "retriever.depth=150", retriever="bm25")
    told = found["false_negatives"]
    assert told["negatives"] > 0
    ranks = {
        (row["query_id"], row["doc_id"]): row["rank"]
        for row in rows(tmp_path / "out", "en-candidates/*")
        if row["retriever"] == "bm25"
    }
    assert any(ranks[query, f"own{place}"] <= 4 for place, query in enumerate(queries)), "naive would take some"
    assert told["false_negatives"] == 0
    # A judgement says more: in the release they are positives.
    assert "itself" not in found["languages"]["en"]["refused"]


def test_a_mapped_language_has_its_own(tmp_path: Path) -> None:
    chosen = {"query_id": ["q", "q"], "doc_id": ["a", "b"], "rule": ["naive"] * 2, "rank": [1, 2], "score": [2.0, 1.0],
              "anchor_score": [3.0] * 2, "retriever": ["bm25"] * 2, "split": ["test"] * 2}  # fmt: skip
    table = pa.table(chosen)
    table = table.set_column(3, "rank", pa.array([1, 2], pa.int32()))
    qrels = pa.table({"query_id": ["q"], "doc_id": ["p"], "relevance": pa.array([1], pa.int32())})
    parquet.write_unit(tmp_path / "q.parquet", pa.table({"query_id": ["q"]}))
    own = pa.table({"query_id": ["q"], "doc_id": ["b"]})
    inputs: dict[str, Any] = {
        "negatives": [table],
        "queries": Shards([tmp_path / "q.parquet"]),
        "qrels": [qrels],
        "own": [own],
    }
    found = MapNegatives("hi", 2).run(inputs, Workspace("u", tmp_path, tmp_path))
    (shard,) = found.outputs["out"]
    assert shard.table["doc_id"].to_pylist() == ["a"]
    assert found.facts["refused"] == {"itself": 1}


def test_an_identical_id_is_no_hit_unless_it_is_judged_relevant() -> None:
    def said(judged: list[tuple[str, str, int]]) -> dict[str, Any]:
        listed = [("q", "q", 1), ("q", "x", 2), ("q", "d", 3), ("p", "x", 1), ("p", "q", 2)]
        candidates = pa.table(
            {
                "query_id": [a for a, _, _ in listed],
                "doc_id": [b for _, b, _ in listed],
                "rank": pa.array([c for *_, c in listed], pa.int32()),
            }
        )
        qrels = pa.table(
            {
                "query_id": [a for a, _, _ in judged],
                "doc_id": [b for _, b, _ in judged],
                "relevance": pa.array([c for *_, c in judged], pa.int32()),
            }
        )
        found = measure(candidates, pa.chunked_array([["q", "p"]]), qrels, 10, pa.array(["q", "p"], pa.large_string()))
        return {row["query_id"]: row for row in found.to_pylist()}

    found = said([("q", "d", 1), ("p", "q", 1)])
    assert (found["q"]["rank"], found["q"]["mrr"], found["p"]["rank"]) == (2, 0.5, 2)
    assert found["q"]["ndcg"] == pytest.approx(1 / np.log2(3))
    found = said([("q", "d", 1), ("q", "q", 1)])
    assert (found["q"]["rank"], found["q"]["recall"]) == (1, 1.0)
    assert said([("q", "d", 1), ("q", "q", 0)])["q"]["rank"] == 2


def test_the_command_measures_without_identical_ids(tmp_path: Path) -> None:
    docs = {"a": {"text": "tea is a drink"}, "b": {"text": "tea is no drink at all"}, "c": {"text": "milk of the cow"}}
    write(tmp_path / "set", docs, {"a": "tea is a drink", "c": "milk of the cow"}, [("a", "b", 1), ("c", "b", 1)])
    code, _, err = cli("evaluate", "retrieval", f"beir:{tmp_path / 'set'}", "--lang", "en", "--retriever", "bm25", "--store",
                         tmp_path / "store", "--out", tmp_path / "found.json", "--format", "json")  # fmt: skip
    assert code == 0, err
    told = json.loads((tmp_path / "found.json").read_text("utf-8"))
    assert told["languages"]["en"]["retrievers"]["bm25"]["mrr"] == pytest.approx(0.5)


def test_ids_that_are_equal_by_chance_hide_nothing(tmp_path: Path) -> None:
    docs = {"a": {"text": "milk of the cow"}, "b": {"text": "tea is no drink"}, "c": {"text": "tea tea drink"}}
    write(tmp_path / "set", docs, {"c": "drink of the cow", "a": "tea drink"}, [("c", "b", 1), ("a", "b", 1)])
    code, said, err = cli("evaluate", "retrieval", f"beir:{tmp_path / 'set'}", "--lang", "en", "--retriever", "bm25", "--store",
                         tmp_path / "store", "--format", "json")  # fmt: skip
    assert code == 0, err
    # c (tea tea drink) is found for the query c before b.
    assert json.loads(said)["languages"]["en"]["retrievers"]["bm25"]["mrr"] == pytest.approx(
        (1 / 3 + 1 / 2) / 2, abs=1e-4
    )
    found = mine(tmp_path, tmp_path / "set", retriever="bm25")
    assert "itself" not in found["languages"]["en"]["refused"]


def test_a_certificate_is_computed_without_the_query_itself(tmp_path: Path) -> None:
    docs, queries, judged = made()
    docs |= {query: {"text": text} for query, text in queries.items()}
    # One of them is judged relevant, which says more.
    judged.append(("03", "03", 1))
    write(tmp_path / "set", docs, queries, judged)
    code, said, err = cli("prune", "--src", f"beir:{tmp_path / 'set'}", "--lang", "en", "--retriever", "bm25,ngrams", "--target-size", 90,
                          "--out", tmp_path / "out", "--store", tmp_path / "store", "--format", "json")  # fmt: skip
    assert code == 0, err
    ranks: dict[tuple[str, str, str], list[int]] = {}
    for row in rows(tmp_path / "out", "certificate/en-runs-*"):
        ranks.setdefault((row["query_id"], row["retriever"], row["ranking"]), []).append(row["rank"])
        assert row["doc_id"] != row["query_id"] or row["query_id"] == "03"
    assert {key[2] for key in ranks} == {"whole", "kept", "left_out", "refitted"}
    assert all(sorted(some) == list(range(1, len(some) + 1)) for some in ranks.values())
    assert cli("verify", tmp_path / "out")[0] == 0
    # nDCG@10 of bm25 over the whole collection, counted again from the runs.
    grades = {(query, doc): grade for query, doc, grade in judged}
    total = 0.0
    for query in queries:
        gain = sum(
            max(0, grades.get((query, row["doc_id"]), 0)) / np.log2(row["rank"] + 1)
            for row in rows(tmp_path / "out", "certificate/en-runs-*")
            if (row["query_id"], row["retriever"], row["ranking"]) == (query, "bm25", "whole") and row["rank"] <= 10
        )
        best = sorted((grade for (one, _), grade in grades.items() if one == query and grade > 0), reverse=True)[:10]
        total += gain / sum(grade / np.log2(place + 2) for place, grade in enumerate(best))
    stated = json.loads(said)["certificate"]["en"]["retrievers"]["bm25"]["whole"]
    assert stated == pytest.approx(total / len(queries), abs=1e-5)


@pytest.mark.parametrize("own", [True, False])
def test_an_exported_task_of_mteb_leaves_them_out_too(own: bool, tmp_path: Path) -> None:
    docs, queries, judged = made()
    docs |= {query: {"text": text if own else docs["1"]["text"]} for query, text in queries.items()}
    write(tmp_path / "set", docs, queries, judged)
    mine(tmp_path, tmp_path / "set", "mine.hardness=none", "mine.draws=0", retriever="bm25")
    assert cli("export", tmp_path / "out", "--to", "mteb", "--out", tmp_path / "task")[0] == 0
    assert f"    ignore_identical_ids = {own}\n" in (tmp_path / "task" / "mteb_task.py").read_text("utf-8")
