"""`dsbuild prune` from a folder to a release: what stays, and the certificate, counted again without dsbuild."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from dsbuild.builders import build
from dsbuild.builders.pruning import kept_documents, pruned
from dsbuild.builders.pruning.certificate import said
from dsbuild.errors import RecipeError, SourceError, UnknownName
from dsbuild.prune_console import print_pruned
from tests.small_set import cli, digests, rows, translate, write_memory, write_set

Run = dict[str, list[str]]

N_DOCS, N_QUERIES = 150, 12


def documents() -> list[str]:
    """Ids that look like numbers: 7 and 07 are two documents."""
    return [str(i) for i in range(N_DOCS - 10)] + [f"0{i}" for i in range(10)]


def judgements() -> list[tuple[str, str, int]]:
    draw = random.Random(1)
    found = []
    for query in range(N_QUERIES):
        some = draw.sample(documents(), 2 + query)
        found += [(f"q{query}", name, 1 + place % 2) for place, name in enumerate(some[: 1 + query // 2])]
        found += [(f"q{query}", name, 0) for name in some[1 + query // 2 :]]
    return [*found, ("unanswered", "3", 0)]


def runs() -> dict[str, Run]:
    """Four systems of falling quality: relevant documents tend to the front."""
    positive = defaultdict(set)
    for query, doc, grade in judgements():
        if grade > 0:
            positive[query].add(doc)
    found = {}
    for number, name in enumerate(("first", "second", "third", "fourth")):
        draw = random.Random(number)
        found[name] = {
            query: sorted(documents(), key=lambda doc, query=query: draw.random() * (0.3 + 0.2 * number if doc in positive[query] else 1))
            for query in sorted({query for query, _, _ in judgements()})
        }  # fmt: skip
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pruned")
    draw = random.Random(5)
    words = [f"word{number}" for number in range(60)]
    docs = [(name, "", " ".join(draw.choices(words, k=12))) for name in documents()]
    queries = {query: " ".join(draw.choices(words, k=3)) for query in sorted({query for query, _, _ in judgements()})}
    write_set(folder / "set", docs, queries, {"test": judgements()})
    for name, run in runs().items():
        lines = [f"{q} Q0 {doc} {rank} {-rank} x" for q, some in run.items() for rank, doc in enumerate(some, 1)]
        (folder / f"{name}.trec").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def prune(base: Path, folder: Path, *settings: str, names: str = "first,second,third,fourth", out: str = "out", workers: int = 1, src: str = "",
          **more: Any) -> dict[str, Any]:  # fmt: skip
    spec = ",".join(
        name if name in ("bm25", "lsa", "ngrams") else f"run:{base / name}.trec" for name in names.split(",")
    )
    given = {"source.src": src or f"beir:{base / 'set'}", "source.lang": None if src else "en", "retriever.use": spec}
    given |= {key.replace("__", "."): value for key, value in more.items()}
    recipe = build.compose(None, given, settings, kind="prune")
    assert isinstance(recipe, pruned.PruneRecipe)
    return pruned.run_prune(recipe, folder / out, folder / "store", "local", workers, None)


def kept_ids(folder: Path, lang: str = "en") -> set[str]:
    return {row["doc_id"] for row in rows(folder, f"{lang}-corpus/*.parquet")}


def judged_ids() -> set[str]:
    return {doc for _, doc, _ in judgements()}


def ndcg(ranked: list[str], grades: dict[str, int]) -> float:
    gains = [max(0, grades.get(doc, 0)) for doc in ranked[:10]]
    best = sorted((max(0, grade) for grade in grades.values()), reverse=True)[:10]
    total = [sum(gain / math.log2(rank + 2) for rank, gain in enumerate(some)) for some in (gains, best)]
    return total[0] / total[1]


def by_hand(kept: set[str], run: Run) -> list[float]:
    """nDCG@10 of the queries with a positive, of a run without what was pruned."""
    grades: dict[str, dict[str, int]] = defaultdict(dict)
    for query, doc, grade in judgements():
        grades[query][doc] = grade
    return [
        ndcg([doc for doc in run[query] if doc in kept], grades[query])
        for query in sorted(grades)
        if any(grade > 0 for grade in grades[query].values())
    ]


def turns(some: dict[str, Run], budget: int) -> set[str]:
    """MMTEB's rule, written out."""
    kept = set(judged_ids())
    own = defaultdict(set)
    for query, doc, _ in judgements():
        own[query].add(doc)
    for query in (f"q{number}" for number in range(N_QUERIES)):
        listed, lists = set(own[query]), [list(run[query]) for run in some.values()]
        while len(listed) < budget and any(lists):
            for one in lists:
                while one and one[0] in listed:
                    one.pop(0)
                if one and len(listed) < budget:
                    listed.add(one.pop(0))
        kept |= listed
    return kept


