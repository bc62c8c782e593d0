"""What a release of spans, relations or graded pairs says of its labels, and of the models that judged: counted here by hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from dsbuild import release
from dsbuild.builders.releases.facts import compute, judges, render_croissant, render_facts
from dsbuild.builders.releases.report_sections import section
from dsbuild.cards.card import _annotations, _environment
from dsbuild.cards.datasheet import datasheet
from tests.small_releases import write

needs_mlcroissant = pytest.mark.skipif(
    importlib.util.find_spec("mlcroissant") is None, reason="mlcroissant is not installed"
)


def span(name: str, start: int, end: int, label: str) -> dict[str, Any]:
    return {"span_id": name, "start": start, "end": end, "label": label}


LABELLED: list[dict[str, Any]] = [
    {
        "id": "a", "text": "Asha lives in Pune.", "lang": "hi",
        # The place stands in two pieces.
        "spans": [span("1", 0, 4, "PER"), span("2", 14, 16, "LOC"), span("2", 16, 18, "LOC")],
        "relations": [{"head": "1", "tail": "2", "label": "lives_in"}],
    },
    {"id": "b", "text": "Rain.", "lang": "hi", "spans": [], "relations": []},
    {"id": "c", "text": "Pune and Asha.", "lang": "hi", "spans": [span("1", 0, 4, "LOC")], "relations": []},
]  # fmt: skip
PAIRS: list[dict[str, Any]] = [
    {"pair_id": str(n), "text_a": f"one {n}", "text_b": f"two {n}", "lang_a": "hi", "lang_b": "hi", "label": label, "score": score}
    for n, (label, score) in enumerate([("entailment", None), ("neutral", None), ("entailment", None), (None, 2.5), (None, 5.0)])
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("labelled") / "out"
    return write(out, {"hi-labelled": {"train": LABELLED}, "hi-pairs": {"train": PAIRS}})


def test_labels_are_counted_and_told(folder: Path) -> None:
    facts = compute(folder, release.read_manifest(folder))
    labelled, pairs = (next(one for one in facts["splits"] if one["table"] == table) for table in ("labelled", "pairs"))
    assert labelled["targets"] == {"spans": {"LOC": 2, "PER": 1}, "relations": {"lives_in": 1}}
    assert pairs["targets"] == {"label": {"entailment": 2, "neutral": 1}}
    text = datasheet(facts, {})
    assert "| hi-labelled | train | spans | LOC | 2 |" in text
    assert "| hi-pairs | train | pairs | entailment | 2 |" in text
    assert "hi-pairs/train: 2 pairs have a score from 2.5 to 5, median 2.5." in text
    assert "No table holds judgements or labels." not in text
    assert "spans (list of (span_id string, start int32, end int32, label string))" in text
    assert "No row was dropped." in text


@needs_mlcroissant
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_mlcroissant_reads_lists_of_spans(folder: Path) -> None:
    import mlcroissant

    manifest = release.read_manifest(folder)
    for render in (render_facts, render_croissant):
        render(folder, manifest)
    read = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    assert not read.metadata.ctx.issues.errors
    found = {row["hi-labelled/id"].decode(): row["hi-labelled/spans"] for row in read.records("hi-labelled")}
    for row in LABELLED:
        said = [
            {name: value.decode() if isinstance(value, bytes) else value for name, value in one.items()}
            for one in found[row["id"]]
        ]
        assert said == [{f"hi-labelled/spans/{name}": value for name, value in one.items()} for one in row["spans"]]


def test_models_that_judged_have_their_terms(folder: Path) -> None:
    manifest = release.read_manifest(folder)
    model = {"license": "openrail", "note": "no competing models", "origin": "machine"}
    findings = {
        "judge": "small",
        "model": model,
        "mode": "graded",
        "judging": {"hi": {"asked": 3, "answered": 2, "added": 1}},
    }
    judged = {**manifest, "findings": findings}
    assert judges(judged) == {"small": {"license": "openrail", "note": "no competing models"}}
    assert compute(folder, judged)["licences"]["models"]["small"]["said"] == "openrail"
    assert "- judge small, a language model: terms openrail; no competing models" in datasheet(
        compute(folder, judged), {}
    )
    assert judges({**manifest, "findings": {"judge_band": {"model": "other", "languages": {}}}}) == {
        "other": {"license": None, "note": ""}
    }
    assert _annotations(judged) == ["machine-generated", "found"]
    assert _annotations(manifest) == ["found"]


def test_sections_of_the_card_are_tables_that_read_well() -> None:
    table = {"columns": ["lang", "share", "n"], "rows": [["hi", "95.6%", 17000], ["ta", None, 3.0]]}
    shown = {"sections": [{"title": "Judged", "text": "", "table": table}]}
    text = _environment().get_template("sections.md.jinja").render(m=shown)
    lines = [line for line in text.splitlines() if line]
    assert lines == [
        "## Judged",
        "| lang | share | n |",
        "|---|---:|---:|",
        "| hi | 95.6% | 17,000 |",
        "| ta | – | 3 |",
    ]
    assert section(shown["sections"][0], "section 1")["table"]["numeric"] == [False, True, True]
