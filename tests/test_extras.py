"""The further columns of the files of a table: names that stand once, types that hold over all files, numbers as they came."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsbuild.builders.sources.flat import open_flat
from dsbuild.errors import SourceError
from tests.small_set import cli


def read(spec: str) -> list[dict[str, Any]]:
    return [row for rows in open_flat(spec, "documents").read() for row in rows.to_pylist()]


def parquet(folder: Path, **tables: pa.Table) -> str:
    folder.mkdir()
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet")
    return f"parquet:{folder}"


def texts(*ids: str, **more: Any) -> pa.Table:
    return pa.table({"id": list(ids), "text": [f"text {one}" for one in ids], **more})


def test_files_of_parquet_agree_on_types(tmp_path: Path) -> None:
    kind = pa.array(["x"]).dictionary_encode()
    spec = parquet(tmp_path / "p", a=texts("a", n=[1], kind=kind), b=texts("b", n=[2.5]), c=texts("c", kind=["y"]))
    assert [(row["doc_id"], row["n"], row["kind"]) for row in read(spec)] == [
        ("a", 1.0, "x"),
        ("b", 2.5, None),
        ("c", None, "y"),
    ]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (texts("b", n=["two"]), "b.parquet: column 'n' holds string where files before it hold int64"),
        (pa.table({"id": ["b"], "body": ["x"]}), "b.parquet: no column 'text'; it has id, body"),
        (texts("b").append_column("text", pa.array(["x"])), "b.parquet: two columns are named 'text'"),
        (texts("b", m=pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))), "b.parquet: column 'm' is a map"),
    ],
)
def test_files_of_parquet_that_disagree_are_named(tmp_path: Path, other: pa.Table, words: str) -> None:
    with pytest.raises(SourceError) as caught:
        read(parquet(tmp_path / "p", a=texts("a", n=[1]), b=other))
    assert words in str(caught.value)


def test_each_tsv_goes_by_its_own_header(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("", "utf-8")
    (tmp_path / "b.tsv").write_text("id\ttext\tsite\nb\tone\tx\n", "utf-8")
    (tmp_path / "c.tsv").write_text("site\ttext\tid\ny\ttwo\tc\n", "utf-8")
    assert [(row["doc_id"], row["text"], row["site"]) for row in read(f"tsv:{tmp_path}")] == [
        ("b", "one", "x"),
        ("c", "two", "y"),
    ]
    (tmp_path / "d.tsv").write_text("id\ttext\nd\tthree\n", "utf-8")
    with pytest.raises(SourceError, match=r"d.tsv:1: columns id, text where the first file has id, text, site"):
        read(f"tsv:{tmp_path}")
    (tmp_path / "d.tsv").write_text("id\ttext\ttext\n", "utf-8")
    with pytest.raises(SourceError, match="two columns are named 'text'"):
        read(f"tsv:{tmp_path / 'd.tsv'}")


def test_whole_numbers_of_more_than_64_bits_keep_their_digits(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "text": "x", "n": 2**63 - 1, "hash": 1, "at": 0.5},
        {"id": "b", "text": "y", "n": 2, "hash": 2**64 + 1, "at": 1},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    assert [(row["n"], row["hash"], row["at"]) for row in read(f"jsonl:{path}")] == [
        (2**63 - 1, "1", 0.5),
        (2, str(2**64 + 1), 1.0),
    ]


@pytest.mark.parametrize("name", ["a.jsonl", "a.tsv"])
def test_an_empty_file_has_no_rows(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("\n", "utf-8")
    with pytest.raises(SourceError, match="no rows"):
        read(f"{name[2:]}:{tmp_path / name}")


def test_numbers_beyond_a_float_are_text(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "a", "text": "x", "n": 1e999}\n{"id": "b", "text": "y", "n": 0.5}\n', "utf-8")
    assert [row["n"] for row in read(f"jsonl:{path}")] == ["Infinity", "0.5"]


def test_json_for_programs_has_no_nan(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "a", "text": "A text about the harbour.", "n": NaN}\n', "utf-8")
    cli("filter", "--src", f"jsonl:{path}", "--profile", "sentence", "--lang", "en", "--set", "filters=[exact]", "--out", tmp_path / "out",
        "--store", tmp_path / "store")  # fmt: skip
    code, out, err = cli("explain", tmp_path / "out", "--id", "a", "--format", "json")
    assert code == 0, err
    assert '"n": null' in out
    assert "NaN" not in out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (r'{"id": "a", "text": "\ud800"}', "a.jsonl:1: id 'a': half a surrogate pair in 'text'"),
        (
            r'{"id": "a", "text": "x", "site": "\ud800"}',
            "a.jsonl: a further column in the lines from 1 on cannot be read",
        ),
    ],
)
def test_half_a_surrogate_pair_is_one_line(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "a.jsonl").write_text(line + "\n", "utf-8")
    with pytest.raises(SourceError, match=re.escape(words)):
        read(f"jsonl:{tmp_path / 'a.jsonl'}")
