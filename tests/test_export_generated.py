"""Exports of a generated set whose queries are in a language that has no passages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dsbuild.llm import close_models
from tests.scripted_chat import ScriptedChat
from tests.small_set import cli
from tests.test_generated import write


@pytest.fixture(scope="module")
def mined(tmp_path_factory: Any) -> Path:
    """English passages, queries in English and Hindi, negatives of both."""
    folder: Path = tmp_path_factory.mktemp("asked")
    source = write(folder / "set", 6)

    def answer(data: dict[str, Any], body: Any) -> Any:
        words = data.get("passage", "x").split()
        hindi = "Hindi" in body["messages"][0]["content"]
        return {"query": f"{words[2] if hindi else ' '.join(words[:4])} {'नदी कहाँ बहती है' if hindi else 'where'}"}

    with ScriptedChat(answer) as server:
        code, _, err = cli(
            "generate", "queries", "--src", f"beir:{source}", "--lang", "en", "--langs", "en,hi", "--engine", "openai", "--base-url", server.url,
            "--model", "small", "--set", "funnel.stages=[form]", "--out", str(folder / "asked"), "--store", str(folder / "store"),
        )  # fmt: skip
    close_models()
    assert code == 0, err
    code, _, err = cli(
        "mine", "--src", str(folder / "asked"), "--retriever", "bm25", "--rule", "naive", "--negatives", "2", "--out", str(folder / "mined"),
        "--store", str(folder / "store"), "--set", "mine.candidates=true",
    )  # fmt: skip
    assert code == 0, err
    return folder / "mined"


def exported(mined: Path, out: Path, *options: str) -> dict[str, int]:
    code, printed, err = cli("export", str(mined), "--out", str(out), "--format", "json", *options)
    assert code == 0, err
    return {one["scope"]: one["exported"] for one in json.loads(printed)["accounts"]}


def rows(mined: Path, config: str) -> list[dict[str, Any]]:
    return [row for path in sorted((mined / config).glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_both_languages_are_exported_and_each_with_its_own_judgements(mined: Path, tmp_path: Path) -> None:
    assert exported(mined, tmp_path / "out", "--to", "st-triplet") == {"en": 6, "hi-en": 6}
    texts = {row["doc_id"]: row["text"] for row in rows(mined, "en-corpus")}
    queries = {row["query_id"]: row["text"] for row in rows(mined, "hi-queries")}
    judged = {(queries[row["query_id"]], texts[row["doc_id"]]) for row in rows(mined, "hi-qrels")}
    negatives = {(queries[row["query_id"]], texts[row["doc_id"]]) for row in rows(mined, "hi-negatives")}
    found = pq.read_table(tmp_path / "out" / "hi-en" / "train-00000.parquet").to_pylist()
    assert {row["anchor"] for row in found} == set(queries.values())
    for row in found:
        assert any(query == row["anchor"] and row["positive"].endswith(text) for query, text in judged)
        assert any(query == row["anchor"] and row["negative"].endswith(text) for query, text in negatives)


def test_asked_for_by_name_and_in_views_of_judgements_and_runs(mined: Path, tmp_path: Path) -> None:
    chosen = ("--query-langs", "hi", "--langs", "en")
    assert exported(mined, tmp_path / "beir", "--to", "beir", *chosen) == {"hi-en": 6}
    lines = (tmp_path / "beir" / "qrels" / "train.tsv").read_text("utf-8").splitlines()[1:]
    assert {line.split("\t")[0] for line in lines} == {row["query_id"] for row in rows(mined, "hi-queries")}
    assert exported(mined, tmp_path / "trec", "--to", "trec", *chosen) == {"hi-en": 6}
    code, _, err = cli("export", str(mined), "--to", "beir", "--langs", "hi", "--out", str(tmp_path / "none"))
    assert code == 2
    assert "hi has no corpus; its queries are of passages in en: --query-langs hi --langs en" in err
