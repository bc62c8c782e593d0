from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from dsbuild import parquet
from dsbuild.builders.retrieval.retrieve import ANCHORS, Retrieve, retrieve_nodes
from dsbuild.errors import RecipeError, SourceError
from dsbuild.graph import Input
from dsbuild.stage import Shards, Workspace
from dsbuild.tables import CANDIDATES

DOCS = {"10": "cats chase mice", "9": "the barn and the cats", "2": "mice eat cheese", "a": "trains leave the station"}
QUERIES = {"1": "cats in the barn", "01": "cheese for mice", "x": "…", "z": "trains"}
QRELS = [
    ("z", "a", 1),
    ("1", "9", 2),
    ("1", "a", 0),
    ("1", "missing", 1),
    ("gone", "9", 1),
    ("x", "2", 1),
    ("01", "2", 1),
]


def run(
    folder: Path, stage: Retrieve, queries: dict[str, str] = QUERIES
) -> tuple[list[pa.Table], list[pa.Table], dict[str, object]]:
    tables = {
        "corpus": pa.table(
            {"doc_id": list(DOCS), "title": [""] * len(DOCS), "text": list(DOCS.values()), "lang": ["en"] * len(DOCS)}
        ),
        "queries": pa.table(
            {"query_id": pa.array(list(queries), pa.string()), "text": pa.array(list(queries.values()), pa.string())}
        ),
        "qrels": pa.table(
            {
                name: pa.array(column)
                for name, column in zip(("query_id", "doc_id", "relevance"), zip(*QRELS, strict=True), strict=True)
            }
        ),
    }
    inputs = {}
    for name, table in tables.items():
        paths = []
        for number in range(2):
            paths.append(folder / f"{name}-{number}.parquet")
            half = -(-table.num_rows // 2)
            parquet.write_unit(paths[-1], table.slice(number * half, half))
        inputs[name] = Shards(paths)
    result = stage.run(inputs, Workspace("unit", folder, folder))
    candidates = [shard.table for shard in result.outputs["candidates"]]
    anchors = [shard.table for shard in result.outputs["anchors"]]
    return candidates, anchors, result.facts


def stage_of(spec: str, **fields: int) -> Retrieve:
    return Retrieve(spec, "en", spec=spec, **fields)


def test_candidates_and_anchors_stand_in_the_order_of_queries(tmp_path: Path) -> None:
    candidates, anchors, facts = run(tmp_path, stage_of("bm25", depth=3))
    assert candidates[0].schema == CANDIDATES
    assert anchors[0].schema == ANCHORS
    rows = candidates[0].to_pylist()
    assert [(row["query_id"], row["doc_id"], row["rank"]) for row in rows] == [
        ("1", "9", 1), ("1", "10", 2), ("1", "a", 3), ("01", "2", 1), ("01", "10", 2), ("z", "a", 1),
    ]  # fmt: skip
    scores = {(row["query_id"], row["doc_id"]): row["score"] for row in rows}
    found = [
        (row["query_id"], row["doc_id"], row["relevance"], row["score"], row["rank"]) for row in anchors[0].to_pylist()
    ]
    assert found == [
        ("1", "9", 2, scores["1", "9"], 1), ("1", "a", 0, scores["1", "a"], 3), ("01", "2", 1, scores["01", "2"], 1),
        ("x", "2", 1, 0.0, None), ("z", "a", 1, scores["z", "a"], 1),
    ]  # fmt: skip
    assert facts["queries_without_hits"] == 1


@pytest.mark.parametrize("spec", ["bm25", "lsa", "rrf:bm25+ngrams"])
def test_blocks_cut_the_tables_and_change_nothing(spec: str, tmp_path: Path) -> None:
    whole = run(tmp_path, stage_of(spec))
    parts = run(tmp_path, stage_of(spec, block=3))
    for one, several in zip(whole[:2], parts[:2], strict=True):
        assert len(several) == 2
        assert pa.concat_tables(several).equals(one[0])
    assert set(parts[0][1]["query_id"].to_pylist()) <= {"z"}


def test_no_queries_are_one_empty_shard(tmp_path: Path) -> None:
    candidates, anchors, _ = run(tmp_path, stage_of("bm25"), {})
    assert [table.num_rows for table in (*candidates, *anchors)] == [0, 0]


def test_a_run_without_a_hit_for_any_query_is_said(tmp_path: Path) -> None:
    (tmp_path / "r.trec").write_text("007 Q0 9 1 1.0 t\n")
    with pytest.raises(SourceError, match="no query of en has a hit"):
        run(tmp_path, stage_of(f"run:{tmp_path}/r.trec"))


def test_nodes_are_named_and_carry_the_fingerprint_and_no_path(tmp_path: Path) -> None:
    (tmp_path / "r.trec").write_text("1 Q0 9 1 1.0 t\n")
    at = [Input("sound", name) for name in ("corpus", "queries", "qrels")]
    nodes = retrieve_nodes(f"bm25,run:{tmp_path}/r.trec", {"bm25": {"k1": 1.5}}, "en", *at, depth=7)
    assert [node.name for node in nodes] == ["retrieve.en.bm25", "retrieve.en.run:r"]
    assert nodes[0].model["k1"] == 1.5
    assert nodes[0].inputs["corpus"].how == "all"
    from dsbuild.stage import parameters

    assert parameters(nodes[1].stage) == {"retriever": "run:r", "lang": "en", "depth": 7, "block": 4096}
    with pytest.raises(RecipeError, match="depth=0"):
        retrieve_nodes("bm25", {}, "en", *at, depth=0)
    with pytest.raises(RecipeError, match="not in --retriever"):
        retrieve_nodes("bm25", {"lsa": {"dims": 3}}, "en", *at)