def first_ranks(some: dict[str, Run], depth: int) -> set[str]:
    """MIRACL-VISION's rule, written out; a query without a positive asks for nothing."""
    return judged_ids() | {
        doc for run in some.values() for query in run if query != "unanswered" for doc in run[query][:depth]
    }


def test_the_rules_keep_what_they_say(base: Path, tmp_path: Path) -> None:
    found = prune(base, tmp_path, prune__rule="miracl-vision", prune__depth=2)
    assert kept_ids(tmp_path / "out") == first_ranks(runs(), 2)
    assert {row["doc_id"] for row in rows(tmp_path / "out", "dropped/en-corpus*")} == set(documents()) - first_ranks(
        runs(), 2
    )
    held = found["certificate"]["en"]["documents"]
    assert (held["whole"], held["kept"], held["judged"]) == (N_DOCS, len(first_ranks(runs(), 2)), len(judged_ids()))
    assert held["unjudged_factor"] == pytest.approx(
        (N_DOCS - held["judged"]) / (held["kept"] - held["judged"]), abs=1e-5
    )
    prune(base, tmp_path, prune__rule="mmteb", prune__depth=12, out="mmteb")
    assert kept_ids(tmp_path / "mmteb") == turns(runs(), 12)
    # By default a question of an English set keeps 100 ranks.
    prune(base, tmp_path, prune__rule="miracl-vision", out="default", names="first")
    assert kept_ids(tmp_path / "default") == first_ranks({"first": runs()["first"]}, 100)


def test_the_certificate_is_what_the_rankings_say(base: Path, tmp_path: Path) -> None:
    one = prune(base, tmp_path, prune__rule="miracl-vision", prune__depth=2)["certificate"]["en"]
    kept = kept_ids(tmp_path / "out")
    whole = {name: by_hand(set(documents()), run) for name, run in runs().items()}
    after = {name: by_hand(kept, run) for name, run in runs().items()}
    for name, scores in one["retrievers"].items():
        plain = name.removeprefix("run:")
        assert scores["whole"] == pytest.approx(np.mean(whole[plain]), abs=1e-6)
        assert scores["kept"] == pytest.approx(np.mean(after[plain]), abs=1e-6)
        assert scores["inflation"]["value"] == pytest.approx(np.mean(after[plain]) - np.mean(whole[plain]), abs=1e-6)
        # Left out: the same rule without it; a run that is fitted again is the run without what was pruned.
        others = {other: run for other, run in runs().items() if other != plain}
        left = np.mean(by_hand(first_ranks(others, 2), runs()[plain]))
        assert scores["left_out"] == pytest.approx(left, abs=1e-6)
        assert scores["pool_bias"]["value"] == pytest.approx(left - np.mean(after[plain]), abs=2e-6)
        assert scores["refitted"] == scores["kept"]
        assert scores["inflation"]["low"] <= scores["inflation"]["value"] <= scores["inflation"]["high"]
    means = [[np.mean(scores) for scores in some.values()] for some in (whole, after)]
    assert one["tau"]["value"] == pytest.approx(stats.kendalltau(*means).statistic, abs=1e-6)
    assert one["tau"]["low"] <= one["tau"]["value"] <= one["tau"]["high"]
    assert one["queries"] == N_QUERIES
    assert one["pairs"]["all"] == 6
    assert sum(group["queries"] for group in one["depth"]) == N_QUERIES
    depths = []
    for query in (f"q{number}" for number in range(N_QUERIES)):
        depths.append(
            min(
                next((rank for rank, doc in enumerate(run[query][:100]) if doc not in kept), 100)
                for run in runs().values()
            )
        )
    assert sum(group["queries"] * group["mean_depth"] for group in one["depth"]) == pytest.approx(sum(depths), abs=1e-4)


