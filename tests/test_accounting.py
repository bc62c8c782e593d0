"""kept + dropped + failed = in, counted from the release's files by code that imports nothing of the project but to build."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.small_set import (
    ASK_RICE,
    ASK_RIVER,
    ASK_TRAIN,
    CAFE,
    DOCS,
    LINES,
    MARKET,
    QRELS,
    QUERIES,
    RICE,
    RIVER,
    TRAIN,
    WOOL,
    make,
    rows,
    write_memory,
    write_set,
)

IDS = {"corpus": "doc_id", "queries": "query_id"}


def recount(folder: Path, source: Path) -> dict[str, dict[str, dict[str, object]]]:
    """Everything the manifest says of rows, counted again from the files; asserts that nothing is lost or twice."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    inputs = {
        "corpus": [json.loads(line)["_id"] for line in (source / "corpus.jsonl").read_text("utf-8").splitlines()],
        "queries": [json.loads(line)["_id"] for line in (source / "queries.jsonl").read_text("utf-8").splitlines()],
    }
    judged = [
        tuple(line.split("\t"))
        for path in sorted((source / "qrels").glob("*.tsv"))
        for line in path.read_text("utf-8").splitlines()[1:]
    ]
    verdicts = rows(folder, "dropped/verdicts-*.parquet")
    counted: dict[str, dict[str, dict[str, object]]] = {}
    for lang in manifest["recipe"]["langs"]:
        counted[lang] = {}
        present: dict[str, set[str]] = {}
        for table, column in IDS.items():
            kept = [row[column] for row in rows(folder, f"{lang}-{table}/*.parquet")]
            gone = {row[column]: row for row in rows(folder, f"dropped/{lang}-{table}-*.parquet")}
            n_gone = len(rows(folder, f"dropped/{lang}-{table}-*.parquet"))
            assert len(set(kept)) == len(kept), "an id is kept twice"
            assert len(gone) == n_gone, "an id is dropped twice"
            assert not set(kept) & set(gone), "an id is kept and dropped"
            assert Counter(kept + list(gone)) == Counter(inputs[table]), "an id is missing"
            present[table] = set(kept)
            reasons: Counter[str] = Counter()
            fates: Counter[str] = Counter()
            for row_id, row in gone.items():
                own = [
                    one
                    for one in verdicts
                    if (one["table"], one["lang"], one["id"]) == (table, lang, row_id)
                    and one["outcome"] in ("dropped", "failed")
                ]
                assert own, f"{lang}-{table} {row_id}: lost without a verdict"
                primary = [one for one in own if one["primary"]]
                assert len(primary) == 1, f"{lang}-{table} {row_id}: {len(primary)} primary verdicts"
                assert row["fate"] == primary[0]["outcome"]
                reasons[primary[0]["rule"]] += 1
                fates[primary[0]["outcome"]] += 1
            repaired = {
                one["id"]
                for one in verdicts
                if one["table"] == table
                and one["outcome"] == "repaired"
                and one["lang"] in (lang, manifest["source"]["lang"])
            }
            counted[lang][table] = {
                "in": len(inputs[table]), "kept": len(kept), "repaired": len(repaired & set(kept)),
                "dropped": fates["dropped"], "failed": fates["failed"], "reasons": dict(reasons),
            }  # fmt: skip
            for one in verdicts:
                if one["table"] == table and one["lang"] == lang and one["outcome"] in ("dropped", "failed"):
                    assert one["id"] in gone, f"{one['id']}: {one['outcome']} by a verdict, and kept"
        qrels = [(row["query_id"], row["doc_id"]) for row in rows(folder, f"{lang}-qrels/*.parquet")]
        alive = [(q, d) for q, d, _ in judged if q in present["queries"] and d in present["corpus"]]
        assert Counter(qrels) == Counter(alive), "qrels are those of kept rows, no more and no less"
        orphaned = Counter(
            tuple(one["id"].split("\t")) for one in verdicts if one["lang"] == lang and one["outcome"] == "orphaned"
        )
        assert orphaned == Counter((q, d) for q, d, _ in judged) - Counter(alive)
        counted[lang]["qrels"] = {"in": len(judged), "kept": len(alive), "orphaned": len(judged) - len(alive)}
    assert counted == manifest["accounting"]
    return counted


BAD = {
    (MARKET, "hi"): "The old market sells fruit, spices and cloth.",
    (TRAIN, "ta"): "ரயில் ரயில் ரயில் ரயில் ரயில் ரயில் ரயில் ரயில் ரயில் ரயில் ரயில் ரயில் ரயில் ரயில் ரயில் ரயில்",
    (WOOL, "ta"): "கம்பளி",
    (ASK_TRAIN, "hi"): "आठवणी आणि स्वप्ने यांच्याबद्दल मी नेहमी माझ्या आजीकडून गोष्टी ऐकत असे व त्या मला खूप आवडत होत्या",
}


