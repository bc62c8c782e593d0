"""Measuring a retrieval set: scores counted again without dsbuild, a drop that alarms, damaged queries found, and what a release keeps of it."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dsbuild.builders.evaluation import evaluated, evaluations
from dsbuild.builders.evaluation.measure_retrieval import measure
from dsbuild.builders.releases.verification import verify
from dsbuild.errors import RecipeError, ReleaseError, UnknownName
from tests.small_releases import write
from tests.small_set import cli

Texts = tuple[list[str], list[str]]
N_DOCS, ASKED = 60, 3


def word(number: int, lang: str) -> str:
    """Words of an invented language pair: one of the source, one of the target."""
    sounds = ["ba", "ke", "lo", "mi", "nu", "ra", "se", "ti", "vo", "du"]
    made = "".join(sounds[int(digit)] for digit in f"{number * 7919 % 997:03d}")
    return made if lang == "en" else made[::-1] + "o"


def texts(lang: str) -> Texts:
    """Documents of words of a topic and common ones; queries of some words of their document. Sentence ends and capitals as usual."""
    rng = random.Random(5)
    docs, queries = [], []
    for _ in range(N_DOCS):
        own = [rng.randrange(300) for _ in range(12)]
        said = [number for number in own for _ in range(2)] + [300 + rng.randrange(40) for _ in range(16)]
        rng.shuffle(said)
        docs.append(" ".join(word(number, lang) for number in said).capitalize() + ".")
        for _ in range(ASKED):
            asked = rng.sample(own, 4) + [300 + rng.randrange(40) for _ in range(2)]
            queries.append(" ".join(word(number, lang) for number in asked).capitalize() + "?")
    return docs, queries


def put(folder: Path, target: Texts, langs: tuple[str, ...] = ("en", "es")) -> Path:
    configs: dict[str, Any] = {}
    for lang in langs:
        docs, queries = texts("en") if lang == "en" else target
        configs[f"{lang}-corpus"] = {
            "corpus": [
                {"doc_id": f"{i}", "title": "", "text": text, "lang": lang, "source": "made", "group_id": f"{i}"}
                for i, text in enumerate(docs)
            ]
        }
        configs[f"{lang}-queries"] = {
            "test": [
                {"query_id": f"q{i}", "text": text, "lang": lang, "source": "made", "origin": "human"}
                for i, text in enumerate(queries)
            ]
        }
        configs[f"{lang}-qrels"] = {
            "test": [
                {"query_id": f"q{i}", "doc_id": f"{i // ASKED}", "relevance": 1, "judge": "source"}
                for i in range(len(queries))
            ]
        }
    return write(folder, configs, src="en")


def spoiled(change: Callable[[list[str], list[str]], None]) -> Texts:
    docs, queries = texts("es")
    change(docs, queries)
    return docs, queries


def measured(folder: Path, store: Path, **options: Any) -> dict[str, Any]:
    return evaluated.evaluate(evaluated.recipe_of(str(folder), **options), out=None, store=store)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


def test_measures_are_those_counted_by_hand() -> None:
    qrels = pa.table(
        {"query_id": ["a", "a", "b", "c", "a"], "doc_id": ["1", "01", "2", "3", "9"], "relevance": [2, 1, 1, 0, -1]}
    )
    candidates = pa.table(
        {
            "query_id": ["a", "a", "a", "b", "c"],
            "doc_id": ["9", "01", "1", "7", "3"],
            "rank": pa.array([1, 2, 3, 1, 1], pa.int32()),
        }
    )
    found = measure(candidates, pa.chunked_array([["a", "b", "c", "d"]]), qrels, 10).to_pylist()
    best = 2 + 1 / math.log2(3)
    assert [row["query_id"] for row in found] == ["a", "b"]
    assert found[0]["ndcg"] == pytest.approx((1 / math.log2(3) + 2 / math.log2(4)) / best)
    assert (found[0]["mrr"], found[0]["recall"], found[0]["rank"]) == (0.5, 1.0, 2)
    assert found[0]["map"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found[1] == {"query_id": "b", "ndcg": 0.0, "mrr": 0.0, "recall": 0.0, "map": 0.0, "rank": None}


def test_measures_are_those_of_trec_eval() -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval", reason="pytrec_eval is not installed")
    rng = np.random.default_rng(1)
    judged, runs, rows = {}, {}, []
    for query in map(str, range(30)):
        docs = [f"d{number}" for number in rng.permutation(40)]
        judged[query] = {doc: int(rng.integers(-1, 4)) for doc in docs[:8]}
        ranked = [f"d{number}" for number in rng.permutation(40)[:25]]
        runs[query] = {doc: float(100 - place) for place, doc in enumerate(ranked)}
        rows += [(query, doc, place + 1) for place, doc in enumerate(ranked)]
    asked = {"ndcg_cut.10", "recall.10", "map"}
    theirs = pytrec_eval.RelevanceEvaluator(judged, asked).evaluate(runs)
    flat = [(query, doc, grade) for query, docs in judged.items() for doc, grade in docs.items()]
    candidates = pa.table(dict(zip(("query_id", "doc_id", "rank"), map(list, zip(*rows, strict=True)), strict=True)))
    qrels = pa.table(dict(zip(("query_id", "doc_id", "relevance"), map(list, zip(*flat, strict=True)), strict=True)))
    for row in measure(candidates, pa.chunked_array([list(judged)]), qrels, 10).to_pylist():
        other = theirs[row["query_id"]]
        assert (row["ndcg"], row["recall"], row["map"]) == pytest.approx(
            (other["ndcg_cut_10"], other["recall_10"], other["map"])
        )


def test_a_sound_translation_has_no_drop(tmp_path: Path, store: Path) -> None:
    found = measured(put(tmp_path / "draft", texts("es")), store)
    one = found["languages"]["es"]
    assert one["drops"] == []
    assert one["queries"] == N_DOCS * ASKED
    # The invented translation is word for word, so every word finds what the source's does.
    assert one["retrievers"]["bm25"]["mrr"] == pytest.approx(
        found["languages"]["en"]["retrievers"]["bm25"]["mrr"], abs=0.02
    )
    assert one["damage"]["alarms"] <= 0.03 * N_DOCS * ASKED


def test_swapped_queries_and_passages_alarm_on_their_side(tmp_path: Path, store: Path) -> None:
    def change(docs: list[str], queries: list[str]) -> None:
        docs[7], queries[60], queries[90], queries[120] = docs[33], queries[3], queries[150], queries[12]

    found = measured(put(tmp_path / "draft", spoiled(change)), store)
    sides = {row["query_id"]: row["side"] for row in found["languages"]["es"]["damage"]["damaged"]}
    hurt = {"q60": "query", "q90": "query", "q120": "query", "q21": "passage", "q22": "passage", "q23": "passage"}
    assert {name: sides.get(name) for name in hurt} == hurt
    assert len(sides) - len(hurt) <= 0.03 * N_DOCS * ASKED


def test_a_drop_of_a_whole_language_alarms_with_its_cause(tmp_path: Path, store: Path) -> None:
    def change(docs: list[str], queries: list[str]) -> None:
        for at in range(len(queries)):
            # Cut at other places than in passages: words differ, most runs of letters do not. Every other query is left alone.
            if at % 2:
                queries[at] = " ".join(f"{one[:-1]} {one[-1:]}" for one in queries[at].split())

    one = measured(put(tmp_path / "draft", spoiled(change)), store, retriever="bm25", settings=["damage.use=false"])[
        "languages"
    ]["es"]
    (drop,) = one["drops"]
    assert (drop["retriever"], drop["cause"]) == ("bm25", "words")
    assert drop["high"] < evaluated.DROP


def test_a_release_keeps_what_was_measured_and_verifies(tmp_path: Path, store: Path) -> None:
    draft = put(tmp_path / "draft", texts("es"))
    code, out, _ = cli("evaluate", "retrieval", draft, "--store", store, "--format", "json")
    printed = json.loads(out)
    assert code == 0
    assert verify(draft)["problems"] == []
    written = json.loads(Path(printed["written"]).read_text("utf-8"))
    assert written["languages"] == printed["languages"]
    assert Path(printed["written"]).parent == draft.parent
    assert cli("release", draft, "--name", "made", "--version", "1.0.0", "--out", tmp_path / "elsewhere")[0] == 0
    made = tmp_path / "elsewhere/1.0.0"
    assert verify(made)["problems"] == []
    assert json.loads((made / "facts.json").read_text("utf-8"))["retrieval"]["languages"] == written["languages"]
    assert "First stages over the judged queries" in (made / "DATASHEET.md").read_text("utf-8")
    assert "Retrieval by language" in (made / "report.html").read_text("utf-8")
    again = json.loads(cli("evaluate", "retrieval", draft, "--store", store, "--format", "json", "--workers", 1)[1])
    assert again == printed


def test_a_measurement_of_another_build_is_left_out(tmp_path: Path) -> None:
    draft = put(tmp_path / "draft", texts("es"), ("en",))
    evaluations.beside(draft).write_text(
        json.dumps({**dict.fromkeys(evaluations._KEYS, ""), "build_key": "other", "languages": {}, "notes": []}),
        "utf-8",
    )
    assert evaluations.held(draft, "draft") is None
    evaluations.beside(draft).write_text("{}", "utf-8")
    with pytest.raises(ReleaseError, match="not what dsbuild evaluate retrieval writes"):
        evaluations.held(draft, "draft")


def test_too_few_pairs_are_not_looked_at(tmp_path: Path, store: Path) -> None:
    docs, queries = texts("es")
    draft = put(tmp_path / "draft", (docs, queries[:20]))
    found = measured(draft, store)
    assert found["languages"]["es"]["damage"]["looked_at"] == 0
    assert any("not looked for damaged queries" in note for note in found["notes"])


def test_wrong_options_are_told_before_work(tmp_path: Path, store: Path) -> None:
    draft = put(tmp_path / "draft", texts("es"), ("en",))
    with pytest.raises(UnknownName, match="de"):
        measured(draft, store, langs="de")
    with pytest.raises(RecipeError, match="depth"):
        measured(draft, store, depth=5)
    with pytest.raises(UnknownName, match="bm25"):
        measured(draft, store, retriever="bm52")