def test_nothing_that_is_judged_goes_and_verify_computes_the_certificate_again(base: Path, tmp_path: Path) -> None:
    prune(base, tmp_path, prune__target_tau=0.9)
    folder = tmp_path / "out"
    kept = {(row["query_id"], row["doc_id"], row["relevance"]) for row in rows(folder, "en-qrels/*")}
    assert kept == set(judgements())
    assert judged_ids() <= kept_ids(folder)
    code, out, err = cli("verify", folder)
    assert code == 0, out + err
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["findings"]["certificate"]["en"]["tau"]["value"] = 0.123
    path.write_text(json.dumps(manifest, indent=1, ensure_ascii=False, sort_keys=True) + "\n", "utf-8")
    code, out, err = cli("verify", folder)
    assert code != 0
    assert "another tau" in out + err


def test_a_target_keeps_retrievers_comparable(base: Path, tmp_path: Path) -> None:
    found = prune(base, tmp_path, prune__target_tau=1.0)["certificate"]["en"]
    assert found["tau"]["value"] == 1.0
    assert all(one["value"] == 1.0 for one in found["stop"]["path"][1:])
    assert found["documents"]["kept"] < N_DOCS
    low = prune(base, tmp_path, "prune.bound=low", prune__target_tau=1.0, out="low")["certificate"]["en"]
    assert low["tau"]["low"] == 1.0
    assert low["documents"]["kept"] >= found["documents"]["kept"]


def test_the_whole_order_changes_no_score() -> None:
    ids = documents()
    place = {name: number for number, name in enumerate(ids)}
    hits = {
        name: np.array([[place[doc] for doc in run[f"q{q}"]] for q in range(N_QUERIES)]) for name, run in runs().items()
    }
    judged = [(int(q[1:]), place[doc], grade) for q, doc, grade in judgements() if q != "unanswered"]
    columns = (np.array([one[side] for one in judged]) for side in range(3))
    pool = kept_documents.Pool.of(hits, len(ids), *columns)
    order = kept_documents.balanced(pool)
    assert sorted(order[(order > 0) & (order < kept_documents.NEVER)]) == list(
        range(1, int((order < kept_documents.NEVER).sum() - (order == 0).sum()) + 1)
    )
    everything = pool.scores(np.ones(len(ids), bool))
    np.testing.assert_allclose(pool.scores(order < kept_documents.NEVER), everything, atol=1e-9)
    assert (order == kept_documents.NEVER).any(), "some documents matter to no score"
    # What comes in is for the retriever that gained most so far.
    gains = [(pool.scores(order <= level) - everything).mean(axis=0) for level in range(0, 12)]
    assert all(np.ptp(gain) <= np.ptp(gains[0]) + 1e-9 for gain in gains[-3:])


def test_a_size_is_not_exceeded(base: Path, tmp_path: Path) -> None:
    for rule in ("target", "mmteb", "miracl-vision"):
        prune(base, tmp_path, prune__rule=rule, prune__target_size=110, out=rule)
        assert len(kept_ids(tmp_path / rule)) <= 110
    assert len(kept_ids(tmp_path / "target")) >= 100
    with pytest.raises(RecipeError, match="judged documents are never pruned"):
        prune(base, tmp_path, prune__target_size=20, out="small")


def test_queries_are_sampled_and_take_their_judgements_along(base: Path, tmp_path: Path) -> None:
    prune(base, tmp_path, "prune.queries=4", prune__rule="mmteb", prune__depth=12)
    folder = tmp_path / "out"
    asked = {row["query_id"] for row in rows(folder, "en-queries/*")}
    assert len(asked) == 4
    assert {row["query_id"] for row in rows(folder, "en-qrels/*")} == asked
    assert {doc for query, doc, _ in judgements() if query in asked} <= kept_ids(folder)
    assert cli("verify", folder)[0] == 0
    prune(base, tmp_path, "prune.queries=4", prune__rule="mmteb", prune__depth=12, seed=9, out="other")
    assert {row["query_id"] for row in rows(tmp_path / "other", "en-queries/*")} != asked


