"""What `dsbuild evaluate retrieval` found of a release, as a file beside it, and as a release keeps it; sections of report and datasheet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsbuild.builders.evaluation import findings

RETRIEVAL = "retrieval.json"
_NAMES = {"ndcg": "nDCG", "mrr": "MRR", "recall": "recall"}
_KEYS = ("name", "build_key", "source_lang", "k", "depth", "retrievers", "languages", "notes")
_MOST_ROWS = 200


def beside(folder: Path) -> Path:
    """Where the measurement of a release lies: beside the folder, since a release is not changed."""
    return findings.beside(folder, RETRIEVAL)


def held(folder: Path, build_key: str) -> dict[str, Any] | None:
    """The measurement in a release, else that of the same build beside it; None where there is none, or only of other builds."""
    if (folder / RETRIEVAL).is_file():
        return load(folder / RETRIEVAL)
    paths = [beside(folder), folder.resolve().parent / RETRIEVAL]
    return next((one for path in paths if path.is_file() and (one := load(path))["build_key"] == build_key), None)


def load(path: Path) -> dict[str, Any]:
    """The measurement in a file; `ReleaseError` for a file that is none."""
    return findings.load(path, _KEYS, sections, "dsbuild evaluate retrieval")


def sections(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Tables for people: scores by language, damaged queries, terminology splits; those that have rows."""
    return [one for one in (_scores(found), _damaged(found), _splits(found)) if one["table"]["rows"]]


def _scores(found: Mapping[str, Any]) -> dict[str, Any]:
    k, src = found["k"], found["source_lang"]
    columns = [
        "language",
        "retriever",
        "queries",
        *(f"{name}@{k}" for name in _NAMES.values()),
        f"change of MRR@{k}",
        "from",
        "to",
        "alarm",
    ]
    columns += ["damaged queries"]
    rows = []
    for lang, one in found["languages"].items():
        dropped = {drop["retriever"] for drop in one["drops"]}
        for name, scores in one["retrievers"].items():
            change = (scores.get("change") or {}).get("mrr", {})
            row = [lang, name, one["queries"], *(scores[metric] for metric in _NAMES)]
            row += [change.get(end) for end in ("mean", "low", "high")] + ["drop" if name in dropped else ""]
            rows.append([*row, one.get("damage", {}).get("alarms")])
    text = (
        f"First stages over the judged queries of each language. Changes are against {src}, query by query, with 95 % bootstrap intervals; "
        "an interval that lies wholly below -0.05 alarms. " + " ".join(f"{note}." for note in found["notes"])
    )
    return {"title": "Retrieval by language", "text": text.strip(), "table": {"columns": columns, "rows": rows}}


def _damaged(found: Mapping[str, Any]) -> dict[str, Any]:
    columns = [
        "language",
        "query",
        "document",
        "side",
        "signs",
        "rank by bm25",
        "in the source",
        "rank by lsa",
        "in the source ",
    ]
    rows = [
        [lang, row["query_id"], row["doc_id"], row["side"], ", ".join(row["reasons"]).replace("_", " "), *(
            row[name] for name in ("rank_bm25", "rank_bm25_source", "rank_lsa", "rank_lsa_source")
        )]
        for lang, one in found["languages"].items()
        for row in one.get("damage", {}).get("damaged", ())
    ]  # fmt: skip
    text = "Queries whose translation, or that of a relevant passage, does not fit its source. Rank 101 stands for all beyond 100."
    return {
        "title": "Damaged queries",
        "text": _some(text, rows),
        "table": {"columns": columns, "rows": rows[:_MOST_ROWS]},
    }


def _splits(found: Mapping[str, Any]) -> dict[str, Any]:
    columns = ["language", "query", "document", "term", "in the query", "in the passage", "usually"]
    names = ("query_id", "doc_id", "term", "in_query", "in_passage", "usual")
    rows = [
        [lang, *(row[name] for name in names)]
        for lang, one in found["languages"].items()
        for row in one.get("damage", {}).get("splits", ())
    ]
    text = (
        "Terms that the translations of a query and of its passage render in two ways; words are folded. "
        "Nothing on one side: the usual word is lacking there, and may be left out."
    )
    return {
        "title": "Terminology splits",
        "text": _some(text, rows),
        "table": {"columns": columns, "rows": rows[:_MOST_ROWS]},
    }


def _some(text: str, rows: list[Any]) -> str:
    return text if len(rows) <= _MOST_ROWS else f"{text} The first {_MOST_ROWS} of {len(rows):,}."