@pytest.mark.parametrize("split", ["test", "train"])
@pytest.mark.parametrize("parallel", [False, True])
def test_every_row_is_accounted_for(tmp_path: Path, split: str, parallel: bool) -> None:
    source = write_set(tmp_path / "set", qrels={split: QRELS})
    missing = {"hi": [RICE], "ta": [ASK_RIVER, CAFE]}
    memory = write_memory(tmp_path / "memory.tsv", missing=missing, changed=BAD, langs=("hi", "ta", "mr"))
    built = make(tmp_path, source, memory, ("hi", "ta", "mr"), parallel=parallel)
    counted = recount(tmp_path / "out", source)
    for lang, said in built.summary["languages"].items():
        tables = [counted[lang][table] for table in IDS]
        for name in ("in", "kept", "repaired", "dropped", "failed"):
            assert said[name] == sum(table[name] for table in tables)  # type: ignore[misc]
        assert Counter(said["reasons"]) == sum((Counter(table["reasons"]) for table in tables), Counter())
        assert said["in"] == said["kept"] + said["dropped"] + said["failed"]
    losses = built.summary["languages"]
    assert (losses["mr"]["dropped"] > 0) == parallel
    assert losses["ta"]["failed"] >= 1, "the passage that nobody judged is lost in evaluation sets too"
    assert (losses["hi"]["failed"] > 0) == (split == "train"), "judged rows of an evaluation set stay"
    assert losses["mr"]["repaired"] == (0 if parallel else 1), "the mended passage"


def test_the_numbers_by_sql(tmp_path: Path) -> None:
    source = write_set(tmp_path / "set", qrels={"train": QRELS})
    memory = write_memory(tmp_path / "memory.tsv", missing={"hi": [RIVER]})
    built = make(tmp_path, source, memory, ("hi",))
    out = tmp_path / "out"
    with duckdb.connect() as base:
        lost = base.execute(
            f"SELECT count(*) FROM (SELECT doc_id FROM '{out}/en-corpus/*.parquet' EXCEPT SELECT doc_id FROM '{out}/hi-corpus/*.parquet')"
        ).fetchone()
        dangling = base.execute(
            f"SELECT count(*) FROM '{out}/hi-qrels/*.parquet' WHERE doc_id NOT IN (SELECT doc_id FROM '{out}/hi-corpus/*.parquet')"
            f" OR query_id NOT IN (SELECT query_id FROM '{out}/hi-queries/*.parquet')"
        ).fetchone()
        fates = base.execute(f"SELECT fate, count(*) FROM '{out}/dropped/hi-corpus-*.parquet' GROUP BY 1").fetchall()
    assert lost == (2,), "both passages with the river's sentence"
    assert dangling == (0,)
    assert fates == [("failed", 2)]
    assert built.summary["languages"]["hi"]["reasons"] == {"missing": 2, "no_positive": 1}


def test_segments_and_reuse_are_counted(tmp_path: Path) -> None:
    source = write_set(tmp_path / "set")
    built = make(tmp_path, source, write_memory(tmp_path / "memory.tsv"), ("hi",))
    said = built.summary["languages"]["hi"]
    pieces = rows(tmp_path / "out", "segments/hi-*.parquet")
    originals = {
        (table, row[column]): row
        for table, column in IDS.items()
        for row in rows(tmp_path / "out", f"en-{table}/*.parquet")
    }
    texts = [
        next(originals[table, piece["id"]] for table in IDS if (table, piece["id"]) in originals)[piece["field"]][
            piece["src_start"] : piece["src_end"]
        ]
        for piece in pieces
    ]
    assert said["segments"] == len(texts)
    assert said["reused"] == len(texts) - len(set(texts))


SENTENCES = list(LINES)[:8]
ASKED = list(LINES)[9:14]


@st.composite
def sets(
    draw: st.DrawFn,
) -> tuple[list[tuple[str, str, str]], dict[str, str], list[tuple[str, str, int]], dict[str, list[str]]]:
    """Documents, queries, judgements and missing translations."""
    bodies = draw(st.lists(st.lists(st.sampled_from(SENTENCES), max_size=3), min_size=1, max_size=6))
    docs = [(f"d{number}", "", " ".join(body)) for number, body in enumerate(bodies)]
    queries = {f"q{number}": draw(st.sampled_from(ASKED)) for number in range(draw(st.integers(1, 4)))}
    pairs = st.tuples(st.sampled_from(list(queries)), st.sampled_from([doc[0] for doc in docs]))
    judged = draw(st.dictionaries(pairs, st.integers(0, 2), min_size=1, max_size=8))
    missing = {lang: draw(st.lists(st.sampled_from([*SENTENCES, *ASKED]), max_size=6)) for lang in ("hi", "ta")}
    return docs, queries, [(query, doc, grade) for (query, doc), grade in judged.items()], missing


@pytest.mark.parametrize("split", ["train", "test"])
def test_random_sets_with_random_gaps(tmp_path_factory: pytest.TempPathFactory, split: str) -> None:
    tried: dict[str, int] = defaultdict(int)

    @settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
    @given(sets(), st.booleans())
    def check(drawn: tuple, parallel: bool) -> None:
        docs, queries, judged, missing = drawn
        folder = tmp_path_factory.mktemp("random")
        source = write_set(folder / "set", docs, queries, {split: judged})
        make(folder, source, write_memory(folder / "memory.tsv", missing=missing), ("hi", "ta"), parallel=parallel)
        counted = recount(folder / "out", source)
        tried["lost"] += sum(len(counted[lang][table]["reasons"]) for lang in counted for table in IDS)  # type: ignore[arg-type]
        if parallel and split == "train":
            assert counted["hi"]["corpus"]["kept"] == counted["ta"]["corpus"]["kept"]

    check()
    assert tried["lost"] or split == "test"


def test_the_set_of_these_tests_is_itself_complete() -> None:
    assert {name for _, name, _ in QRELS} <= {doc[0] for doc in DOCS}
    assert {name for name, _, _ in QRELS} == set(QUERIES)
    assert ASK_RICE in QUERIES.values()
