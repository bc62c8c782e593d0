"""`dsbuild mine` from a folder to a release: what a negative must never be, counted again without dsbuild."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from dsbuild.builders import build
from dsbuild.builders.mining import mined
from dsbuild.errors import DsbuildError, RecipeError, SourceError, UnknownName
from tests.small_set import cli, digests, rows, translate, write_memory, write_set

WORDS = (
    "mill stream valley wheel stone baker bread morning lamp harbour rope sail wind letter bridge garden winter copper field horse "
    "market violin paper river cloud honey window iron school thread candle meadow engine ladder orchard barrel signal quarry "
    "anchor basket castle desert eagle forest glacier hammer island jacket kettle lantern mirror needle"
).split()

Judged = list[tuple[str, str, int]]


def topics(draw: random.Random, n: int) -> list[list[str]]:
    return [draw.sample(WORDS, 6) for _ in range(n)]


def made(
    n_docs: int = 120, n_queries: int = 20, seed: int = 3
) -> tuple[dict[str, dict[str, str]], dict[str, str], Judged]:
    """Documents about one of twenty topics, queries about a topic, two to four positives each; ids look like numbers."""
    draw = random.Random(seed)
    about = topics(draw, n_queries)
    docs = {}
    for i in range(n_docs):
        topic = about[i % n_queries]
        text = " ".join(draw.choices(topic, k=8) + draw.choices(WORDS, k=12))
        docs[str(i)] = {"text": text}
    queries = {f"0{i}": " ".join(draw.sample(about[i], 3)) for i in range(n_queries)}
    judged = [(f"0{i}", str(i + n_queries * part), 1 + part % 2) for i in range(n_queries) for part in range(2 + i % 3)]
    judged += [(f"0{i}", str((i + 1) % n_queries), 0) for i in range(0, n_queries, 4)]
    return docs, queries, judged


def write(folder: Path, docs: dict[str, dict[str, str]], queries: dict[str, str], judged: Judged) -> Path:
    (folder / "qrels").mkdir(parents=True)
    lines = [json.dumps({"_id": name, **row}) for name, row in docs.items()]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    lines = [json.dumps({"_id": name, "text": text}) for name, text in queries.items()]
    (folder / "queries.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    lines = ["query-id\tcorpus-id\tscore", *(f"{q}\t{d}\t{g}" for q, d, g in judged)]
    (folder / "qrels" / "train.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def mine(folder: Path, source: Path, *settings: str, out: str = "out", workers: int = 1, retriever: str = "bm25,lsa",
         rule: str = "naive", src: str = "", **more: Any) -> dict[str, Any]:  # fmt: skip
    given = {
        "source.src": src or f"beir:{source}",
        "source.lang": None if src else "en",
        "retriever.use": retriever,
        "rule.name": rule,
    }
    recipe = build.compose(None, {**given, **more}, settings, kind="mine")
    assert isinstance(recipe, mined.MineRecipe)
    return mined.run_mine(recipe, folder / out, folder / "store", "local", workers, None)


def negatives(folder: Path, lang: str = "en") -> dict[str, list[dict[str, Any]]]:
    found = defaultdict(list)
    for row in rows(folder, f"{lang}-negatives/*.parquet"):
        found[row["query_id"]].append(row)
    return dict(found)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mined")
    docs, queries, judged = made()
    docs["120"] = {"text": docs["20"]["text"].upper() + "!"}
    docs["121"] = {"text": docs["21"]["text"] + " also"}
    docs["122"] = {"text": docs["7"]["text"][::-1], "group_id": "part"}
    docs["42"]["group_id"] = "part"
    write(folder / "set", docs, queries, judged)
    return folder


def test_a_release_holds_negatives_that_nobody_judged(base: Path) -> None:
    judged = made()[2]
    found = mine(base, base / "set")
    out = negatives(base / "out")
    pairs = {(query, doc) for query, doc, _ in judged}
    assert not {(query, row["doc_id"]) for query, some in out.items() for row in some} & pairs
    assert all(len({row["doc_id"] for row in some}) == 4 for some in out.values())
    assert found["languages"]["en"]["fill"] == 1.0
    assert len(out) == found["languages"]["en"]["queries"] == 20
    # 120 is a copy and 121 nearly a copy of a positive, 122 a part of the same article as one.
    taken = {(query, row["doc_id"]) for query, some in out.items() for row in some}
    assert not taken & {("00", "120"), ("01", "121"), ("02", "122")}
    assert cli("verify", base / "out")[0] == 0
    assert all(row["rank"] >= 1 and row["retriever"] in ("bm25", "lsa") for some in out.values() for row in some)
    ranks = [row["rank"] for some in out.values() for row in some]
    middle = sorted(ranks)
    assert found["languages"]["en"]["median_rank"] == (middle[39] + middle[40]) / 2


def test_candidates_are_a_table_and_naive_takes_their_hardest(base: Path) -> None:
    mine(base, base / "set", retriever="bm25", out="bm25")
    listed = defaultdict(list)
    for row in rows(base / "bm25", "en-candidates/*.parquet"):
        if row["retriever"] == "bm25":
            listed[row["query_id"]].append((row["rank"], row["doc_id"], row["score"]))
    judged = {(query, doc) for query, doc, _ in made()[2]} | {("00", "120"), ("01", "121"), ("02", "122")}
    for query, some in negatives(base / "bm25").items():
        hardest = [one for one in sorted(listed[query]) if (query, one[1]) not in judged][:4]
        assert [(row["rank"], row["doc_id"], row["score"]) for row in some] == hardest


def test_percpos_stays_under_the_least_positive(base: Path) -> None:
    mine(base, base / "set", "rule.percent=0.8", "retriever.depth=120", retriever="bm25", rule="percpos", out="percpos")
    scores = {
        (row["query_id"], row["doc_id"]): row["score"]
        for row in rows(base / "percpos", "en-candidates/*.parquet")
        if row["retriever"] == "bm25"
    }
    least: dict[str, float] = {}
    for query, doc, grade in made()[2]:
        if grade > 0:
            least[query] = min(least.get(query, 1e9), scores.get((query, doc), 0.0))
    out = negatives(base / "percpos")
    assert out
    for query, some in out.items():
        for row in some:
            assert row["anchor_score"] == pytest.approx(least[query])
            assert row["score"] < 0.8 * least[query] + 1e-9


def test_another_rule_reads_the_stored_candidates(base: Path) -> None:
    mine(base, base / "set")
    store = base / "store"

    def units() -> set[str]:
        return {path.name for path in store.rglob("*.json")}

    before = units()
    mine(base, base / "set", "rule.window=10-40", rule="random", out="other")
    stages = [
        json.loads(path.read_text("utf-8"))["descriptor"]["stage"]
        for path in store.rglob("*.json")
        if path.name not in before
    ]
    # What depends on the rule alone: nothing is searched, signed or read again.
    assert "choose" in stages
    assert set(stages) <= {"choose", "measure"}


def test_the_same_seed_gives_the_same_bytes_for_any_workers_and_another_one_does_not(
    base: Path, tmp_path: Path
) -> None:
    made_by = []
    for workers, seed in ((1, 5), (3, 5), (1, 6)):
        folder = tmp_path / f"{workers}-{seed}"
        folder.mkdir()
        mine(folder, base / "set", rule="random", workers=workers, seed=seed)
        made_by.append(digests(folder / "out"))
    assert made_by[0] == made_by[1]
    negatives_of = [{name: sha for name, sha in one.items() if "negatives" in name} for one in made_by]
    assert negatives_of[0] != negatives_of[2]


def test_a_query_keeps_its_negatives_when_others_come(base: Path, tmp_path: Path) -> None:
    docs, queries, judged = made()
    write(tmp_path / "fewer", docs, dict(list(queries.items())[:7]), [one for one in judged if int(one[0]) < 7])
    write(tmp_path / "all", docs, queries, judged)
    mine(tmp_path, tmp_path / "fewer", retriever="bm25", rule="random", out="a")
    mine(tmp_path, tmp_path / "all", retriever="bm25", rule="random", out="b")
    few, every = negatives(tmp_path / "a"), negatives(tmp_path / "b")
    assert few == {query: every[query] for query in few}


def test_hardness_is_also_said_by_a_retriever_that_did_not_mine(base: Path) -> None:
    found = mine(base, base / "set", retriever="lsa", out="lsa")["languages"]["en"]
    assert set(found["median_ranks"]) == {"lsa", "bm25"}
    bm25 = {
        (row["query_id"], row["doc_id"]): row["rank"]
        for row in rows(base / "lsa", "en-candidates/*")
        if row["retriever"] == "bm25"
    }
    ranks = sorted(
        bm25.get((query, row["doc_id"]), 10**9) for query, some in negatives(base / "lsa").items() for row in some
    )
    middle = (ranks[(len(ranks) - 1) // 2] + ranks[len(ranks) // 2]) / 2
    assert found["median_ranks"]["bm25"] == (middle if middle < 10**8 else None)
    assert set(mine(base, base / "set", "mine.hardness=none", retriever="lsa")["languages"]["en"]["median_ranks"]) == {
        "lsa"
    }


def test_queries_that_are_not_filled_say_why(base: Path) -> None:
    found = mine(
        base, base / "set", "retriever.depth=6", "mine.hardness=none", retriever="bm25", negatives=4, out="short"
    )
    said = {row["id"]: row for row in rows(base / "short", "dropped/verdicts*") if row["rule"] == "unfilled"}
    counts = Counter({query: len(some) for query, some in negatives(base / "short").items()})
    short = {query for query in made()[1] if counts[query] < 4}
    assert set(said) == short
    assert short
    assert found["languages"]["en"]["fill"] == pytest.approx(1 - len(short) / 20)
    for query, row in said.items():
        assert row["value"] == counts[query]
        parts = dict(part.rsplit(" ", 1) for part in row["detail"].split(", "))
        numbers = {name: int(number) for name, number in parts.items()}
        assert numbers["candidates"] == 6
        assert counts[query] + sum(numbers.values()) - 6 == 6


def test_a_query_with_a_thousand_positives_and_fewer_documents_than_k(tmp_path: Path) -> None:
    docs, queries, _ = made(1030, 3)
    judged = [("00", str(i), 1) for i in range(1000)] + [("01", "5", 1)]
    write(tmp_path / "set", docs, queries, judged)
    found = mine(tmp_path, tmp_path / "set", "retriever.depth=2000", retriever="bm25")["languages"]["en"]
    out = negatives(tmp_path / "out")
    assert {row["doc_id"] for row in out["00"]} <= {str(i) for i in range(1000, 1030)}
    assert len(out["01"]) == 4
    assert "02" not in out, "it has no positive"
    assert (found["queries"], found["without_positive"]) == (2, 1)


def test_bad_sets_are_one_line(tmp_path: Path) -> None:
    docs, queries, judged = made(30, 5)
    write(tmp_path / "missing", docs, queries, [*judged, ("00", "no-such", 1)])
    with pytest.raises(SourceError, match="'no-such'"):
        mine(tmp_path, tmp_path / "missing")
    mine(tmp_path, tmp_path / "missing", "source.on_missing=drop")
    write(tmp_path / "unjudged", docs, queries, [(query, doc, 0) for query, doc, _ in judged])
    with pytest.raises(SourceError, match="no query has a positive"):
        mine(tmp_path, tmp_path / "unjudged", out="o1")
    twice = write(tmp_path / "twice", docs, queries, judged) / "corpus.jsonl"
    twice.write_text(twice.read_text("utf-8") + json.dumps({"_id": "3", "text": "again"}) + "\n", "utf-8")
    with pytest.raises(SourceError, match="'3' is there twice"):
        mine(tmp_path, tmp_path / "twice", out="o2")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rule": "percpo"}, "percpos"),
        ({"retriever": "bm52"}, "bm25"),
        ({"settings": ["rule.percnt=0.9"], "rule": "percpos"}, "percent"),
        ({"settings": ["mine.decide=xx"]}, "xx"),
        ({"settings": ["mine.anchor=median"]}, "anchor"),
        ({"settings": ["retriever.bm25.k7=1"]}, "k7"),
    ],
)
def test_options_that_cannot_be_are_told_before_work(
    base: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    settings = change.pop("settings", [])
    with pytest.raises((RecipeError, UnknownName), match=said):
        mine(tmp_path, base / "set", *settings, **change)
    assert not (tmp_path / "out").exists()


def test_the_command_prints_json_and_takes_a_recipe(base: Path, tmp_path: Path) -> None:
    command = ["mine", "--src", f"beir:{base / 'set'}", "--lang", "en", "--retriever", "bm25", "--rule", "percpos", "--set", "rule.percent=0.95",
               "--negatives", "2", "--depth", "50", "--seed", "4", "--out", tmp_path / "out", "--store", base / "store"]  # fmt: skip
    code, out, err = cli(*command, "--format", "json")
    assert code == 0, err
    found = json.loads(out)
    assert found["rule"] == "percpos"
    assert {"fill", "median_rank", "queries", "negatives"} <= set(found["languages"]["en"])
    recipe = tmp_path / "out" / "recipe.yaml"
    assert "mine" in recipe.read_text("utf-8")
    again = tmp_path / "again.yaml"
    again.write_text(recipe.read_text("utf-8").replace("beir:set", f"beir:{base / 'set'}"), "utf-8")
    assert cli("run", again, "--out", tmp_path / "again", "--store", base / "store")[0] == 0
    assert digests(tmp_path / "again") == digests(tmp_path / "out")
    code, out, _ = cli("plan", again, "--store", base / "store", "--format", "json")
    assert code == 0
    assert {node["node"] for node in json.loads(out)["nodes"]} >= {"retrieve.en.bm25", "twins.en", "choose.en"}
    assert (
        cli("mine", "--src", f"beir:{base / 'set'}", "--lang", "en", "--retriever", "bm25", "--out", tmp_path / "x")[0]
        == 2
    )


def test_run_files_mine_and_no_path_is_told(base: Path, tmp_path: Path) -> None:
    docs, queries, _ = made()
    draw = random.Random(8)
    lines = [
        f"{query} Q0 {doc} {rank} {-rank} tag"
        for query in queries
        for rank, doc in enumerate(draw.sample(sorted(docs), 60), 1)
    ]
    run = tmp_path / "secret-place" / "first.trec"
    run.parent.mkdir()
    run.write_text("\n".join(lines) + "\n", "utf-8")
    mine(tmp_path, base / "set", "rule.percent=null", retriever=f"bm25,run:{run}", rule="agreement")
    text = (tmp_path / "out" / "manifest.json").read_text("utf-8") + (tmp_path / "out" / "recipe.yaml").read_text(
        "utf-8"
    )
    assert "secret-place" not in text
    ranks = {tuple(line.split()[:3:2]): int(line.split()[3]) for line in lines}
    for query, some in negatives(tmp_path / "out").items():
        assert all(ranks[query, row["doc_id"]] <= 30 for row in some)
    run.write_text("\n".join(line.replace(" -", " ") for line in lines) + "\n", "utf-8")
    with pytest.raises(DsbuildError):
        mine(tmp_path, base / "set", retriever=f"run:{run}", out="reversed")


@pytest.fixture(scope="module")
def translated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("translated")
    source = write_set(folder / "source")
    assert cli(*translate(folder, source, write_memory(folder / "memory.tsv")))[0] == 0
    return folder


def test_a_decision_in_one_language_is_that_of_all(translated: Path, tmp_path: Path) -> None:
    found = mine(tmp_path, tmp_path, "mine.decide=en", src=f"release:{translated / 'out'}", negatives=2)
    pairs = {
        lang: {
            (query, row["doc_id"], row["rank"])
            for query, some in negatives(tmp_path / "out", lang).items()
            for row in some
        }
        for lang in ("en", "hi", "ta")
    }
    assert pairs["en"]
    held = {lang: {row["doc_id"] for row in rows(tmp_path / "out", f"{lang}-corpus/*")} for lang in pairs}
    asked = {lang: {row["query_id"] for row in rows(tmp_path / "out", f"{lang}-queries/*")} for lang in pairs}
    everywhere = held["en"] & held["hi"] & held["ta"]
    for lang, some in pairs.items():
        assert {doc for _, doc, _ in some} <= everywhere
        judged = {(row["query_id"], row["doc_id"]) for row in rows(tmp_path / "out", f"{lang}-qrels/*")}
        assert some == {one for one in pairs["en"] if one[0] in asked[lang] and one[:2] not in judged}
    mapped = [row for some in negatives(tmp_path / "out", "hi").values() for row in some]
    assert {(row["score"], row["anchor_score"], row["retriever"]) for row in mapped} == {(None, None, None)}
    assert set(found["languages"]) == {"en", "hi", "ta"}
    assert not list((tmp_path / "out").glob("hi-candidates"))
    assert cli("verify", tmp_path / "out")[0] == 0


def test_else_each_language_mines_for_itself(translated: Path, tmp_path: Path) -> None:
    found = mine(tmp_path, tmp_path, src=f"release:{translated / 'out'}", negatives=2)
    assert all(one["negatives"] and one["candidates"] for one in found["languages"].values())
    for lang in ("en", "hi", "ta"):
        judged = {(row["query_id"], row["doc_id"]) for row in rows(tmp_path / "out", f"{lang}-qrels/*")}
        held = {row["doc_id"] for row in rows(tmp_path / "out", f"{lang}-corpus/*")}
        for query, some in negatives(tmp_path / "out", lang).items():
            assert not {(query, row["doc_id"]) for row in some} & judged
            assert {row["doc_id"] for row in some} <= held
    assert cli("verify", tmp_path / "out")[0] == 0


def test_an_article_is_read_where_the_first_document_names_none(tmp_path: Path) -> None:
    docs = {
        "a": {"text": "mill stream valley"}, "b": {"text": "mill stream wheel", "group_id": "g"},
        "c": {"text": "mill stream stone", "group_id": "g"}, "d": {"text": "mill stream bread", "group_id": ""},
    }  # fmt: skip
    write(tmp_path / "set", docs, {"q": "mill stream"}, [("q", "b", 1)])
    found = mine(tmp_path, tmp_path / "set", "mine.hardness=none", retriever="bm25")
    assert found["languages"]["en"]["refused"] == {"positive": 1, "sibling": 1}
    assert {row["doc_id"] for row in negatives(tmp_path / "out")["q"]} == {"a", "d"}
    assert {row["doc_id"]: row["group_id"] for row in rows(tmp_path / "out", "en-corpus/*")} == {
        "a": "a", "b": "g", "c": "g", "d": "d",
    }  # fmt: skip


@pytest.mark.parametrize("command", ["mine", "prune", "retrieval"])
def test_a_seed_below_zero_is_told(command: str, base: Path) -> None:
    said = {
        "mine": ("mine", "--retriever", "bm25", "--rule", "naive", "--src", f"beir:{base / 'set'}"),
        "prune": ("prune", "--retriever", "bm25,lsa", "--target-tau", "0.9", "--src", f"beir:{base / 'set'}"),
        "retrieval": ("evaluate", "retrieval", f"beir:{base / 'set'}"),
    }[command]
    code, _, err = cli(*said, "--lang", "en", "--seed", "-5", "--store", base / "store")
    assert code == 2
    assert "seed: Input should be greater than or equal to 0 (got -5)" in err
