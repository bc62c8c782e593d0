"""False negatives of rules on real sets: the baselines, the frontier of the calibrated rule, and a judge's sample under sparse labels.

    .venv/bin/python bench/negatives.py [--sets cranfield,news-en,articles-hi,…] [--draws 20] [--depth 500] [--runs 200]

Cranfield is the set of the reference numbers. `news-LANG` (NTREX: the first two sentences of an article ask for the others) and
`articles-LANG` (XQuAD: a question asks for every paragraph of its article) are made here, for sets of other shapes and languages.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from dsbuild import parquet, run
from dsbuild.builders import build
from dsbuild.builders.mining import measured, mined
from dsbuild.builders.mining.judged_interval import Answered, interval, planned
from dsbuild.builders.mining.judged_sample import allocated
from dsbuild.graph import Input
from dsbuild.store import Store

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
Rows = list[tuple[str, str]]
Judged = list[tuple[str, str, int]]
NEWS = {
    "en": "src.eng",
    "hi": "ref.hin",
    "ja": "ref.jpn",
    "de": "ref.deu",
    "es": "ref.spa",
    "ta": "ref.tam",
    "zh": "ref.zho-CN",
}
BASELINES: list[tuple[str, str, list[str]]] = [
    ("naive top 4", "naive", []),
    ("random 4 of top 10", "naive", ["rule.pool=10", "rule.sampling=random"]),
    ("skip 10, next 4", "shifted", []),
    ("random 4 of ranks 10-110", "random", ["rule.window=10-110"]),
    ("MarginPos 0.05", "marginpos", []),
    ("PercPos 95%", "percpos", []),
    ("PercPos 90%", "percpos", ["rule.percent=0.9"]),
    ("PercPos 80%", "percpos", ["rule.percent=0.8"]),
    ("PercPos 95%, then skip 10", "percpos", ["rule.skip=10"]),
]  # fmt: skip
RANKS = (6, 10, 13, 18, 23, 30, 60)
TARGETS = (0.01, 0.02, 0.03, 0.05, 0.1)


def lines(path: Path) -> list[str]:
    """The lines of a gzip file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file]


def cranfield() -> tuple[Rows, Rows, Judged]:
    """Queries are named by their ordinal, as the judgements name them; a grade above 0 is relevant."""
    folder = DATA / "retrieval" / "cranfield"

    def records(name: str) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        field = ""
        for line in lines(folder / name):
            if line.startswith(".I"):
                found.append({"I": line[2:].strip()})
            elif re.match(r"\.[TABW]\s*$", line):
                field = line[1]
            else:
                found[-1][field] = f"{found[-1].get(field, '')}{line}\n"
        return found

    docs = [(one["I"], f"{one.get('T', '')}{one.get('W', '')}") for one in records("cran.all.1400.gz")]
    queries = [(str(place), one["W"]) for place, one in enumerate(records("cran.qry.gz"), 1)]
    judged = {(q, d): int(grade) for q, d, grade in (line.split()[:3] for line in lines(folder / "cranqrel.gz"))}
    return docs, queries, [(q, d, grade) for (q, d), grade in judged.items()]


def news(lang: str) -> tuple[Rows, Rows, Judged]:
    """Sentences of news articles."""
    folder = DATA / "parallel" / "ntrex"
    articles = defaultdict(list)
    for row, (article, text) in enumerate(
        zip(lines(folder / "DOCUMENT_IDS.tsv.gz"), lines(folder / f"newstest2019-{NEWS[lang]}.txt.gz"), strict=True)
    ):
        articles[article.strip()].append((str(row), text))
    docs: Rows = []
    queries: Rows = []
    judged: Judged = []
    for rows in articles.values():
        if len(rows) < 4:
            continue
        queries += rows[:2]
        docs += rows[2:]
        judged += [(query, doc, 1) for query, _ in rows[:2] for doc, _ in rows[2:]]
    return docs, queries, judged


