"""Opening a source by its spec, reading lines and columns, and what every kind has in common."""

import bz2
import gzip
import json
import os
import subprocess
import sys
import time

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild import digests
from dsbuild.builders import SOURCES
from dsbuild.builders.sources.lines import MAX_LINE_BYTES, blocks, first_line, raw_blocks
from dsbuild.builders.sources.rows import TableFile, read_chunks
from dsbuild.builders.sources.sample import open_sample
from dsbuild.builders.sources.source import Opening, open_source
from dsbuild.errors import SourceError, UnknownName
from dsbuild.tables import CORPUS, QRELS, QUERIES

PAIR = {"doc_id": "doc_id", "text": "text"}


def pairs(path):
    return TableFile(path, "tsv", PAIR, ("doc_id", "text"))


def rows_of(file):
    return [
        row
        for chunk in read_chunks(file)
        for row in zip(*(chunk.columns[name].to_pylist() for name in file.columns), strict=True)
    ]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("msmarc:x", "Did you mean 'msmarco'"),
        ("", "no source ''"),
    ],
)
def test_unknown_kind_names_the_nearest(spec, message):
    with pytest.raises(UnknownName, match=message):
        open_source(spec)


@pytest.mark.parametrize("kind", ["robust04", "beir", "parquet", "tsv", "jsonl", "hf", "irds", "release"])
def test_kind_without_a_path_says_what_it_needs(kind):
    with pytest.raises(SourceError, match=f"--src {kind}:"):
        open_source(kind)


def test_sample_takes_no_path():
    with pytest.raises(SourceError, match="msmarco:dir"):
        open_source("msmarco-sample:dir")


def test_unknown_option_and_column_are_refused(tmp_path):
    with pytest.raises(UnknownName, match=r"column 'doc_ic'.*Did you mean 'doc_id'"):
        open_source(f"beir:{tmp_path}", lang="en", columns={"doc_ic": "x"})
    with pytest.raises(UnknownName, match=r"option of source beir 'qrel'.*Did you mean 'qrels'"):
        open_source(f"beir:{tmp_path}", lang="en", options={"qrel": "none"})


def test_registry_imports_nothing_heavy():
    code = "import sys, dsbuild.builders.sources.source as s; print(sorted({'duckdb','datasets','huggingface_hub','ir_datasets'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_every_kind_can_be_loaded():
    assert all(callable(SOURCES.get(kind)) for kind in SOURCES.names())


def test_sample_reads_beir_column_names(tmp_path):
    (tmp_path / "sample_corpus.jsonl").write_text('{"_id": "a/1", "title": "", "text": "Tea."}\n', "utf-8")
    (tmp_path / "sample_queries.jsonl").write_text('{"_id": "q1", "text": "what is tea"}\n', "utf-8")
    (tmp_path / "sample_qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\ta/1\t2\n", "utf-8")
    source = open_sample(Opening("msmarco-sample", ""), tmp_path)
    assert source.facts().lang == "en"
    assert pa.Table.from_batches(source.read("corpus")).to_pylist() == [
        {"doc_id": "a/1", "title": "", "text": "Tea.", "lang": "en", "source": "msmarco-sample", "group_id": "a/1"}
    ]
    assert pa.Table.from_batches(source.read("qrels"))["relevance"].to_pylist() == [2]
    with pytest.raises(SourceError, match="English"):
        open_sample(Opening("msmarco-sample", "", "hi"), tmp_path)


def test_schemas_have_no_null_in_retrieval_tables():
    assert not any(field.nullable for schema in (CORPUS, QUERIES, QRELS) for field in schema)


