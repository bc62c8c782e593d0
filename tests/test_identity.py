"""Copies, near copies, siblings and translations of a positive, found in a corpus whose twins are known."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dsbuild import parquet
from dsbuild.builders.mining.identity import FIELDS, REASONS, FindTwins, Identity
from dsbuild.builders.retrieval.candidates import Anchors, Candidates
from dsbuild.builders.retrieval.own_documents import OWN
from dsbuild.errors import SourceError
from dsbuild.filters.link_texts import SignTexts
from dsbuild.filters.near_duplicates import Near
from dsbuild.stage import Shards, Workspace
from dsbuild.tables import CANDIDATES, CORPUS, QRELS

WORDS = (
    "mill stream valley wheel stone baker bread morning lamp harbour rope sail wind letter bridge garden winter copper field horse "
    "market violin paper river cloud honey window iron school thread candle meadow engine ladder orchard barrel signal quarry"
).split()
NEAR = Near(0.8)


def texts(n: int, seed: int = 1) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=25)) for _ in range(n)]


def corpus() -> list[dict[str, Any]]:
    said = texts(12)
    rows = {f"d{i}": said[i] for i in range(12)}
    rows["copy"] = f"  {said[0].upper()}!"
    rows["near"] = said[0] + " again"
    rows["far"] = " ".join(said[0].split()[:12] + said[1].split()[12:])
    rows["0"] = rows["00"] = ""
    groups = {"d2": "article", "d3": "article", "d4": "d5"}
    return [
        {"doc_id": name, "title": "", "text": text, "lang": "en", "source": "made", "group_id": groups.get(name, name)}
        for name, text in rows.items()
    ]


def identity(
    folder: Path, rows: list[dict[str, Any]], relevant: list[str], *, shards: int = 2, separator: str = ""
) -> Identity:
    schema = pa.schema([*CORPUS, *([pa.field("translation_of", pa.string())] if "translation_of" in rows[0] else [])])
    work = Workspace("unit", folder, folder)
    paths, keys = [], []
    for shard in range(shards):
        table = pa.Table.from_pylist(rows[shard::shards], schema)
        paths.append(folder / f"rows{shard}.parquet")
        parquet.write_unit(paths[-1], table)
        keys.append(folder / f"keys{shard}.parquet")
        (signed,) = SignTexts("doc_id", FIELDS, NEAR).run({"rows": table}, work).outputs["keys"]
        parquet.write_unit(keys[-1], signed.table)
    judged = [{"query_id": "q", "doc_id": one, "relevance": 1, "judge": "source", "split": "test"} for one in relevant]
    parquet.write_unit(folder / "qrels.parquet", pa.Table.from_pylist(judged, QRELS))
    found = FindTwins(NEAR, separator).run(
        {"rows": Shards(paths), "keys": Shards(keys), "qrels": Shards([folder / "qrels.parquet"])}, work
    )
    return Identity(next(iter(found.outputs["docs"])).table, next(iter(found.outputs["near"])).table, OWN.empty_table())


def reasons(found: Identity, docs: list[str], judged: dict[str, int], known: Any = None, **more: Any) -> dict[str, str]:
    rows = [
        {"query_id": "q", "doc_id": doc, "retriever": "x", "rank": i + 1, "score": -float(i)}
        for i, doc in enumerate(docs)
    ]
    block = Candidates.of({"x": pa.Table.from_pylist(rows, CANDIDATES)}, ["q"])
    anchors = Anchors.of(
        {"x": pa.table({"query_id": ["q"] * len(judged), "doc_id": list(judged), "relevance": pa.array(judged.values(), pa.int32()),
                        "score": pa.nulls(len(judged), pa.float64()), "rank": pa.nulls(len(judged), pa.int32())})},
        ["q"],
    )  # fmt: skip
    mask = None if known is None else np.array([doc in known for doc in anchors.doc_ids.to_pylist()])
    out = found.reasons(block, anchors, mask, **more)
    return {block.doc_ids[int(block.docs[row])].as_py(): REASONS[out[row]] for row in range(len(block))}


def test_each_twin_has_its_reason(tmp_path: Path) -> None:
    rows = corpus()
    found = identity(tmp_path, rows, ["d0", "d2", "d4"])
    docs = [row["doc_id"] for row in rows]
    said = reasons(found, docs, {"d0": 1, "d2": 2, "d4": 1, "d6": 0, "d7": -1})
    assert {doc: why for doc, why in said.items() if why} == {
        "d0": "positive", "d2": "positive", "d4": "positive", "copy": "same_text", "near": "near_duplicate", "d3": "sibling", "d5": "sibling",
        "d6": "judged", "d7": "judged",
    }  # fmt: skip
    assert reasons(found, docs, {"d2": 1}, siblings=False)["d3"] == ""
    # Texts without a word are nobody's copy, and ids are no numbers.
    assert reasons(found, docs, {"0": 1})["00"] == ""


def test_what_may_not_be_known_is_as_if_nobody_had_judged_it(tmp_path: Path) -> None:
    rows = corpus()
    found = identity(tmp_path, rows, ["d0", "d1"])
    docs = ["d0", "d1", "copy", "d6"]
    assert reasons(found, docs, {"d0": 1, "d1": 1, "d6": 0}, known={"d1"}) == {
        "d0": "", "d1": "positive", "copy": "", "d6": "",
    }  # fmt: skip


def test_translations_of_one_document_are_twins(tmp_path: Path) -> None:
    rows = [
        {**row, "doc_id": f"{row['doc_id']}{suffix}", "group_id": f"{row['doc_id']}{suffix}", "translation_of": of}
        for row in corpus()[6:10]
        for suffix, of in (("", None), ("-hi", row["doc_id"]), ("-ta", row["doc_id"]))
    ]
    for place, text in enumerate(texts(len(rows), 5)):
        rows[place]["text"] = text
    found = identity(tmp_path, rows, ["d6-hi"])
    said = reasons(found, [row["doc_id"] for row in rows], {"d6-hi": 1})
    assert {doc for doc, why in said.items() if why == "translation"} == {"d6", "d6-ta"}


def test_an_article_may_be_in_the_id(tmp_path: Path) -> None:
    names = ["12#0", "12#1", "1#0", "2#1#3", "2#1#4", "2", "12"]
    rows = [{**row, "doc_id": name, "group_id": name} for name, row in zip(names, corpus(), strict=False)]
    found = identity(tmp_path, rows, ["12#0", "2#1#3"], separator="#")
    said = reasons(found, names, {"12#0": 1, "2#1#3": 1})
    assert {doc for doc, why in said.items() if why == "sibling"} == {"12#1", "2#1#4", "12"}


def test_nothing_depends_on_the_order_of_rows_or_shards(tmp_path: Path) -> None:
    rows = corpus()
    one = identity(tmp_path, rows, ["d0"])
    draw = random.Random(2)
    draw.shuffle(rows)
    other = identity(tmp_path, rows, ["d0"], shards=3)
    assert one.docs.equals(other.docs)
    assert one.near.equals(other.near)
    assert one.docs["doc_id"].to_pylist() == sorted(row["doc_id"] for row in rows)


def test_a_candidate_that_is_no_document_is_an_error(tmp_path: Path) -> None:
    found = identity(tmp_path, corpus(), ["d0"])
    with pytest.raises(SourceError, match="'d77' is not in the corpus"):
        reasons(found, ["d1", "d77"], {"d0": 1})
