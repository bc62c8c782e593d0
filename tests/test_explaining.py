"""explain: the story of a row that was kept, mended, dropped, merged or left out, in every kind of build."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dsbuild.builders.releases.explaining import explain
from dsbuild.errors import ReleaseError, UnknownName
from dsbuild.stage import digest
from tests.small_set import (
    CAFE,
    DOCS,
    MARKET,
    QRELS,
    QUERIES,
    RIVER,
    WATER,
    WOOL,
    cli,
    make,
    rows,
    said,
    write_memory,
    write_set,
)
from tests.test_filtered import EN, ROWS

TOO_LONG = f"{said(WOOL, 'hi')} {said(WATER, 'hi')} {said(MARKET, 'hi')}"
BROKEN = next(text for doc, _, text in DOCS if doc == "d6")


@pytest.fixture(scope="module")
def translated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """WOOL is too long in hi, CAFE (mojibake in the source) is missing in ta."""
    folder = tmp_path_factory.mktemp("translated")
    source = write_set(folder / "set", qrels={"train": QRELS})
    memory = write_memory(folder / "memory.tsv", missing={"ta": [CAFE]}, changed={(WOOL, "hi"): TOO_LONG})
    make(folder, source, memory, ("hi", "ta"), ["bitext.max_length_ratio=1.9"])
    return folder / "out"


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("documents") / "docs.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS), "utf-8")
    return path


def one(folder: Path, row_id: str, lang: str | None = None) -> dict[str, Any]:
    (row,) = explain(folder, row_id, lang)["rows"]
    return row


def stages(row: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {stage["node"]: stage for stage in row["stages"]}


def test_every_stage_of_a_translated_row_is_told(translated: Path) -> None:
    row = one(translated, "d9", "hi")
    told = stages(row)
    assert list(told) == [
        "read", "sound", "mend.corpus", "segment.corpus", "unique", "translate.hi", "check.hi", "assemble.hi.corpus", "decide.hi.corpus",
    ]  # fmt: skip
    assert (row["fate"], row["source"]["text"], told["read"]["output"]["text"]) == ("dropped", WOOL, WOOL)
    assert told["segment.corpus"]["output"] == [{"field": "text", "segment": 0, "source": WOOL}]
    assert told["translate.hi"]["input"] == told["segment.corpus"]["output"]
    assert told["translate.hi"]["output"] == [{"field": "text", "segment": 0, "translation": TOO_LONG}]
    assert told["assemble.hi.corpus"]["output"] == {"title": "", "text": TOO_LONG}
    manifest = json.loads((translated / "manifest.json").read_text("utf-8"))
    fingerprint = manifest["engines"]["memory"]["fingerprint"]
    model = told["translate.hi"]["model"]
    assert (model["engine"], model["fingerprint"], model["rung"]) == ("memory", fingerprint, "first")
    assert model["digest"] == digest(json.dumps(fingerprint, sort_keys=True))
    assert told["check.hi"]["scores"]["length_ratio"] > 1.9
    rules = [
        (verdict["rule"], verdict["outcome"], verdict["threshold"]) for verdict in told["decide.hi.corpus"]["verdicts"]
    ]
    assert rules[0] == ("length_ratio", "dropped", 1.9)
    keys = {stage["node"]: stage["keys"] for stage in manifest["stages"]}
    assert all(stage["keys"] == keys[node] for node, stage in told.items())


def test_every_column_of_a_row_is_told_once(translated: Path, documents: Path) -> None:
    """A score belongs to one stage; what belongs to none is the row itself."""
    row = one(translated, "d8", "hi")
    scored = [name for stage in row["stages"] for name in stage.get("scores", ())]
    assert len(scored) == len(set(scored))
    assert set(row["row"]) - set(scored) == {"doc_id", "title", "text", "lang", "source", "group_id"}


def test_what_was_mended_and_what_failed(translated: Path) -> None:
    row = one(translated, "d6", "ta")
    told = stages(row)
    assert told["read"]["output"]["text"] == BROKEN
    assert (told["mend.corpus"]["input"], told["mend.corpus"]["output"]) == ({"text": BROKEN}, {"text": CAFE})
    assert [verdict["rule"] for verdict in row["verdicts"]] == ["missing"]
    assert (row["fate"], told["translate.ta"]["model"]["rung"]) == ("failed", "failed")
    code, printed, _ = cli("explain", translated, "--id", "d6", "--lang", "ta")
    assert code == 0
    for words in (
        "ta-corpus d6: failed",
        f"text came as: {BROKEN}",
        f"source text: {CAFE}",
        "translate: failed by missing: not in the file",
        "model: memory",
    ):
        assert words in printed
    assert list(stages(one(translated, "d6", "en"))) == ["read", "sound", "mend.corpus"]


def test_judgements_that_a_lost_row_took_along(translated: Path) -> None:
    """q1 loses d1 of three documents; q5 loses both of its own and goes with them."""
    assert {key: one(translated, "d9", "hi")["judgements"][key] for key in ("kept", "lost")} == {"kept": 0, "lost": 1}
    judged = one(translated, "q1", "hi")["judgements"]
    kept = [row["doc_id"] for row in rows(translated, "hi-qrels/*") if row["query_id"] == "q1"]
    assert [row["doc_id"] for row in judged["rows"]] == kept
    assert judged["lost_rows"] == [{"query_id": "q1", "doc_id": "d1", "outcome": "orphaned", "rule": "doc_dropped"}]
    query = one(translated, "q5", "hi")
    assert (query["fate"], stages(query)["cascade"]["verdicts"][0]["rule"]) == ("dropped", "no_positive")
    assert query["judgements"]["lost"] == 2


def test_without_the_source_tables(tmp_path: Path) -> None:
    source = write_set(tmp_path / "set")
    make(tmp_path, source, write_memory(tmp_path / "memory.tsv"), ("hi",), ["release.source_tables=false"])
    row = one(tmp_path / "out", "d6")
    told = stages(row)
    assert row["source"] is None
    assert told["mend.corpus"]["input"]["text"] == BROKEN
    assert cli("explain", tmp_path / "out", "--id", "d6")[0] == 0


def test_a_filtered_row(documents: Path) -> None:
    out = documents.parent / "filtered"
    code, _, err = cli(
        "filter",
        "--src",
        f"jsonl:{documents}",
        "--profile",
        "sentence",
        "--lang",
        "auto",
        "--out",
        out,
        "--store",
        documents.parent / "store",
    )
    assert code == 0, err
    row = one(out, "near")
    told = stages(row)
    assert (row["lang"], row["fate"], row["source"]) == ("en", "dropped", None)
    assert told["read"]["output"]["text"] == row["row"]["text"]
    assert told["identify.documents.lang"]["output"] == {"lang": "en"}
    assert told["identify.documents.lang"]["scores"]["language_label"] == "en"
    assert {"length_letters", "repetition_top_2gram"} <= set(told["score.documents"]["scores"])
    assert told["settle.documents"]["scores"]["duplicate_of"] == "en1"
    assert told["settle.documents"]["verdicts"][0]["rule"] == "near_duplicate"
    assert one(out, "en1")["absorbed"] == ["near"]
    assert one(out, "en0")["absorbed"] == ["twin"]
    lost = stages(one(out, "digits"))
    assert "sign.documents" not in lost
    assert lost["decide.documents"]["verdicts"][0]["rule"] == "length.too_short"
    assert "stands for its duplicates near" in cli("explain", out, "--id", "en1")[1]


def test_a_merged_judgement(tmp_path: Path) -> None:
    source = write_set(
        tmp_path / "set", [*DOCS, ("copy", *DOCS[0][1:])], qrels={"train": [("q1", "d1", 1), ("q1", "copy", 2)]}
    )
    code, _, err = cli(
        "filter", "--src", f"beir:{source}", "--profile", "sentence", "--lang", "en", "--out", tmp_path / "out", "--store", tmp_path / "store",
        "--set", "filters=[exact]",
    )  # fmt: skip
    assert code == 0, err
    row = one(tmp_path / "out", "copy")
    assert (row["judgements"]["kept"], row["judgements"]["lost_rows"][0]["outcome"]) == (0, "merged")
    assert one(tmp_path / "out", "d1")["absorbed"] == ["copy"]


def test_a_split_row(tmp_path: Path) -> None:
    """d1 is asked for in train (q1) and in test (q5), so q1 leaks and goes."""
    source = write_set(tmp_path / "set", qrels={"train": QRELS[:4], "test": QRELS[4:]})
    make(tmp_path, source, write_memory(tmp_path / "memory.tsv"), ("hi",))
    out = tmp_path / "split"
    code, _, err = cli(
        "split",
        "--src",
        tmp_path / "out",
        "--out",
        out,
        "--store",
        tmp_path / "store",
        "--train",
        0.6,
        "--dev",
        0.2,
        "--test",
        0.2,
    )
    assert code == 0, err
    kept = {row["query_id"]: name for name in ("train", "dev", "test") for row in rows(out, f"hi-queries/{name}-*")}
    lost = {row["query_id"] for row in rows(out, "dropped/hi-queries-*")}
    assert ("q1" in lost, len(kept), len(lost)) == (True, 4, 1)
    for query in (*kept, *lost):
        row = one(out, query, "hi")
        told = stages(row)
        assert list(told) == ["read.hi-queries", "sign.hi-queries", "split", "apply.hi-queries"]
        assert told["split"]["scores"]["component"]
        assert (row["fate"], row["split"]) == (("kept", kept[query]) if query in kept else ("dropped", None))
        assert told["read.hi-queries"]["output"] == {"text": said(QUERIES[query], "hi")}
        assert row["source"]["text"] == QUERIES[query]
    assert stages(one(out, "q5", "hi"))["apply.hi-queries"]["output"] == {"split": "test"}
    assert stages(one(out, "q1", "hi"))["apply.hi-queries"]["verdicts"][0]["rule"] == "leaked_into"


def test_a_contaminated_row(documents: Path, tmp_path: Path) -> None:
    against = tmp_path / "held.jsonl"
    against.write_text(json.dumps({"id": "item", "text": EN[0]}) + "\n", "utf-8")
    code, _, err = cli(
        "contamination",
        "--src",
        f"jsonl:{documents}",
        "--lang",
        "en",
        "--against",
        against,
        "--out",
        tmp_path / "out",
        "--store",
        tmp_path / "store",
    )
    assert code == 0, err
    row = one(tmp_path / "out", "twin")
    told = stages(row)
    assert not [node for node in told if "against" in node]
    assert told["settle.documents"]["verdicts"][0]["rule"] == "contaminated"
    assert [(found["set"], found["item"], found["start"], found["end"]) for found in row["evidence"]] == [
        ("held", "item", 0, len(EN[0].rstrip(".")))
    ]
    assert "evidence: held item" in cli("explain", tmp_path / "out", "--id", "twin")[1]


def test_the_prompt_of_a_language_model(translated: Path, tmp_path: Path) -> None:
    """Shown where this version has the very text that the fingerprint names."""
    from dsbuild.translate.llm import LLMEngine

    copy = Path(shutil.copytree(translated, tmp_path / "copy"))
    manifest = json.loads((copy / "manifest.json").read_text("utf-8"))
    fingerprint = LLMEngine(base_url="http://127.0.0.1:9/v1", model="m").fingerprint()
    memory = manifest["engines"]["memory"]
    for prompt, shown in ((fingerprint["prompt"], True), ("0" * 32, False)):
        manifest["engines"] = {"llm": {**memory, "fingerprint": {**fingerprint, "prompt": prompt}}}
        (copy / "manifest.json").write_text(json.dumps(manifest), "utf-8")
        model = stages(one(copy, "d1", "hi"))["translate.hi"]["model"]
        assert bool(model["prompt"]) is shown
        assert ("prompt | " in cli("explain", copy, "--id", "d1", "--lang", "hi")[1]) is shown


def test_json_is_the_same_story(translated: Path) -> None:
    code, printed, _ = cli("explain", translated, "--id", "d9", "--format", "json")
    assert code == 0
    found = json.loads(printed)
    assert found == json.loads(json.dumps(explain(translated, "d9")))
    assert list(found) == ["id", "release", "rows"]
    assert RIVER not in printed


def test_an_id_that_is_nowhere(translated: Path, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="no row with the id 'd99'$"):
        explain(translated, "d99")
    with pytest.raises(UnknownName, match="Did you mean 'hi'"):
        explain(translated, "d1", "hii")
    make(tmp_path, write_set(tmp_path / "set"), write_memory(tmp_path / "memory.tsv"), ("hi",), source__limit=8)
    with pytest.raises(ReleaseError, match=r"--limit leaves out 1 rows of corpus"):
        explain(tmp_path / "out", "d99")
