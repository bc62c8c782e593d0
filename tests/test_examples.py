"""The pairs that a command shows at its end."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsbuild.builders.translation import examples


def test_sources_are_read_from_the_groups_that_hold_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "corpus.parquet"
    table = pa.table({"doc_id": [f"d{n}" for n in range(6)], "text": [f"text {n}" for n in range(6)]})
    pq.write_table(table, path, row_group_size=1)
    monkeypatch.setattr(examples.release, "part_files", lambda folder, prefix: [path])
    # What is looked for stands in the first groups: the rest has nothing left to give.
    found = examples._sources(tmp_path, "en", {("corpus", "d0"), ("corpus", "d1")})
    assert found == {("corpus", "d0"): "text 0", ("corpus", "d1"): "text 1"}
    assert examples._sources(tmp_path, "en", {("corpus", "gone")}) == {}
