from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild.filters.exact_duplicates import _RECORD, duplicates_of
from dsbuild.filters.sign_rows import SignRows, digests
from dsbuild.filters.utf8 import encode
from dsbuild.stage import Workspace


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 2), st.booleans()), max_size=12))
def test_the_best_of_each_digest_stays(rows: list[tuple[int, int, int, bool]]) -> None:
    records = np.array(
        [(high, low, merit, safe, place) for place, (high, low, merit, safe) in enumerate(rows)], _RECORD
    )
    dropped, keepers = duplicates_of(records)
    wanted = {}
    for place, (high, low, _, safe) in enumerate(rows):
        same = [other for other, one in enumerate(rows) if one[:2] == (high, low)]
        best = min(same, key=lambda other: (not rows[other][3], -rows[other][2], other))
        if place != best and not safe:
            wanted[place] = best
    assert dict(zip(dropped.tolist(), keepers.tolist(), strict=True)) == wanted


def test_digests_follow_the_declared_form() -> None:
    texts = ["Café  x", "Cafe\u0301 x ", "café x", "cafe x", "", " ", "x" * 9_000_000]
    spaced, folded = (digests(*encode(texts), form).to_pylist() for form in ("spaced", "folded"))
    assert [spaced.index(one) for one in spaced] == [0, 0, 2, 3, 4, 4, 6]
    assert [folded.index(one) for one in folded] == [0, 0, 0, 3, 4, 4, 6]
    assert digests(*encode([]), "spaced").to_pylist() == []
    assert all(len(one) == 16 for one in spaced)


def test_rows_that_take_part(tmp_path) -> None:
    rows = pa.table(
        {
            "id": ["a", "b", "c"], "text": ["x", None, "z"], "fate": ["kept", "dropped", "kept"], "split": ["test", "test", "train"],
            "score": [1.0, 2.0, None],
        }
    )  # fmt: skip
    stage = SignRows("id", ("text",), policy="best", score_column="score", protected=("test",))
    (shard,) = stage.run({"rows": rows}, Workspace("k", tmp_path, tmp_path)).outputs["keys"]
    keys = shard.table.to_pydict()
    assert [keys[name] for name in ("row", "id", "merit", "protected")] == [
        [0, 2],
        ["a", "c"],
        [1.0, -np.inf],
        [True, False],
    ]
    assert "band_000" not in keys
