"""A small mined release in three languages, written straight from lists, with everything that is awkward for a loader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from dsbuild import release
from dsbuild.tables import SCHEMAS

LANGS = ("en", "hi", "mr")
WORDS = {"en": ("river", "bridge"), "hi": ("नदी", "पुल"), "mr": ("नदी", "पूल")}
# query: positives with grades, explicit zeros, negatives. q4 has too few negatives, q5 none, q6 no positive, q7 is judged in train alone.
JUDGED: dict[str, dict[str, int]] = {
    "q1": {"d0": 2, "d1": 1, "d2": 0}, "q2": {"d3": 1}, "q10": {"d4": 1}, "q4": {"d5": 1}, "q5": {"d6": 1}, "q6": {"d7": 0},
}  # fmt: skip
MINED = {"q1": ["d4", "d5", "d3"], "q2": ["d0", "d1", "d9"], "q10": ["d8", "d9", "d0"], "q4": ["d0"]}
NEGATIVES = pa.schema(
    [*(one for one in SCHEMAS["negatives"] if one.name != "split"), pa.field("retriever", pa.string())]
)


def text(lang: str, number: int) -> str:
    """A passage with what breaks lines, columns and naive JSON."""
    return f'{WORDS[lang][0]} {number}\tby the "{WORDS[lang][1]}"\r\nline two\u2028end'


def rows(lang: str) -> dict[str, Any]:
    """The tables of a language."""
    corpus = [
        {"doc_id": f"d{i}", "title": f"{WORDS[lang][1]} {i}" if i % 2 else "", "text": text(lang, i), "lang": lang, "source": "made",
         "group_id": f"d{i}"}
        for i in range(10)
    ]  # fmt: skip
    queries = [
        {"query_id": query, "text": f"{WORDS[lang][0]} {query}?", "lang": lang, "source": "made", "origin": "human"}
        for query in JUDGED
    ]
    train = [{**queries[0], "query_id": "q7", "text": f"{WORDS[lang][0]} q7"}]
    qrels = [
        {"query_id": query, "doc_id": doc, "relevance": grade, "judge": "source"}
        for query, grades in JUDGED.items()
        for doc, grade in grades.items()
    ]
    negatives = [
        {
            "query_id": query,
            "doc_id": doc,
            "rule": "naive",
            "rank": rank,
            "score": 1.5 - rank / 8,
            "anchor_score": 2.5,
            "retriever": "bm25",
        }
        for query, docs in MINED.items()
        for rank, doc in enumerate(docs, 1)
    ]
    candidates = [
        {"query_id": query, "doc_id": doc, "retriever": retriever, "rank": rank, "score": scale * (2.0 - rank / 8)}
        for retriever, scale in (("bm25", 1.0), ("rrf:bm25+lsa", 0.01))
        for query, docs in MINED.items()
        # The positive of q2 was not returned: its score is the anchor.
        for rank, doc in enumerate(
            [*(one for one, grade in JUDGED[query].items() if grade and query != "q2"), *docs], 1
        )
    ]
    return {
        f"{lang}-corpus": {"corpus": corpus},
        f"{lang}-queries": {"test": queries, "train": train},
        f"{lang}-qrels": {
            "test": qrels,
            "train": [{"query_id": "q7", "doc_id": "d9", "relevance": 1, "judge": "source"}],
        },
        f"{lang}-negatives": {
            "test": negatives,
            "train": [{**negatives[0], "query_id": "q7", "doc_id": f"d{i}", "rank": i + 1} for i in range(3)],
        },
        f"{lang}-candidates": {"candidates": candidates},
    }


def write(out: Path, langs: tuple[str, ...] = LANGS, leave_out: tuple[str, ...] = ()) -> Path:
    """The release; leave_out: configurations that it lacks."""
    parts = []
    for config, splits in ((name, one) for lang in langs for name, one in rows(lang).items()):
        lang, _, table = config.rpartition("-")
        schema = (
            NEGATIVES if table == "negatives" else pa.schema([one for one in SCHEMAS[table] if one.name != "split"])
        )
        for split, found in splits.items() if config not in leave_out else ():
            made = pa.Table.from_pylist(found, schema)
            parts.append(release.Part(config, split, schema, len(found), [made], config, table, lang))
    facts = {
        "name": "made", "version": "0.0.0-draft", "dsbuild": "0", "recipe": {"build": "mine"}, "engines": {}, "accounting": {}, "build_key": out.name,
        "source": {"name": "made", "lang": "en", "license": "cc-by-4.0", "revision": None, "citation": None, "url": None, "evaluation": False},
    }  # fmt: skip
    release.write(out, parts, facts, lambda manifest, written: {"README.md": "made\n"})
    return out