@pytest.mark.parametrize(("stayed", "said"), [(0, "none kept"), (4, "5.0x")])
def test_how_many_unjudged_documents_stayed_is_shown(
    stayed: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    held = {
        "whole": 30,
        "kept": 10 + stayed,
        "factor": 3.0,
        "unjudged": 20,
        "unjudged_kept": stayed,
        "unjudged_factor": 5.0 if stayed else None,
    }
    unknown = {"value": None, "low": None, "high": None}
    one = {
        "documents": held,
        "metric": "ndcg@10",
        "retrievers": {},
        **dict.fromkeys(("tau", "tau_ap", "left_out_tau", "refitted_tau"), unknown),
    }
    print_pruned({"certificate": {"en": one}, "release": "out"})
    assert said in capsys.readouterr().out


def test_where_everything_is_judged_nothing_can_be_pruned(tmp_path: Path) -> None:
    docs = [(str(i), "", f"text {i} of word{i}") for i in range(20)]
    judged = [(f"q{i % 5}", str(i), 1) for i in range(20)]
    write_set(tmp_path / "set", docs, {f"q{i}": f"word{i}" for i in range(5)}, {"test": judged})
    found = prune(tmp_path, tmp_path, names="bm25,ngrams", prune__target_tau=0.9)
    assert found["certificate"]["en"]["documents"]["unjudged_factor"] is None
    assert len(kept_ids(tmp_path / "out")) == 20
    assert any("nothing can be pruned" in note for note in found["notes"])


def test_texts_are_searched_again_on_what_stayed(base: Path, tmp_path: Path) -> None:
    one = prune(base, tmp_path, names="bm25,ngrams,lsa", prune__target_size=len(judged_ids()) + 2)["certificate"]["en"]
    assert any(scores["refitted"] != scores["kept"] for scores in one["retrievers"].values())
    without = prune(
        base,
        tmp_path,
        "prune.refit=false",
        names="bm25,ngrams,lsa",
        prune__target_size=len(judged_ids()) + 2,
        out="without",
    )["certificate"]["en"]
    assert without["refitted_tau"]["value"] is None
    assert without["tau"] == one["tau"]
    assert cli("verify", tmp_path / "without")[0] == 0


def test_the_same_bytes_for_any_workers(base: Path, tmp_path: Path) -> None:
    made = []
    for workers in (1, 3):
        folder = tmp_path / str(workers)
        folder.mkdir()
        prune(base, folder, names="bm25,ngrams", prune__target_tau=0.9, workers=workers)
        made.append(digests(folder / "out"))
    assert made[0] == made[1]


def test_languages_decide_for_themselves_or_follow_one(tmp_path: Path) -> None:
    source = write_set(tmp_path / "source")
    assert cli(*translate(tmp_path, source, write_memory(tmp_path / "memory.tsv")))[0] == 0
    src = f"release:{tmp_path / 'out'}"
    prune(tmp_path, tmp_path, names="bm25,lsa", src=src, out="own", prune__rule="miracl-vision", prune__depth=1)
    prune(
        tmp_path,
        tmp_path,
        "prune.decide=en",
        names="bm25,lsa",
        src=src,
        out="all",
        prune__rule="miracl-vision",
        prune__depth=1,
    )
    for lang in ("hi", "ta"):
        before = {row["doc_id"] for row in rows(tmp_path / "out", f"{lang}-corpus/*")}
        judged = {row["doc_id"] for row in rows(tmp_path / "out", f"{lang}-qrels/*")}
        assert kept_ids(tmp_path / "all", lang) == (kept_ids(tmp_path / "all") | judged) & before
        assert judged <= kept_ids(tmp_path / "own", lang)
    assert cli("verify", tmp_path / "all")[0] == cli("verify", tmp_path / "own")[0] == 0


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({}, "goes to a target"),
        ({"prune__target_tau": 0.9, "prune__target_size": 9}, "give one"),
        ({"prune__target_tau": 1.5}, "target_tau"),
        ({"prune__rule": "mmtb"}, "mmteb"),
        ({"prune__target_tau": 0.9, "names": "first"}, "alone has no ranking"),
        ({"prune__target_tau": 0.9, "names": "first,bm25", "settings": ["prune.decide=xx"]}, "xx"),
    ],
)
def test_what_cannot_be_meant_is_told_before_work(
    base: Path, tmp_path: Path, change: dict[str, Any], wanted: str
) -> None:
    settings = change.pop("settings", [])
    with pytest.raises((RecipeError, UnknownName), match=wanted):
        prune(base, tmp_path, *settings, **change)
    assert not (tmp_path / "out").exists()


