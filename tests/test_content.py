"""Content digests: what they survive, and what they see."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild import content
from dsbuild.errors import ReleaseError

ROWS: list[dict[str, Any]] = [
    {"id": "a", "text": "नदी", "n": 1, "score": 0.5, "flag": True, "tags": ["x", "yz"], "span": {"start": 0, "label": "P"}},
    {"id": "b", "text": None, "n": -1, "score": float("nan"), "flag": None, "tags": [], "span": None},
    {"id": "c", "text": "", "n": None, "score": None, "flag": False, "tags": None, "span": {"start": None, "label": None}},
    {"id": "d", "text": "x" * 100, "n": 2**31 - 1, "score": -0.5, "flag": True, "tags": [None, ""], "span": {"start": 7, "label": ""}},
]  # fmt: skip
SCHEMA = pa.schema(
    [
        ("id", pa.string()), ("text", pa.string()), ("n", pa.int32()), ("score", pa.float64()), ("flag", pa.bool_()),
        ("tags", pa.list_(pa.string())), ("span", pa.struct([("start", pa.int32()), ("label", pa.string())])),
    ]
)  # fmt: skip
WIDE = pa.schema(
    [
        ("id", pa.large_string()), ("text", pa.dictionary(pa.int32(), pa.string())), ("n", pa.int64()), ("score", pa.float64()),
        ("flag", pa.bool_()), ("tags", pa.large_list(pa.large_string())), ("span", pa.struct([("start", pa.int64()), ("label", pa.large_string())])),
    ]
)  # fmt: skip


def table(rows: list[dict[str, Any]], schema: pa.Schema = SCHEMA) -> pa.Table:
    return pa.Table.from_pylist(rows, schema)


def digest(*tables: pa.Table) -> str:
    return content.content_of(tables).digest


def test_the_kernel_is_xxh64() -> None:
    draw = random.Random(1)
    for size in [*range(70), 1000]:
        data, seed = draw.randbytes(size), draw.getrandbits(64)
        found = content._hash_bytes(np.frombuffer(b"ab" + data, np.uint8), 2, 2 + size, np.uint64(seed))
        assert int(found) == xxhash.xxh64_intdigest(data, seed)
    word = int.from_bytes(data[:8], "little")
    assert int(content._hash_word(np.uint64(word), np.uint64(seed))) == xxhash.xxh64_intdigest(data[:8], seed)


def test_order_chunks_widths_and_dictionaries_do_not_matter() -> None:
    whole = digest(table(ROWS))
    assert digest(table(ROWS[2:]), table(ROWS[:2])) == whole
    assert digest(table(ROWS[::-1])) == whole
    assert digest(pa.concat_tables([table(ROWS[:1]), table(ROWS[1:3]), table(ROWS[3:])])) == whole
    assert digest(table(ROWS).slice(1), table(ROWS).slice(0, 1)) == whole
    wide = pa.table(
        [pa.array([row[one.name] for row in ROWS], one.type.value_type).dictionary_encode() if pa.types.is_dictionary(one.type)
         else pa.array([row[one.name] for row in ROWS], one.type) for one in WIDE], names=WIDE.names,
    )  # fmt: skip
    assert digest(wide) == whole


def test_files_of_any_encoding_have_one_digest(tmp_path: Path) -> None:
    many = table([{**row, "id": f"{row['id']}{i}"} for i in range(50_000) for row in ROWS])
    pq.write_table(many, tmp_path / "one.parquet", compression="snappy", row_group_size=77_777)
    half = many.num_rows // 3
    pq.write_table(many.slice(half), tmp_path / "two.parquet", compression="zstd", use_dictionary=False)
    pq.write_table(many.slice(0, half), tmp_path / "three.parquet", data_page_version="2.0")
    one = content.read_content([tmp_path / "one.parquet"])
    two = content.read_content([tmp_path / "two.parquet", tmp_path / "three.parquet"])
    assert (one.rows, one.digest) == (two.rows, two.digest) == (200_000, digest(many))
    assert content.read_content([tmp_path / "one.parquet"], ["n", "id"]).digest == digest(many.select(["n", "id"]))


@pytest.mark.parametrize(
    ("row", "name", "value"),
    [
        (0, "text", "नदि"), (1, "text", ""), (2, "text", None), (0, "n", 0), (2, "n", 0), (1, "score", None), (2, "score", 0.0), (1, "flag", False),
        (0, "tags", ["xy", "z"]), (1, "tags", None), (2, "tags", []), (3, "tags", ["", None]), (1, "span", {"start": None, "label": None}),
        (3, "span", {"start": 7, "label": None}), (3, "text", "x" * 99),
    ],
)  # fmt: skip
def test_every_change_of_a_value_is_seen(row: int, name: str, value: Any) -> None:
    changed = [dict(one) for one in ROWS]
    changed[row][name] = value
    assert digest(table(changed)) != digest(table(ROWS))


def test_columns_and_counts_are_seen() -> None:
    rows = table(ROWS)
    assert digest(rows, rows) != digest(rows)
    assert digest(rows.slice(1)) != digest(rows)
    assert digest(rows.rename_columns(["key", *SCHEMA.names[1:]])) != digest(rows)
    assert digest(rows.select(SCHEMA.names[::-1])) != digest(rows)
    swapped = [{**row, "id": row["text"], "text": row["id"]} for row in ROWS]
    assert digest(table(swapped)) != digest(rows)
    # Repeated rows do not cancel out.
    assert digest(rows.slice(0, 1), rows.slice(0, 1)) != digest(rows.slice(1, 1), rows.slice(1, 1))
    assert content.content_of([]) == content.Content(0, "0" * 32, 0)


def test_other_types() -> None:
    day = pa.array([1, None], pa.date32())
    assert digest(pa.table({"d": day})) != digest(pa.table({"d": pa.array([2, None], pa.date32())}))
    stamp = pa.array([1, 2], pa.timestamp("us"))
    assert digest(pa.table({"d": stamp})) != digest(pa.table({"d": pa.array([1, 3], pa.timestamp("us"))}))
    big = pa.array([2**64 - 1], pa.uint64())
    assert digest(pa.table({"d": big})) != digest(pa.table({"d": pa.array([2**64 - 2], pa.uint64())}))
    with pytest.raises(ReleaseError, match="column d: decimal128"):
        digest(pa.table({"d": pa.array([1], pa.decimal128(5, 2))}))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.text(max_size=40), st.none() | st.integers(-(2**31), 2**31 - 1)), max_size=20), st.randoms()
)
def test_equal_multisets_have_equal_digests_and_others_do_not(
    rows: list[tuple[str, int | None]], draw: random.Random
) -> None:
    def of(some: list[tuple[str, int | None]]) -> str:
        columns = [pa.array([text for text, _ in some], pa.string()), pa.array([n for _, n in some], pa.int32())]
        return digest(pa.table(columns, names=["text", "n"]))

    mixed = draw.sample(rows, len(rows))
    assert of(mixed) == of(rows)
    if rows:
        text, n = mixed[0]
        assert of([(f"{text}.", n), *mixed[1:]]) != of(rows)
        assert of(mixed[1:]) != of(rows)
