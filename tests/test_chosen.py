"""Seeded choice: the same rows from any cut into files, and every row with the same chance."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsbuild.builders.chosen import choose, fetch, files_of
from dsbuild.errors import ReleaseError


def write(folder: Path, ids: list[str], cuts: list[int]) -> list[Path]:
    folder.mkdir()
    for number, (first, last) in enumerate(zip([0, *cuts], [*cuts, len(ids)], strict=True)):
        table = pa.table({"doc_id": ids[first:last], "text": [f"text of {one}" for one in ids[first:last]]})
        pq.write_table(table, folder / f"corpus-{number:05d}-of-{len(cuts) + 1:05d}.parquet", row_group_size=7)
    return files_of(folder.parent, f"{folder.name}/")


def test_the_choice_depends_on_seed_and_ids_alone(tmp_path: Path) -> None:
    ids = [f"d{number}" for number in range(100)]
    one = choose(write(tmp_path / "one", ids, []), "doc_id", "hi-corpus", 10, 1)
    three = choose(write(tmp_path / "three", ids[::-1], [13, 60]), "doc_id", "hi-corpus", 10, 1)
    assert one == three
    assert len(set(one)) == 10
    paths = files_of(tmp_path, "one/")
    assert choose(paths, "doc_id", "hi-corpus", 4, 1) == one[:4]
    assert choose(paths, "doc_id", "hi-corpus", 10, 2) != one != choose(paths, "doc_id", "ta-corpus", 10, 1)
    assert sorted(choose(paths, "doc_id", "hi-corpus", 1000, 1)) == sorted(ids)


def test_every_row_has_the_same_chance(tmp_path: Path) -> None:
    paths = write(tmp_path / "set", [f"d{number}" for number in range(20)], [])
    hits: Counter[str] = Counter()
    for seed in range(400):
        hits.update(choose(paths, "doc_id", "t", 5, seed))
    # 400 draws of 5 from 20: 100 hits each are expected, with a standard deviation below 9.
    assert len(hits) == 20
    assert all(60 < number < 140 for number in hits.values())


def test_rows_are_fetched_by_id(tmp_path: Path) -> None:
    paths = write(tmp_path / "set", ["a", "b", "a", "c"], [2])
    found = fetch(paths, "doc_id", ["c", "a", "none"], ["text"])
    assert {key: len(rows) for key, rows in found.items()} == {"a": 2, "c": 1}
    assert fetch(paths, "doc_id", []) == {}


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(ReleaseError, match=r"bad\.parquet"):
        choose([tmp_path / "bad.parquet"], "doc_id", "t", 1, 1)
