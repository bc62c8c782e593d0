"""What pruning costs: `python bench/pruning.py [--seed 0] [--seeds N] [--quick] [--format json]`.

cranfield: 40 seeded queries of Cranfield, all 1,400 documents as the pool, nine retrievers of seven kinds. The set is pruned to tau >= 0.9, and,
for comparison, by MMTEB's and MIRACL-VISION's rules and by the target's rule to the same size (a fifth of what nobody judged); each with its
certificate. Goal: 5 times fewer documents on the unjudged part with tau >= 0.9. xquad: its English paragraphs and questions, where every paragraph
answers something: nothing can be pruned. `--seeds 12` repeats the target over more draws of queries and says how often the goal is met.
Data: `../shared/data`, or `--data DIR`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dsbuild.builders import build
from dsbuild.builders.pruning import pruned

RETRIEVERS = "bm25,ngrams,lsa,words,likelihood,feedback,divergence,rrf:bm25+lsa,interleave:ngrams+words"
N_QUERIES, GOAL_TAU, GOAL_FACTOR = 40, 0.9, 5.0

Set = tuple[dict[str, str], dict[str, str], list[tuple[str, str, int]]]


def cranfield(folder: Path, seed: int) -> Set:
    """Documents, 40 of the queries that have a relevant document, and their judgements; queries are numbered in the order of their file."""
    docs = dict(_records(folder / "cran.all.1400.gz", "TW"))
    queries = {str(number): text for number, (_, text) in enumerate(_records(folder / "cran.qry.gz", "W"), 1)}
    judged = []
    with gzip.open(folder / "cranqrel.gz", "rt") as lines:
        for line in lines:
            query, doc, grade = line.split()[:3]
            # Codes 1 (a complete answer) to 4 (of minimum interest) are relevant; -1 stands at documents judged not to be.
            judged.append((query, doc, 1 if int(grade) > 0 else 0))
    relevant = sorted({query for query, _, grade in judged if grade}, key=int)
    chosen = set(random.Random(seed).sample(relevant, N_QUERIES))
    return (
        docs,
        {name: text for name, text in queries.items() if name in chosen},
        [one for one in judged if one[0] in chosen],
    )


def _records(path: Path, fields: str) -> Iterable[tuple[str, str]]:
    """Records of an SMART file: number, and the text of some fields."""
    with gzip.open(path, "rt") as lines:
        for record in re.split(r"(?m)^\.I ", lines.read())[1:]:
            number, _, body = record.partition("\n")
            parts = re.split(r"(?m)^\.([A-Z])[ ]*\n", body)
            yield (
                number.strip(),
                "\n".join(text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True) if name in fields),
            )


def xquad(path: Path) -> Set:
    """Paragraphs as documents, questions as queries."""
    docs, queries, judged = {}, {}, []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for article in json.load(file)["data"]:
            for paragraph in article["paragraphs"]:
                name = str(len(docs))
                docs[name] = paragraph["context"]
                for asked in paragraph["qas"]:
                    queries[asked["id"]] = asked["question"]
                    judged.append((asked["id"], name, 1))
    return docs, queries, judged


def write(folder: Path, data: Set) -> Path:
    """A BEIR folder."""
    docs, queries, judged = data
    (folder / "qrels").mkdir(parents=True)
    for name, rows in (("corpus", docs), ("queries", queries)):
        lines = [json.dumps({"_id": key, "text": text}, ensure_ascii=False) for key, text in rows.items()]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, one)) for one in judged)]
    (folder / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def prune(source: Path, work: Path, name: str, retrievers: str, **settings: Any) -> dict[str, Any]:
    """The certificate of one pruning; candidates are taken from the store where it has them."""
    given = {"source.src": f"beir:{source}", "source.lang": "en", "retriever.use": retrievers}
    given |= {f"prune.{key}": value for key, value in settings.items()}
    recipe = build.compose(None, given, [], kind="prune")
    assert isinstance(recipe, pruned.PruneRecipe)
    return dict(pruned.run_prune(recipe, work / name, work / "store", "local", None, None)["certificate"]["en"])


def line(one: dict[str, Any]) -> dict[str, Any]:
    """What the bench says of a certificate."""
    held, pairs = one["documents"], one["pairs"]
    inflation = [scores["inflation"]["value"] for scores in one["retrievers"].values()]
    bias = [scores["pool_bias"]["value"] for scores in one["retrievers"].values() if scores["left_out"] is not None]
    return {
        "kept": held["kept"], "judged": held["judged"], "factor": held["factor"], "unjudged_factor": held["unjudged_factor"], "tau": one["tau"],
        "tau_ap": one["tau_ap"], "pairs_kept": pairs and f"{pairs['kept']}/{pairs['significant']}",
        "rank_change": one["largest_rank_change"]["change"],
        "inflation": [min(inflation), max(inflation)], "pool_bias": [min(bias), max(bias)] if bias else None, "left_out_tau": one["left_out_tau"],
        "refitted_tau": one["refitted_tau"],
    }  # fmt: skip


def measured(data: Path, seed: int, seeds: int, *, quick: bool) -> dict[str, Any]:
    """Everything that the bench prints."""
    retrievers = "bm25,ngrams,likelihood,feedback,divergence" if quick else RETRIEVERS
    found: dict[str, Any] = {"retrievers": retrievers.split(","), "seed": seed, "cranfield": {}}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        source = write(work / f"cranfield-{seed}", cranfield(data / "retrieval" / "cranfield", seed))
        one = prune(source, work, "target", retrievers, rule="target", target_tau=GOAL_TAU)
        found["cranfield"]["target, tau 0.9"] = line(one)
        size = one["documents"]["judged"] + one["documents"]["unjudged"] // int(GOAL_FACTOR)
        for rule in ("target", "mmteb", "miracl-vision"):
            found["cranfield"][f"{rule}, a fifth"] = line(
                prune(source, work, f"{rule}-size", retrievers, rule=rule, target_size=size)
            )
        found["draws"] = []
        for other in range(seeds):
            source = write(work / f"draw-{other}", cranfield(data / "retrieval" / "cranfield", other))
            drawn = line(prune(source, work, f"out-{other}", retrievers, target_tau=GOAL_TAU))
            found["draws"].append(
                {
                    "seed": other,
                    **{name: drawn[name] for name in ("unjudged_factor", "tau", "left_out_tau", "refitted_tau")},
                }
            )
        found["reached"] = sum(
            one["unjudged_factor"] >= GOAL_FACTOR and one["tau"]["value"] >= GOAL_TAU for one in found["draws"]
        )
        path = data / "projection" / "xquad" / "xquad.en.json.gz"
        found["xquad"] = line(
            prune(write(work / "xquad", xquad(path)), work, "xquad-out", "bm25,ngrams,likelihood", target_tau=GOAL_TAU)
        )
    return found


def show(found: dict[str, Any]) -> None:
    """The table for people."""
    print(
        f"{len(found['retrievers'])} retrievers: {', '.join(found['retrievers'])}; queries drawn by seed {found['seed']}"
    )
    for name, one in [*found["cranfield"].items(), ("XQuAD, tau 0.9", found["xquad"])]:
        factor = (
            "nothing to prune" if one["unjudged_factor"] is None else f"{one['unjudged_factor']:.1f}x of the unjudged"
        )
        print(f"{name:24} {one['kept']:5} kept, {factor}, tau {spread(one['tau'])}, AP {spread(one['tau_ap'])}, pairs {one['pairs_kept']}, "
              f"left out {spread(one['left_out_tau'])}, refitted {spread(one['refitted_tau'])}, inflation {one['inflation'][0]:+.3f} to "
              f"{one['inflation'][1]:+.3f}" + (f", pool bias to {one['pool_bias'][1]:+.3f}" if one["pool_bias"] else ""))  # fmt: skip
    for one in found["draws"]:
        said = (
            f"{name} {spread(one[key])}" for name, key in (("left out", "left_out_tau"), ("refitted", "refitted_tau"))
        )
        print(f"seed {one['seed']}: {one['unjudged_factor']:.1f}x, tau {spread(one['tau'])}, {', '.join(said)}")
    if found["draws"]:
        print(
            f"{found['reached']} of {len(found['draws'])} draws of queries reach {GOAL_FACTOR:g}x at tau >= {GOAL_TAU}"
        )


def spread(one: dict[str, float | None]) -> str:
    """A value with its interval."""
    return "-" if one["value"] is None else f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parent.parent.parent / "shared" / "data")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    said = parser.parse_args()
    found = measured(said.data, said.seed, said.seeds, quick=said.quick)
    if said.format == "json":
        print(json.dumps(found, indent=1))
    else:
        show(found)


if __name__ == "__main__":
    main()
