"""What `--parallel` cost, counted again from the rows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dsbuild import release
from dsbuild.builders.releases.parallel_losses import losses
from tests.small_set import MARKET, QRELS, TRAIN, WATER, WOOL, make, rows, write_memory, write_set


@pytest.mark.parametrize("source_tables", [True, False])
def test_losses_are_those_of_the_rows(tmp_path: Path, source_tables: bool) -> None:
    memory = write_memory(tmp_path / "memory.tsv", missing={"hi": [MARKET, WOOL], "ta": [TRAIN, WOOL], "mr": [WATER]})
    source = write_set(tmp_path / "set", qrels={"train": QRELS})
    langs = ("hi", "ta", "mr")
    settings = [] if source_tables else ["release.source_tables=false"]
    built = make(tmp_path, source, memory, langs, settings, parallel=True)
    out = tmp_path / "out"
    found = losses(out, built.manifest)
    assert found is not None

    kept = {row["doc_id"] for row in rows(out, "hi-corpus/*")}
    lost = {lang: {row["doc_id"] for row in rows(out, f"dropped/{lang}-corpus-*")} for lang in langs}
    verdicts = rows(out, "dropped/verdicts-*")
    own = {
        lang: {
            row["id"]
            for row in verdicts
            if row["lang"] == lang and row["table"] == "corpus" and row["rule"] != "parallel"
        }
        & lost[lang]
        for lang in langs
    }
    assert len({frozenset(one) for one in lost.values()}) == 1
    assert any(own.values())
    for lang in langs:
        said = found["tables"]["corpus"]["languages"][lang]
        others = set().union(*(own[other] for other in langs if other != lang))
        assert said == {"own": len(own[lang]), "others": len(lost[lang] - own[lang]), "sole": len(own[lang] - others)}

    lengths = found["tables"]["corpus"]["lengths"]
    assert sum(row["in"] for row in lengths) == len(kept | lost["hi"])
    assert sum(row["lost"] for row in lengths) == len(lost["hi"])
    assert found["tables"]["corpus"]["length_of"] == ("en" if source_tables else "hi")
    if source_tables:
        texts = {row["doc_id"]: row["text"] for row in rows(out, "en-corpus/*")}
        for row in lengths:
            inside = [name for name, text in texts.items() if row["from"] <= len(text) <= (row["to"] or 10**9)]
            assert (row["in"], row["lost"]) == (len(inside), sum(name in lost["hi"] for name in inside))

    stayed = Counter(row["relevance"] for row in rows(out, "hi-qrels/*"))
    came = Counter(grade for _, _, grade in QRELS)
    assert found["grades"] == {
        str(grade): {"in": came[grade], "lost": came[grade] - stayed[grade]} for grade in sorted(came, reverse=True)
    }


def test_a_set_that_was_not_made_parallel_has_none(tmp_path: Path) -> None:
    manifest: dict[str, Any] = {"recipe": {"build": "translate", "parallel": False}}
    assert losses(tmp_path, manifest) is None
    assert not (tmp_path / release.MANIFEST).exists()
