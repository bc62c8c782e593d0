"""Exports as loaders read them that need an environment of their own: FlagEmbedding, PyLate, ColBERT, Tevatron.

Each row that a loader gives must be a query with a passage that was judged relevant, as counted from the release's own Parquet.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from peers import ENVIRONMENTS, NotRun, ask, environment

HERE = Path(__file__).parent
# PyLate pins libraries that are older than those of the test extra, ColBERT asks for a compiler: both are put beside the checkout's own packages.
BESIDE = {
    "pylate": ["pylate==1.6.0", "ujson==6.1.0"],
    "colbert": ["colbert-ai==0.2.22", "ujson==6.1.0", "GitPython==3.2.1", "gitdb==4.0.12", "smmap==5.0.3", "bitarray==3.12.3", "ninja==1.13.2"],
    "tevatron": ["tevatron==0.1.0"],
}  # fmt: skip
# FlagEmbedding imports modules that transformers 5 no longer has.
APART = {"flagembedding": ["torch==2.13.0+cpu", "FlagEmbedding==1.4.2", "transformers==4.57.6"]}
PACKAGES = {"flagembedding": "FlagEmbedding", "pylate": "pylate", "colbert": "colbert-ai", "tevatron": "tevatron"}


def dsbuild(*arguments: str) -> None:
    """Run a command of the checkout."""
    done = subprocess.run([sys.executable, "-m", "dsbuild", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)


def beside(name: str) -> Path:
    """The folder of packages that are put before the checkout's, made at first use."""
    folder = ENVIRONMENTS / f"loader-{name}"
    stamp, wanted = folder / "packages.txt", "\n".join(BESIDE[name]) + "\n"
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--upgrade",
            "--target",
            str(folder),
            *BESIDE[name],
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotRun(f"{name}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
        stamp.write_text(wanted, "utf-8")
    return folder


def expected(release: Path) -> tuple[set[tuple[str, str]], dict[str, str]]:
    """Query and relevant passage, texts with runs of white space as one space; and the queries."""

    def table(name: str) -> list[dict[str, Any]]:
        return [row for path in sorted((release / name).glob("*.parquet")) for row in pq.read_table(path).to_pylist()]

    docs = {row["doc_id"]: " ".join(f"{row['title']} {row['text']}".split()) for row in table("en-corpus")}
    queries = {row["query_id"]: " ".join(row["text"].split()) for row in table("en-queries")}
    return {
        (queries[row["query_id"]], docs[row["doc_id"]]) for row in table("en-qrels") if row["relevance"] > 0
    }, queries


def read(name: str, folder: Path, base: Path) -> dict[str, Any]:
    """Export for a loader and let it read."""
    out, request = (
        base / name,
        {"loader": name, "package": PACKAGES[name], "cache": str(base / "cache"), "split": "test"},
    )
    common = [str(folder), "--langs", "en", "--split", "test"]
    teacher = ["--retriever", "bm25"]
    if name == "flagembedding":
        dsbuild("export", *common, "--to", name, "--out", str(out / "plain"))
        dsbuild("export", *common, "--to", name, "--out", str(out / "scores"), "--scores", *teacher)
        request |= {"folder": str(out / "plain" / "test"), "scores": str(out / "scores" / "test")}
    elif name == "pylate":
        dsbuild("export", *common, "--to", name, "--out", str(out / "kd"), "--style", "kd", *teacher)
        dsbuild("export", *common, "--to", name, "--out", str(out / "pairs"), "--n", "1")
        tables = [("train", "test"), ("queries", "train"), ("documents", "train")]
        request |= {"kd": str(out / "kd"), "contrastive": str(out / "pairs"), "config": "en", "tables": tables}
    elif name == "colbert":
        dsbuild("export", *common, "--to", name, "--out", str(out))
        request |= {"folder": str(out)}
    else:
        dsbuild("export", *common, "--to", name, "--out", str(out), "--style", "old")
        request |= {"file": str(out / "test" / "test.jsonl")}
    if name in APART:
        return ask(environment(f"loader-{name}", APART[name]), "loaders.py", request)
    return ask(Path(sys.executable), "loaders.py", request, path=beside(name))


def main() -> None:
    """Mine the sample, export it, and ask every loader."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=sorted(PACKAGES), help="one loader")
    parser.add_argument("--format", choices=["text", "json"], default="text")
    given = parser.parse_args()
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        release = base / "mined"
        places = ("--out", str(release), "--store", str(base / "store"))
        dsbuild("mine", "--src", "msmarco-sample", "--retriever", "bm25,lsa", "--rule", "naive", *places)
        relevant, queries = expected(release)
        for name in [given.only] if given.only else PACKAGES:
            try:
                found = read(name, release, base)
            except NotRun as error:
                result[name] = {"ran": False, "reason": str(error)}
                continue
            pairs = {(" ".join(query.split()), " ".join(text.split())) for query, text in found["rows"]}
            right = pairs <= relevant and {query for query, _ in pairs} == set(queries.values())
            result[name] = {"ran": True, "version": found["version"], "rows": len(found["rows"]), "right": right}
    if given.format == "json":
        print(json.dumps(result))
    else:
        for name, one in result.items():
            print(name, " ".join(f"{key}={value}" for key, value in one.items()))
    sys.exit(0 if all(one.get("right", True) for one in result.values()) else 1)


if __name__ == "__main__":
    main()