def articles(lang: str) -> tuple[Rows, Rows, Judged]:
    """Paragraphs of encyclopedia articles."""
    found = json.loads("\n".join(lines(DATA / "projection" / "xquad" / f"xquad.{lang}.json.gz")))["data"]
    docs: Rows = []
    queries: Rows = []
    judged: Judged = []
    for number, article in enumerate(found):
        own = [(f"{number}-{part}", one["context"]) for part, one in enumerate(article["paragraphs"])]
        docs += own
        for one in article["paragraphs"]:
            for asked in one["qas"]:
                queries.append((asked["id"], asked["question"]))
                judged += [(asked["id"], doc, 1) for doc, _ in own]
    return docs, queries, judged


def write(folder: Path, docs: Rows, queries: Rows, judged: Judged) -> Path:
    """A set in the layout of BEIR."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    for name, rows in (("corpus", docs), ("queries", queries)):
        said = [json.dumps({"_id": key, "text": text}, ensure_ascii=False) for key, text in rows]
        (folder / f"{name}.jsonl").write_text("\n".join(said) + "\n", "utf-8")
    said = ["query-id\tcorpus-id\tscore", *(f"{query}\t{doc}\t{grade}" for query, doc, grade in judged)]
    (folder / "qrels" / "test.tsv").write_text("\n".join(said) + "\n", "utf-8")
    return folder


def made(name: str, folder: Path) -> tuple[Path, str]:
    """The folder of a set, and its language."""
    kind, _, lang = name.partition("-")
    rows = cranfield() if kind == "cranfield" else news(lang) if kind == "news" else articles(lang)
    return write(folder / name, *rows), lang or "en"


def recipe(source: Path, lang: str, retriever: str, rule: str, settings: list[str], **more: Any) -> Any:
    """A recipe that mines."""
    given = {"source.src": f"beir:{source}", "source.lang": lang, "retriever.use": retriever, "rule.name": rule, **more}
    return build.compose(None, given, settings, kind="mine")


def table(
    name: str, source: Path, lang: str, retriever: str, store: Path, depth: int, draws: int
) -> list[dict[str, Any]]:
    """Baselines and the frontier of the calibrated rule."""
    print(f"\n## {name}, {retriever}, depth {depth}, {draws} draws\n")
    print("| rule | FN % | 95 % interval | fill % | median rank | mean | by others | ")
    print("|---|---|---|---|---|---|---|")
    rules = [(said, rule, settings, {}) for said, rule, settings in BASELINES]
    rules += [(f"calibrated, rank {rank}", "calibrated", [f"rule.rank={rank}"], {}) for rank in RANKS]
    rules += [(f"calibrated, target {target:.0%}", "calibrated", [], {"target_fn": target}) for target in TARGETS]
    found = []
    for said, rule, settings, more in rules:
        made = recipe(
            source, lang, retriever, rule, settings, **{"retriever.depth": depth, "mine.draws": draws, **more}
        )
        one = measured.run_measure(made, store, "local", 1, None)
        others = ", ".join(f"{other} {rank}" for other, rank in one["median_ranks"].items() if other != retriever)
        share = "" if one["fn"] is None else f"{one['fn']:.2%}"
        print(
            f"| {said} | {share} | {one['fn_low']:.2%} to {one['fn_high']:.2%} | {one['fill'] or 0:.1%} | {one['median_rank']} | "
            f"{one['mean_rank'] or 0:.1f} | {others} |",
            flush=True,
        )
        found.append({"said": said, **one})
    compare(found)
    return found


def compare(found: list[dict[str, Any]]) -> None:
    """Against each baseline the calibrated row that is at least as hard and has the fewest false negatives."""
    ours = [one for one in found if one["rule"] == "calibrated"]
    for one in found:
        if one["rule"] != "calibrated":
            fair = [mine for mine in ours if mine["median_rank"] <= one["median_rank"] and mine["fill"] >= 0.98]
            best = min(fair, key=lambda mine: mine["fn"], default=None)
            said = f"{best['fn']:.2%} at rank {best['median_rank']}" if best else "none as hard in the table"
            print(f"- {one['said']} ({one['fn']:.2%} at rank {one['median_rank']}): calibrated {said}")


def judged(folder: Path, store: Path, runs: int, budget: int = 100) -> None:
    """Cranfield with one positive a query: a judge who knows all positives answers `budget` times; coverage and half-width of the interval."""
    docs, queries, said = cranfield()
    draw = np.random.default_rng(0)
    positives = defaultdict(list)
    for query, doc, grade in sorted(said):
        if grade > 0:
            positives[query].append(doc)
    kept = [(query, own[draw.integers(len(own))], 1) for query, own in sorted(positives.items())]
    truth = {(query, doc) for query, own in positives.items() for doc in own}
    source = write(folder / "sparse", docs, queries, kept)
    print(f"\n## One positive a query, {budget} judgements, {runs} runs\n")
    print(
        "| retriever | rule | negatives | true FN % | coverage | half-width, mean | largest "
        "| simple sample | best allocation | planned | judgements for 5 |\n|---|---|---|---|---|---|---|---|---|---|---|"
    )
    for retriever in ("bm25", "lsa"):
        for name, rule, settings in BASELINES:
            if name not in (
                "naive top 4",
                "skip 10, next 4",
                "random 4 of ranks 10-110",
                "PercPos 95%",
                "PercPos 95%, then skip 10",
            ):
                continue
            mining = mined.prepare(recipe(source, "en", retriever, rule, settings, **{"mine.draws": 0}), store)
            nodes = measured.needed([*mining.nodes, *measured.sample_nodes(mining, 10**6)], ["sample.en"])
            progress = run.run(nodes, Store(store), "sparse", build.executors.make("local", 1), None)
            rows = parquet.read(progress.shards(Input("sample.en"))[0].path)
            relevant = np.array(
                [pair in truth for pair in zip(rows["query_id"].to_pylist(), rows["doc_id"].to_pylist(), strict=True)]
            )
            stratum = rows["stratum"].to_numpy()
            sizes = np.bincount(stratum)
            guesses = np.bincount(stratum, rows["guess"].to_numpy()) / sizes
            wanted = allocated(sizes, budget)
            inside, widths = 0, []
            for seed in range(runs):
                draw = np.random.default_rng(seed)
                hits = [
                    int(relevant[draw.choice(np.flatnonzero(stratum == one), wanted[one], replace=False)].sum()) for one in range(len(sizes))
                ]  # fmt: skip
                _, low, high = interval(Answered(sizes.tolist(), wanted.tolist(), hits, guesses.tolist()))
                inside += low <= relevant.mean() <= high
                widths.append((high - low) / 2)
            share = float(relevant.mean())
            simple, best = bounds(relevant, stratum, budget)
            half, five = planned(sizes.tolist(), wanted.tolist(), guesses.tolist(), share)
            print(
                f"| {retriever} | {name} | {len(rows)} | {share:.1%} | {inside / runs:.1%} | {np.mean(widths):.1%} | {max(widths):.1%} | "
                f"{simple:.1%} | {best:.1%} | {half:.1%} | {five} |",
                flush=True,
            )


def bounds(relevant: Any, stratum: Any, budget: int) -> tuple[float, float]:
    """Half-widths (1.96 standard errors, finite) of a simple sample, and of these strata if their rates were known (Neyman's allocation)."""
    rates = np.bincount(stratum, relevant) / np.bincount(stratum)
    weights, spread = np.bincount(stratum) / len(stratum), np.sqrt(rates * (1 - rates))
    simple = relevant.var() * (1 / budget - 1 / len(relevant))
    best = (weights * spread).sum() ** 2 / budget - (weights * spread**2).sum() / len(relevant)
    return float(1.96 * np.sqrt(simple)), float(1.96 * np.sqrt(max(0.0, best)))


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default="cranfield,news-en,news-hi,news-ja,articles-en,articles-hi")
    parser.add_argument("--retrievers", default="bm25,lsa")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--depth", type=int, default=500)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--only", choices=["table", "judged"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder, store = Path(place), Path(place) / "store"
        if options.only != "table":
            judged(folder, store, options.runs)
        if options.only == "judged":
            return
        for name in options.sets.split(","):
            source, lang = made(name, folder)
            for retriever in options.retrievers.split(","):
                table(name, source, lang, retriever, store, options.depth, options.draws)


if __name__ == "__main__":
    main()
