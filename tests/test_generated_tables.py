"""Judgements of generated queries, those that duplicates hand over among them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa

from dsbuild import parquet
from dsbuild.builders.generation.generated_draft import _notes
from dsbuild.builders.generation.generated_tables import JudgeGenerated
from dsbuild.stage import Shards, Workspace

# id, passage, step that lost it, the query that stands for it
ROWS = (
    ("a", "p1", "", None),
    ("b", "p2", "duplicates", "a"),
    ("c", "p1", "duplicates", "a"),
    ("d", "p3", "top_share", None),
    ("e", "p4", "duplicates", "d"),
    ("f", "p3", "duplicates", "d"),
    ("g", "p5", "round_trip", None),
)


def judged(folder: Path, height: int) -> tuple[list[tuple[str, str, str]], Any]:
    table = pa.table(
        {
            "query_id": [one[0] for one in ROWS], "parent_id": [one[1] for one in ROWS], "generator": ["m"] * len(ROWS),
            "fate": ["dropped" if one[2] else "kept" for one in ROWS], "lost_at": [one[2] for one in ROWS],
            "duplicate_of": pa.array([one[3] for one in ROWS], pa.string()),
        }
    )  # fmt: skip
    paths = []
    for start in range(0, len(ROWS), height):
        paths.append(folder / f"{height}-{start}.parquet")
        parquet.write_unit(paths[-1], table.slice(start, height))
    result = JudgeGenerated().run({"queries": Shards(paths)}, Workspace("k", folder, folder))
    rows = [row for shard in result.outputs["out"] for row in shard.table.to_pylist()]
    return [(row["query_id"], row["doc_id"], row["judge"]) for row in rows], result


def test_what_a_duplicate_hands_over_is_kept_or_told(tmp_path: Path) -> None:
    for height in (2, 7):
        found, result = judged(tmp_path, height)
        assert found == [("a", "p1", "generated:m"), ("a", "p2", "generated:m")]
        assert result.facts == {"handed_over": 1, "lost_with_keeper": 1}, "the keeper's own passage is nobody's loss"
        assert (result.counts.n_in, result.counts.kept) == (2, 2)


def test_what_was_lost_with_a_cut_is_a_note() -> None:
    (note,) = _notes(SimpleNamespace(terms={}), {}, {}, {"en": 1, "hi": 0})  # type: ignore[arg-type]
    assert note.startswith("en: 1 judgements of duplicates were lost with the query that stood for them")
