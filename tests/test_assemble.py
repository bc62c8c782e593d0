"""Segments back to rows: exact separators, the map of both texts, and how scores of segments become scores of rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild.stage import Workspace
from dsbuild.tables import CORPUS
from dsbuild.translate.assemble import SEGMENT_MAP, AssembleRows
from dsbuild.translate.segments import SegmentRows
from dsbuild.translate.translation import TRANSLATED


class Tables(list[pa.Table]):
    """Shards at hand."""


def corpus(*rows: tuple[str, str]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "doc_id": f"d{number}",
                "title": title,
                "text": text,
                "lang": "en",
                "source": "s",
                "group_id": f"d{number}",
            }
            for number, (title, text) in enumerate(rows)
        ],
        CORPUS,
    )


def put_together(
    folder: Path,
    rows: pa.Table,
    say: Any,
    scores: dict[str, pa.Array] | None = None,
    failures: list[str] | None = None,
    **columns: Any,
) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Segment, translate each segment with `say`, assemble; returns rows, map and segments."""
    work = Workspace("k", folder, folder)
    (segments,) = SegmentRows("en", ("title", "text")).run({"rows": rows}, work).outputs["out"]
    n = segments.table.num_rows
    made = {
        "uid": list(range(n)), "text": [say(text) for text in segments.table["text"].to_pylist()], "failure": failures or [""] * n,
        "logprob": [None] * n, "n_src_tokens": [1] * n, "n_tgt_tokens": [2] * n, "n_unknown": [None] * n, "rung": [0] * n, "terms_missing": [0] * n,
        **columns,
    }  # fmt: skip
    inputs = {
        "uids": pa.table({"uid": pa.array(range(n), pa.int64())}), "rows": rows, "segments": segments.table,
        "translated": Tables([pa.table(made, schema=TRANSLATED)]),
        "checked": Tables([pa.table({"uid": pa.array(range(n), pa.int64()), **(scores or {})})]),
    }  # fmt: skip
    result = AssembleRows("hi", "doc_id", ("title", "text")).run(inputs, work)
    assert result.counts is not None
    assert result.counts.kept == rows.num_rows
    return result.outputs["out"][0].table, result.outputs["map"][0].table, segments.table


def test_separators_stay_and_the_map_points_into_both_texts(tmp_path: Path) -> None:
    rows = corpus(("The hill", "  It rains.\n\n- It snows!   Go home.\t"), ("", ""), ("", "12 : 34"))
    out, mapped, _ = put_together(tmp_path, rows, lambda text: f"<{text}>")
    assert out["title"].to_pylist() == ["<The hill>", "", ""]
    assert out["text"][0].as_py().replace("<", "").replace(">", "") == rows["text"][0].as_py()
    assert out["text"].to_pylist()[1:] == ["", "12 : 34"]
    assert out["n_segments"].to_pylist()[1:] == [0, 0]
    assert set(out["lang"].to_pylist()) == {"hi"}
    assert mapped.schema == SEGMENT_MAP
    for piece in mapped.to_pylist():
        row = int(piece["id"][1:])
        source = rows[piece["field"]][row].as_py()[piece["src_start"] : piece["src_end"]]
        assert out[piece["field"]][row].as_py()[piece["tgt_start"] : piece["tgt_end"]] == f"<{source}>"
    assert [piece["segment"] for piece in mapped.to_pylist() if piece["field"] == "text"] == list(
        range(out["n_segments"][0].as_py() - 1)
    )


def test_scores_of_rows(tmp_path: Path) -> None:
    rows = corpus(("", "Go home now. It rains on the green hill."), ("", "..."))
    lengths = [len("Go home now."), len("It rains on the green hill.")]
    scores = {
        "language_score": pa.array([1.0, 0.0]), "empty": pa.array([False, True]), "loop": pa.array([None, 0.5]),
        "url_mismatch": pa.array([1, 2], pa.int32()), "silent": pa.array([None, None], pa.float64()),
    }  # fmt: skip
    out, _, _ = put_together(
        tmp_path, rows, str.upper, scores, logprob=[-1.0, -3.0], n_unknown=[1, None], rung=[0, 2], terms_missing=[0, 1]
    )
    first, second = out.to_pylist()
    assert first["language_score"] == pytest.approx(lengths[0] / sum(lengths))
    assert first["logprob"] == pytest.approx((-1.0 * lengths[0] - 3.0 * lengths[1]) / sum(lengths))
    assert (first["empty"], first["loop"], first["url_mismatch"], first["silent"]) == (True, 0.5, 3, None)
    assert (
        first["n_src_tokens"],
        first["n_tgt_tokens"],
        first["n_unknown"],
        first["rung"],
        first["terms_missing"],
    ) == (2, 4, 1, 2, 1)
    assert all(second[name] is None for name in (*scores, "logprob", "rung"))


def test_the_first_failure_is_the_row_s(tmp_path: Path) -> None:
    rows = corpus(("", "Go home. It rains. It snows."), ("", "It is dry."))
    out, _, _ = put_together(tmp_path, rows, str.upper, failures=["", "empty", "loop: twice", ""])
    assert out["failure"].to_pylist() == ["empty", ""]


TEXT = st.lists(
    st.sampled_from(
        ["It rains.", "Go home!", "Dr. Rao came.", " ", "\n", "\n- ", "…", "12", "नदी", "“Yes?” ", "\u200d"]
    ),
    max_size=8,
).map("".join)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4))
def test_an_engine_that_says_what_it_hears_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str]]
) -> None:
    rows = corpus(*texts)
    folder = tmp_path_factory.getbasetemp()
    out, mapped, segments = put_together(folder, rows, str)
    assert out["title"] == rows["title"]
    assert out["text"] == rows["text"]
    assert mapped["src_start"] == mapped["tgt_start"]
    assert mapped.num_rows == segments.num_rows == sum(out["n_segments"].to_pylist())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4), st.sampled_from(["", "नदी", "x" * 30]))
def test_the_map_is_right_whatever_is_said(
    tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str]], word: str
) -> None:
    rows = corpus(*texts)
    folder = tmp_path_factory.getbasetemp()
    out, mapped, _ = put_together(folder, rows, lambda text: word)
    for piece in mapped.to_pylist():
        assert out[piece["field"]][int(piece["id"][1:])].as_py()[piece["tgt_start"] : piece["tgt_end"]] == word