@pytest.mark.parametrize("ending", ["", ".gz", ".bz2", ".zst"])
def test_compressed_lines_are_the_same_lines(tmp_path, ending):
    data = "".join(f"{i}\ttext {i}\n" for i in range(2000)).encode()
    path = tmp_path / f"c.tsv{ending}"
    if ending == ".zst":
        with pa.output_stream(str(path), compression="zstd") as out:
            out.write(data)
    else:
        path.write_bytes({"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}[ending](data))
    assert rows_of(pairs(path)) == [(str(i), f"text {i}") for i in range(2000)]


def test_joined_gzip_members_are_all_read(tmp_path):
    path = tmp_path / "c.tsv.gz"
    path.write_bytes(gzip.compress(b"1\ta\n") + gzip.compress(b"2\tb\n"))
    assert rows_of(pairs(path)) == [("1", "a"), ("2", "b")]


def test_cut_gzip_is_one_clear_line(tmp_path):
    path = tmp_path / "c.tsv.gz"
    path.write_bytes(gzip.compress(os.urandom(50_000).hex().encode())[:-5000])
    with pytest.raises(SourceError, match=r"c\.tsv\.gz: damaged or cut short"):
        list(blocks(path))


@pytest.mark.parametrize("name", ["ft911_1.Z", "fb396001.z"])
def test_unix_compress_says_how_to_go_on(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x1f\x9d")
    with pytest.raises(SourceError, match="gzip -d"):
        list(blocks(tmp_path / name))


def test_quotes_and_lone_returns_do_not_join_or_cut_lines(tmp_path):
    path = tmp_path / "c.tsv"
    path.write_bytes('1\t"open quote\n2\tcar\rriage\n3\tclose"\n4\t\u2028 sep\x0b\n5\t'.encode())
    assert rows_of(pairs(path)) == [
        ("1", '"open quote'),
        ("2", "car\rriage"),
        ("3", 'close"'),
        ("4", "\u2028 sep\x0b"),
        ("5", ""),
    ]


def test_windows_lines_and_byte_order_mark(tmp_path):
    path = tmp_path / "c.tsv"
    path.write_bytes(b"\xef\xbb\xbf1\ta\r\n2\tb\r\n")
    assert rows_of(pairs(path)) == [("1", "a"), ("2", "b")]


def test_blank_lines_are_skipped_and_counted(tmp_path):
    path = tmp_path / "c.tsv"
    path.write_bytes(b"1\ta\n\n2\tb\n3\n")
    with pytest.raises(SourceError, match=r"c\.tsv:4: 1 columns \(id '3'\) where 2 are"):
        rows_of(pairs(path))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"1\ta\n2\tb\xff\n", r"c\.tsv:2: invalid UTF-8 \(byte 0xff\).*'2\\tb"),
        (b"1\ta\n2\tb\n3\tx\x00y\n", r"c\.tsv:3: a NUL character"),
        (b"1\ta\tb\n", r"c\.tsv:1: 3 columns \(id '1'\)"),
        ("1\ta\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_bad_bytes_name_file_line_and_row(tmp_path, data, message):
    path = tmp_path / "c.tsv"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=message):
        rows_of(pairs(path))


def test_line_longer_than_a_block_is_whole(tmp_path):
    path = tmp_path / "c.tsv"
    long = "x" * 300_000
    path.write_text(f"1\tshort\n2\t{long}\n3\tend\n", "utf-8")
    got = list(raw_blocks(path, 4096))
    assert b"".join(block.data for block in got) == path.read_bytes()
    assert [block.first_line for block in got] == sorted(block.first_line for block in got)
    assert rows_of(pairs(path))[1] == ("2", long)
    assert MAX_LINE_BYTES >= 2 << 20


def test_first_line_of_an_empty_file(tmp_path):
    (tmp_path / "e.tsv").write_bytes(b"")
    assert first_line(tmp_path / "e.tsv") == ""


FIELD = st.text(st.characters(blacklist_characters="\t\n\r\0", blacklist_categories=["Cs"]), max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(FIELD.filter(str.strip), FIELD), min_size=1, max_size=20), st.integers(1, 40))
def test_tsv_round_trip(tmp_path_factory, rows, size):
    path = tmp_path_factory.getbasetemp() / "round.tsv"
    path.write_bytes("".join(f"{a}\t{b}\n" for a, b in rows).encode())
    if rows[0][0].startswith("\ufeff"):
        return
    assert rows_of(pairs(path)) == rows
    assert b"".join(block.data for block in raw_blocks(path, size)) == path.read_bytes()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(min_size=1).filter(lambda t: "\0" not in t), st.text().filter(lambda t: "\0" not in t)),
        min_size=1,
        max_size=10,
    ),
    st.booleans(),
)
def test_jsonl_fast_and_slow_readers_agree(tmp_path_factory, rows, ascii_only):
    path = tmp_path_factory.getbasetemp() / "round.jsonl"
    text = "".join(
        json.dumps({"doc_id": a, "text": b, "metadata": {"k": [1, a]}}, ensure_ascii=ascii_only) + "\n" for a, b in rows
    )
    file = TableFile(path, "jsonl", PAIR)
    path.write_bytes(text.encode())
    fast = rows_of(file)
    path.write_bytes(b"\n" + text.encode())
    assert fast == rows_of(file) == rows


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"doc_id": "b"}', r"c\.jsonl:2: id 'b': no 'text'"),
        ('{"doc_id": null, "text": "x"}', r"c\.jsonl:2:.*'doc_id' holds NoneType"),
        ('{"doc_id": "b", "text": ["x"]}', r"'text' holds list"),
        ('{"doc_id": "b", "text": "x\\u0000"}', r"id 'b': a NUL character"),
        ('{"doc_id": "b", "text": "\\ud83d"}', r"half a surrogate pair"),
        ('{"doc_id": "b", "text": "x"', r"c\.jsonl:2: not JSON"),
        ('{"doc_id": "b", "text": "x"}{"doc_id": "c", "text": "y"}', r"c\.jsonl:2: not JSON"),
        ("[1]", r"c\.jsonl:2: not a JSON object"),
    ],
)
def test_bad_json_names_file_line_and_id(tmp_path, line, message):
    path = tmp_path / "c.jsonl"
    path.write_text('{"doc_id": "a", "text": "x"}\n' + line + "\n", "utf-8")
    with pytest.raises(SourceError, match=message):
        rows_of(TableFile(path, "jsonl", PAIR))


def test_json_keeps_dates_as_they_are_and_takes_whole_numbers_as_ids(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text('{"doc_id": 7, "text": "2020-01-01T00:00:00Z"}\n{"doc_id": "8", "text": null}\n', "utf-8")
    assert rows_of(TableFile(path, "jsonl", PAIR)) == [("7", "2020-01-01T00:00:00Z"), ("8", "")]


def test_digest_is_remembered_until_the_file_changes(tmp_path):
    path, cache = tmp_path / "f", tmp_path / "cache"
    path.write_bytes(b"one")
    first = digests.file_sha256(path, cache)
    assert not list(cache.glob("*")), "a file written just now may change within its time stamp"
    old = time.time() - 100
    os.utime(path, (old, old))
    assert digests.file_sha256(path, cache) == first
    (entry,) = cache.iterdir()
    entry.write_text("f" * 64)
    assert digests.file_sha256(path, cache) == "f" * 64
    path.write_bytes(b"two!")
    assert digests.file_sha256(path, cache) not in (first, "f" * 64)
    with pytest.raises(SourceError, match="cannot be read"):
        digests.file_sha256(tmp_path / "none", cache)