def test_a_set_without_positives_is_one_line(tmp_path: Path) -> None:
    write_set(tmp_path / "set", [("1", "", "a text"), ("2", "", "b text")], {"q": "text"}, {"test": [("q", "1", 0)]})
    with pytest.raises(SourceError, match="no query has a positive"):
        prune(tmp_path, tmp_path, names="bm25,ngrams", prune__target_tau=0.9)


def test_the_command_its_json_recipe_and_page(base: Path, tmp_path: Path) -> None:
    command = ["prune", "--src", f"beir:{base / 'set'}", "--lang", "en", "--retriever", "bm25,ngrams,rrf:bm25+ngrams", "--target-tau", "0.9",
               "--out", tmp_path / "out", "--store", tmp_path / "store"]  # fmt: skip
    code, out, err = cli(*command, "--format", "json")
    assert code == 0, err
    one = json.loads(out)["certificate"]["en"]
    assert one["documents"]["factor"] >= 1
    assert one["retrievers"]["rrf:bm25+ngrams"]["left_out"] is None, "its parts are in the pool"
    assert one["left_out_tau"]["value"] is not None
    assert "few" in one["said"]
    assert "tau" in cli(*command)[1]
    text = (tmp_path / "out" / "recipe.yaml").read_text("utf-8")
    again = tmp_path / "again.yaml"
    again.write_text(text.replace("beir:set", f"beir:{base / 'set'}"), "utf-8")
    assert cli("run", again, "--out", tmp_path / "again", "--store", tmp_path / "store")[0] == 0
    assert digests(tmp_path / "again") == digests(tmp_path / "out")
    assert cli("report", tmp_path / "out", "--out", tmp_path / "page.html")[0] == 0
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "Pruning certificate" in page
    assert "Pruning certificate" in (tmp_path / "out" / "README.md").read_text("utf-8")
    assert (
        cli(
            "release",
            tmp_path / "out",
            "--name",
            "small",
            "--version",
            "1.0.0",
            "--license",
            "cc0-1.0",
            "--out",
            tmp_path / "released",
        )[0]
        == 0
    )
    assert cli("verify", tmp_path / "released" / "1.0.0")[0] == 0


def test_a_certificate_says_how_wide_it_is() -> None:
    assert "0.07" in said(8, 400)
    assert "few" not in said(8, 400)
    assert "interval is wide" in said(8, 40)
    assert "needs two" in said(1, 400)


DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


@pytest.mark.skipif(not (DATA / "retrieval" / "cranfield").is_dir(), reason="needs the data beside the project")
def test_cranfield_by_retrievers_without_training(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "bench/pruning.py", "--quick", "--format", "json"], capture_output=True, text=True, check=True,
        cwd=Path(__file__).resolve().parent.parent, env={**os.environ, "PYTHONPATH": "."},
    )  # fmt: skip
    found = json.loads(done.stdout)
    target = found["cranfield"]["target, tau 0.9"]
    assert target["tau"]["value"] >= 0.9
    assert target["unjudged_factor"] >= 3
    assert found["xquad"]["unjudged_factor"] is None
    assert found["xquad"]["kept"] == found["xquad"]["judged"] == 240
