"""One table of texts in files: columns, types, ids, and what cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild.builders.sources.flat import open_flat
from dsbuild.builders.sources.readflat import ReadFlat
from dsbuild.errors import SourceError, UnknownName
from dsbuild.stage import parameters


def read(spec: str, table: Any = "documents", **more: Any) -> list[dict[str, Any]]:
    return [row for rows in open_flat(spec, table, **more).read() for row in rows.to_pylist()]


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def test_further_columns_keep_their_types(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "a.jsonl",
        {"id": 7, "text": "one", "n": 1, "site": "x", "tags": ["a"], "at": "2024-05-01T00:00:00Z", "odd": 5},
        {"id": "8", "text": "दो", "n": 2.5, "site": None, "tags": [], "odd": "five"},
    )
    first, second = read(f"jsonl:{path}")
    assert first == {
        "doc_id": "7", "text": "one", "n": 1.0, "site": "x", "tags": ["a"], "at": "2024-05-01T00:00:00Z", "odd": "5",
    }  # fmt: skip
    assert second == {"doc_id": "8", "text": "दो", "n": 2.5, "site": None, "tags": [], "at": None, "odd": "five"}


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
            st.one_of(st.integers(-9, 9), st.text("ab")),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_json_lines_come_back_as_written(rows: list[tuple[str, Any]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = lines(
            Path(folder) / "a.jsonl", *({"id": f"r{n}", "text": text, "x": x} for n, (text, x) in enumerate(rows))
        )
        found = read(f"jsonl:{path}")
    assert [row["text"] for row in found] == [text for text, _ in rows]
    assert [str(row["x"]) for row in found] == [str(x) for _, x in rows]


def test_tsv_and_parquet_give_the_same_rows(tmp_path: Path) -> None:
    tsv = tmp_path / "a.tsv"
    tsv.write_text("id\ttext\tsite\nr1\tone text\tx\nr2\ttwo\ty\n", "utf-8")
    (tmp_path / "p").mkdir()
    table = pa.table({"id": ["r1", "r2"], "text": ["one text", "two"], "site": ["x", "y"]})
    pq.write_table(table, tmp_path / "p" / "a.parquet")
    assert read(f"tsv:{tsv}") == read(f"parquet:{tmp_path / 'p'}")


def test_rows_without_ids_are_named_by_their_place(tmp_path: Path) -> None:
    path = lines(tmp_path / "web.jsonl", {"text": "one"}, {"text": "two"})
    source = open_flat(f"jsonl:{path}", "documents")
    assert source.numbered
    assert [row["doc_id"] for row in read(f"jsonl:{path}")] == ["web:1", "web:2"]


def test_pairs_take_scores_and_labels_of_any_kind(tmp_path: Path) -> None:
    path = lines(tmp_path / "p.jsonl", {"id": "a", "src": "one", "tgt": "eins", "score": 4, "label": 2})
    (row,) = read(f"jsonl:{path}", "pairs")
    assert row == {"pair_id": "a", "text_a": "one", "text_b": "eins", "label": "2", "score": 4.0}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"id": "a", "text": "x"}\n{"id": "b"}\n', (":2", "'text'")),
        (b'{"id": "a", "text": "x"}\nnot json\n', (":2", "not JSON")),
        (b'{"id": "a", "text": "\xff"}\n', (":1", "invalid UTF-8")),
        (b'{"id": "a", "body2": "x"}\n', ("no column for text", "--set source.columns.text=COLUMN")),
        (b'{"id": "a\\n", "text": "x"}\n', (":1", "control character")),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, content: bytes, words: tuple[str, ...]) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        read(f"jsonl:{path}")
    for word in words:
        assert word in str(caught.value)


def test_names_that_are_not_known(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", {"id": "a", "text": "x"})
    with pytest.raises(UnknownName, match="Did you mean 'text'"):
        read(f"jsonl:{path}", columns={"txt": "text"})
    with pytest.raises(UnknownName, match="Did you mean 'text'"):
        read(f"jsonl:{path}", columns={"text": "texts"})
    with pytest.raises(SourceError, match="no such file"):
        read(f"jsonl:{tmp_path / 'gone.jsonl'}")


def test_columns_without_names_are_numbered(tmp_path: Path) -> None:
    from tests.small_set import cli, rows

    path = tmp_path / "web.tsv"
    path.write_text("NA\tThe ferry leaves the harbour at noon and comes back when the tide has turned.\n" * 2, "utf-8")
    code, _, err = cli(
        "filter", "--src", f"tsv:{path}", "--profile", "sentence", "--lang", "en", "--out", tmp_path / "out"
    )
    assert code == 2
    assert "--set source.options.header=no" in err
    code, _, err = cli(
        "filter", "--src", f"tsv:{path}", "--profile", "sentence", "--lang", "en", "--out", tmp_path / "out", "--store", tmp_path / "store",
        "--set", "source.options.header=no", "--set", "source.columns.text=2",
    )  # fmt: skip
    assert code == 0, err
    (row,) = rows(tmp_path / "out", "en-documents/*")
    assert (row["doc_id"], row["1"], row["text"][:9]) == ("web:1", "NA", "The ferry")


def test_whether_the_first_line_names_columns_enters_the_key(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("1\t2\nr1\tone\n", "utf-8")
    columns = {"doc_id": "1", "text": "2"}
    stages = []
    for options in ({}, {"header": "no"}):
        source = open_flat(f"tsv:{path}", "documents", columns=columns, options=options)
        stages.append(ReadFlat.of(source, source.files(), 0))
    assert parameters(stages[0]) != parameters(stages[1])
    counts = [sum(shard.table.num_rows for shard in stage.run({}, None).outputs["out"]) for stage in stages]  # type: ignore[arg-type]
    assert counts == [1, 2]


def test_objects_without_a_key_are_kept_as_json(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "a.jsonl", {"id": "a", "text": "one", "metadata": {}}, {"id": "b", "text": "two", "metadata": {}}
    )
    (rows,) = open_flat(f"jsonl:{path}", "documents").read()
    assert rows["metadata"].to_pylist() == ["{}", "{}"]
    pq.write_table(rows, tmp_path / "a.parquet")
