"""Rows cut into segments: never inside a span that is to stay whole."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from dsbuild.stage import Workspace
from dsbuild.translate.segments import SegmentRows

TEXT = "He met Dr. No. Then he left. It rained."


def cut(spans: list[tuple[int, int]] | None, unit: str = "sentence") -> list[str]:
    columns: dict[str, pa.Array] = {"text": pa.array([TEXT])}
    if spans is not None:
        columns["spans"] = pa.array([[{"start": start, "end": end} for start, end in spans]])
    stage = SegmentRows("en", ("text",), unit, keep="" if spans is None else "spans")  # type: ignore[arg-type]
    (shard,) = stage.run({"rows": pa.table(columns)}, Workspace("u", Path(), Path())).outputs["out"]
    found = shard.table.to_pylist()
    assert all(TEXT[one["start"] : one["end"]] == one["text"] for one in found)
    return [one["text"] for one in found]


def test_sentences() -> None:
    assert cut(None) == ["He met Dr. No.", "Then he left.", "It rained."]


@pytest.mark.parametrize(
    ("surface", "expected"),
    [
        ("No. Then he", ["He met Dr. No. Then he left.", "It rained."]),
        ("Then he left.", ["He met Dr. No.", "Then he left.", "It rained."]),
        (TEXT, [TEXT]),
    ],
)
def test_no_cut_falls_into_a_span(surface: str, expected: list[str]) -> None:
    start = TEXT.index(surface)
    assert cut([(start, start + len(surface))]) == expected


def test_spans_in_any_order() -> None:
    first, second = TEXT.index("left. It"), TEXT.index("met")
    assert cut([(first, first + 8), (second, second + 3)]) == ["He met Dr. No.", "Then he left. It rained."]


def test_a_passage_is_whole_anyway() -> None:
    assert cut([(0, 2)], "passage") == [TEXT]
