"""The stage that fills `lang`, or weighs the language that was said."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from dsbuild.errors import SourceError
from dsbuild.filters.identify import COLUMNS, IdentifyRows
from dsbuild.filters.language import MODEL
from dsbuild.stage import Workspace, parameters

TEXTS = [
    "The baker opens the shop before the sun is up.",
    "दुकानदार सुबह सूरज निकलने से पहले दुकान खोलता है।",
    "ok",
    "",
]


def run(stage: IdentifyRows, **columns: list[str]) -> pa.Table:
    rows = pa.table({"doc_id": ["a", "b", "c", "d"], "text": TEXTS, **columns})
    (shard,) = stage.run({"rows": rows}, Workspace("k", Path(), Path())).outputs["out"]
    return shard.table


def test_what_is_found_becomes_the_language_and_short_texts_get_none() -> None:
    out = run(IdentifyRows())
    assert out["lang"].to_pylist() == ["en", "hi", "und", "und"]
    assert set(COLUMNS) <= set(out.column_names)
    assert out["language_fit"].to_pylist() == [None] * 4


def test_a_said_language_is_weighed() -> None:
    out = run(IdentifyRows(lang="en"))
    assert out["lang"].to_pylist() == ["en"] * 4
    good, bad, *silent = out["language_fit"].to_pylist()
    assert good > 0.5 > bad
    assert silent == [None, None]


def test_the_column_that_rows_bring_is_taken() -> None:
    out = run(IdentifyRows(lang=""), lang=["en", "en", "", "mr"])
    assert out["lang"].to_pylist() == ["en", "en", "und", "mr"]


def test_codes_of_rows_are_spelled_as_in_the_table_and_what_auto_found_is_taken_again() -> None:
    out = run(IdentifyRows(lang=""), lang=["EN", "zh-CN", "vls", "zxx"])
    assert out["lang"].to_pylist() == ["en", "zh-Hans", "vls", "zxx"]
    assert out["language_fit"].to_pylist()[2:] == [None, None]
    assert run(IdentifyRows(lang="", scored=False), lang=["EN", "iw", "vls", ""])["lang"].to_pylist() == [
        "en",
        "he",
        "vls",
        "und",
    ]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("eng_Latn", "write en,"),
        ("english", "write en,"),
        ("zh", "write zh-Hans or zh-Hant,"),
        ("xx", "mend the column,"),
    ],
)
def test_a_code_that_is_none_is_told_with_its_row(code: str, said: str) -> None:
    with pytest.raises(SourceError, match=f"row 'c': lang: no language '{code}'.*; {said}"):
        run(IdentifyRows(lang=""), lang=["en", "en", code, "en"])


def test_without_scores_only_the_language_is_placed() -> None:
    out = run(IdentifyRows(lang="en", scored=False))
    assert out.column_names == ["doc_id", "text", "lang"]


def test_a_model_counts_by_its_content_and_not_by_its_place(tmp_path: Path) -> None:
    one, copy, other = (tmp_path / name for name in ("one.ftz", "copy.ftz", "other.ftz"))
    for path in (one, copy):
        path.write_bytes(MODEL.read_bytes())
    other.write_bytes(MODEL.read_bytes() + b" ")
    keys = [parameters(IdentifyRows(model=str(path))) for path in (one, copy, other)]
    assert keys[0] == keys[1] != keys[2]
    assert run(IdentifyRows(model=str(one))) == run(IdentifyRows())
