"""Which judged pairs of a set are shown to a model, and the command that shows them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dsbuild.builders.generation.pick_examples import PickExamples
from dsbuild.builders.generation.queries import read_pairs
from dsbuild.errors import SourceError
from dsbuild.llm import close_models
from dsbuild.stage import Workspace
from tests.scripted_chat import ScriptedChat
from tests.test_generated import generate, good, write

Qrel = tuple[str, str, int, str]


@pytest.fixture(autouse=True)
def models() -> Any:
    yield
    close_models()


def pick(qrels: list[Qrel], folder: Path, height: int = 1_000, **fields: Any) -> list[dict[str, str]]:
    """Pairs of queries q0… and documents d0…; q9 is a generated one, d9 is long, of d8 there is no text."""
    queries = [
        {"query_id": f"q{n}", "text": f"query {n}", "origin": "generated" if n == 9 else "human"} for n in range(40)
    ]
    corpus = [
        {"doc_id": f"d{n}", "title": "", "text": "long " * 900 if n == 9 else f"text {n}"} for n in range(40) if n != 8
    ]
    judged = pa.Table.from_pylist(
        [{"query_id": a, "doc_id": b, "relevance": c, "split": d} for a, b, c, d in qrels],
        pa.schema(
            [("query_id", pa.string()), ("doc_id", pa.string()), ("relevance", pa.int32()), ("split", pa.string())]
        ),
    )
    inputs = {
        "queries": [pa.Table.from_pylist(queries)],
        "corpus": [pa.Table.from_pylist(corpus[:20]), pa.Table.from_pylist(corpus[20:])],
        "qrels": [judged.slice(start, height) for start in range(0, judged.num_rows, height)],
    }
    result = PickExamples("en", **fields).run(inputs, Workspace("unit", folder, folder))
    return [row for shard in result.outputs["out"] for row in shard.table.to_pylist()]


def test_pairs_are_judged_relevant_and_of_no_test_split(tmp_path: Path) -> None:
    qrels: list[Qrel] = [(f"q{n}", f"d{n}", 1, "train" if n < 20 else "test") for n in range(40)]
    qrels += [("q0", "d1", 0, "train"), ("q1", "d2", 3, "train"), ("q2", "d3", -1, "train")]
    found = pick(qrels, tmp_path, n=100)
    assert Counter(row["query"] for row in found) == Counter(f"query {n}" for n in range(20) if n not in (8, 9))
    of = {row["query"]: row["passage"] for row in found}
    assert of["query 0"] == "text 0"
    assert of["query 1"] == "text 2"  # the best of its passages
    assert {row["lang"] for row in found} == {"en"}
    # A query of two splits is one of the test split, whatever it is judged there.
    both = pick([*qrels, ("q3", "d30", 0, "test")], tmp_path, height=7, n=100)
    assert both == [row for row in found if row["query"] != "query 3"]


def test_the_seed_chooses_and_nothing_else_does(tmp_path: Path) -> None:
    qrels: list[Qrel] = [(f"q{n}", f"d{n}", 1, "train") for n in range(40)]
    first = pick(qrels, tmp_path, n=4)
    assert len(first) == 4
    assert pick(qrels[::-1], tmp_path, height=7, n=4) == first
    assert pick(qrels, tmp_path, n=2) == first[:2]
    assert any(pick(qrels, tmp_path, n=4, seed=seed) != first for seed in (1, 2))


def test_other_splits_serve_where_train_is_short(tmp_path: Path) -> None:
    qrels: list[Qrel] = [(f"q{n}", f"d{n}", 1, "train" if n < 3 else "dev" if n < 7 else "test") for n in range(40)]
    found = [row["query"] for row in pick(qrels, tmp_path, n=5)]
    assert set(found[:3]) == {"query 0", "query 1", "query 2"}
    assert set(found[3:]) < {f"query {n}" for n in range(3, 7)}


def test_a_set_without_pairs_is_told(tmp_path: Path) -> None:
    for qrels in (
        [("q1", "d1", 1, "test")],
        [("q1", "d1", 0, "train")],
        [("q9", "d1", 1, "train")],
        [("q1", "d8", 1, "train")],
    ):
        with pytest.raises(SourceError, match="no judged pair of a split other than test"):
            pick(qrels, tmp_path)
    with pytest.raises(SourceError, match="at most 2,000 characters"):
        pick([("q1", "d9", 1, "train")], tmp_path)
    assert len(pick([("q1", "d9", 1, "train")], tmp_path, max_chars=9_000)) == 1


def test_the_command_shows_the_sets_own_pairs(tmp_path: Path) -> None:
    source = write(tmp_path / "set")
    with ScriptedChat(good) as chat:
        code, found, err = generate(tmp_path, source, chat.url, "--style", "promptagator", "--per-passage", "1")
        assert code == 0, err
        judged = {
            tuple(line.split("\t")[:2]) for line in (source / "qrels" / "train.tsv").read_text("utf-8").splitlines()[1:]
        }
        queries, docs = (
            {
                line["_id"]: line["text"]
                for line in map(json.loads, (source / f"{name}.jsonl").read_text("utf-8").splitlines())
            }
            for name in ("queries", "corpus")
        )
        wanted = {(docs[doc], queries[query]) for query, doc in judged}
        for body in chat.asked:
            shown = [json.loads(one["content"]) for one in body["messages"][1:-1]]
            assert {(a["passage"], b["query"]) for a, b in zip(shown[::2], shown[1::2], strict=True)} == wanted
        assert found["languages"]["en"]["answered"] == 24
        # Passages without a set have no pairs to show.
        code, _, err = generate(
            tmp_path, source, chat.url, "--style", "promptagator", "--src", f"jsonl:{source}/corpus.jsonl", out="no"
        )
        assert (code, "style.examples_file" in err) == (2, True), err
        file = tmp_path / "pairs.jsonl"
        file.write_text('{"passage": "p", "query": "q"}\n', "utf-8")
        given = (
            "--style",
            "promptagator",
            "--src",
            f"jsonl:{source}/corpus.jsonl",
            "--set",
            f"style.examples_file={file}",
        )
        code, _, err = generate(tmp_path, source, chat.url, *given, out="file")
        assert code == 0, err
        assert json.loads(chat.asked[-1]["messages"][2]["content"]) == {"query": "q"}
        # Other examples in the same file are other questions.
        asked = len(chat.asked)
        file.write_text('{"passage": "p", "query": "r"}\n', "utf-8")
        read_pairs.cache_clear()
        code, _, err = generate(tmp_path, source, chat.url, *given, out="again")
        assert code == 0, err
        assert len(chat.asked) > asked
