"""Long documents make shards of fewer rows, and nothing is lost at the cuts."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from dsbuild.builders.sources.read import cut


@given(st.lists(st.integers(0, 60), min_size=1, max_size=40), st.integers(1, 100))
def test_cut_keeps_rows_and_order_and_bounds_the_text(lengths: list[int], size: int) -> None:
    rows = pa.table({"text": ["x" * length for length in lengths], "n": list(range(len(lengths)))})
    parts = list(cut(rows, size))
    assert pa.concat_tables(parts).to_pylist() == rows.to_pylist()
    for part in parts:
        held = sum(len(text) for text in part["text"].to_pylist())
        assert held <= size or part.num_rows == 1


def test_tables_without_text_are_left_alone() -> None:
    rows = pa.table({"query_id": ["a", "b"]})
    assert [part.num_rows for part in cut(rows, 1)] == [2]
