from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsbuild.filters.contamination import (
    COLUMNS,
    EVIDENCE,
    ITEMS,
    CheckItems,
    FindContamination,
    SettleContamination,
    masked,
)
from dsbuild.stage import Shards, Workspace

ITEM = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"


@pytest.fixture
def items(tmp_path: Path) -> Shards:
    path = tmp_path / "items.parquet"
    given = [("a", "1", "en", ITEM), ("a", "2", "en", "no"), ("b", "1", "en", "who is there now")]
    pq.write_table(pa.table([list(column) for column in zip(*given, strict=True)], schema=ITEMS), path)
    return Shards([path])


def work(tmp_path: Path) -> Workspace:
    return Workspace("key", tmp_path, tmp_path)


def tables(result, *names):
    return [next(iter(result.outputs[name])).table for name in names]


def rows_of(*texts: str | None, **more: list[str]) -> pa.Table:
    return pa.table(
        {
            "doc_id": [str(i) for i in range(len(texts))],
            "text": pa.array(texts, pa.string()),
            "lang": ["en"] * len(texts),
            **more,
        }
    )


def test_rows_get_the_item_that_covers_most_of_itself(items: Shards, tmp_path: Path) -> None:
    half = " ".join(ITEM.split()[:13])
    rows = rows_of(None, f"Who is there now? {half}", "nothing")
    out, evidence = tables(
        FindContamination("documents", "doc_id").run({"rows": rows, "items": items}, work(tmp_path)), "out", "evidence"
    )
    assert out.column_names == [*rows.column_names, *COLUMNS]
    assert out["contamination_coverage"].to_pylist() == [0.0, 1.0, 0.0]
    assert out["contamination_set"].to_pylist() == [None, "b", None]
    assert (out["contamination_start"].to_pylist(), out["contamination_end"].to_pylist()) == (
        [None, 0, None],
        [None, 16, None],
    )
    assert evidence.schema == EVIDENCE
    assert [(row["set"], row["start"], row["end"]) for row in evidence.to_pylist()] == [
        ("a", 18, 18 + len(half)),
        ("b", 0, 16),
    ]
    again, _ = tables(
        FindContamination("documents", "doc_id").run({"rows": out, "items": items}, work(tmp_path)), "out", "evidence"
    )
    assert again.equals(out)


def test_a_slice_is_read_where_it_lies(items: Shards, tmp_path: Path) -> None:
    rows = rows_of("x", "y", ITEM, "z").slice(2, 1)
    _, evidence = tables(
        FindContamination("documents", "doc_id").run({"rows": rows, "items": items}, work(tmp_path)), "out", "evidence"
    )
    assert [(row["row"], row["id"], row["coverage"]) for row in evidence.to_pylist()] == [(0, "2", 1.0)]


def test_what_cannot_be_looked_for_is_counted(items: Shards, tmp_path: Path) -> None:
    result = CheckItems().run({"items": items}, work(tmp_path))
    assert result.facts["sets"] == {
        "a": {"items": 2, "ngram": 1, "whole": 0, "whole_text_only": 0, "uncheckable": 1},
        "b": {"items": 1, "ngram": 0, "whole": 1, "whole_text_only": 0, "uncheckable": 0},
    }
    assert tables(result, "out")[0]["item"].to_pylist() == ["2"]


@pytest.mark.parametrize(
    ("policy", "kept", "flags"), [("drop", 2, ["", "", "contaminated"]), ("mask", 3, None), ("flag", 3, None)]
)
def test_every_row_ends_once(items: Shards, tmp_path: Path, policy, kept, flags) -> None:
    rows = rows_of(ITEM, "fine", f"see {ITEM}", split=["train", "train", "test"])
    found = FindContamination("documents", "doc_id").run({"rows": rows, "items": items}, work(tmp_path))
    out, evidence = tables(found, "out", "evidence")
    settle = SettleContamination("documents", "doc_id", "lang", policy, 0.1, "default", "X", ("test",))
    result = settle.run({"rows": out, "evidence": evidence}, work(tmp_path))
    (final,) = tables(result, "out")
    assert result.counts.balanced()
    assert final["fate"].to_pylist().count("kept") == result.counts.kept == kept
    assert final["flag"].to_pylist() == (flags or ["contaminated", "", "contaminated"])
    assert final["text"].to_pylist() == ["X" if policy == "mask" else ITEM, "fine", f"see {ITEM}"]
    outcomes = {"drop": "dropped", "mask": "repaired", "flag": "flagged"}
    assert [(row["id"], row["outcome"]) for row in result.verdicts] == [("0", outcomes[policy]), ("2", "flagged")]


@pytest.mark.parametrize(
    ("spans", "wanted"),
    [
        ([], "0123456789"),
        ([(0, 10)], "#"),
        ([(2, 4), (4, 6)], "01#6789"),
        ([(5, 9), (1, 3), (2, 4)], "0#4#9"),
        ([(1, 8), (2, 3)], "0#89"),
    ],
)
def test_masks(spans, wanted) -> None:
    assert masked("0123456789", spans, "#") == wanted
