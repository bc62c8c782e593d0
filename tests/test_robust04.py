"""TREC SGML documents, topics and qrels in the shape of Robust04; all texts written for this test."""

import gzip

import pyarrow as pa
import pytest

from dsbuild.builders.sources.source import open_source
from dsbuild.errors import SourceError, UnknownName

FT = """<DOC>
<DOCNO>FT911-1</DOCNO>
<HEADLINE>
FT  14 MAY 91 / Kettles
sell well
</HEADLINE>
<TEXT>
The kettle maker said on
Monday that tea &amp; toast
were in fashion.
    A second paragraph is
indented.
</TEXT>
</DOC>
<DOC>
<DOCNO> FT911-2 </DOCNO>
<TEXT>
Short.
</TEXT>
</DOC>
"""

FR = """<DOC>
<DOCNO> FR940104-0-1 </DOCNO>
<!-- PJG STAG 4700 -->
<TEXT>
<DOCTITLE>Rules for kettles</DOCTITLE>
Section&blank;1&hyph;A, if 3 < 4.
<!-- PJG 0012 -->
<P>
Next part.
</P>
</TEXT>
</DOC>
"""

TOPICS = """<top>
<num> Number: 301
<title> Kettle Fashion

<desc> Description:
Find documents on
kettles.

<narr> Narrative:
All kettles count.
</top>
<top>
<num> Number: 302
<title> Toast
<desc> Description:
Toast.
<narr> Narrative:
Toast.
</top>
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "ft/ft911").mkdir(parents=True)
    (tmp_path / "ft/ft911/ft911_1").write_text(FT, "utf-8")
    (tmp_path / "fr94/01").mkdir(parents=True)
    (tmp_path / "fr94/01/fr940104.0.gz").write_bytes(gzip.compress(FR.encode()))
    (tmp_path / "fr94/readmefr").write_text("not a document", "utf-8")
    (tmp_path / "cr/103").mkdir(parents=True)
    (tmp_path / "cr/103/cr93e1").write_text(FT, "utf-8")
    (tmp_path / "topics.robust04.txt").write_text(TOPICS, "utf-8")
    (tmp_path / "qrels.robust04.txt").write_text("301 0 FT911-1 2\n301 0 FT911-2 0\n302 0 FT911-1 1\n", "utf-8")
    return tmp_path


def read(source, table):
    return pa.Table.from_batches(list(source.read(table)))


def test_documents(folder):
    source = open_source(f"robust04:{folder}")
    rows = {row["doc_id"]: row for row in read(source, "corpus").to_pylist()}
    assert list(rows) == ["FR940104-0-1", "FT911-1", "FT911-2"]
    assert rows["FT911-1"]["title"] == "FT 14 MAY 91 / Kettles sell well"
    assert (
        rows["FT911-1"]["text"]
        == "The kettle maker said on Monday that tea & toast were in fashion.\n\nA second paragraph is indented."
    )
    assert rows["FR940104-0-1"]["text"] == "Rules for kettles\n\nSection 1-A, if 3 < 4.\n\nNext part."
    assert rows["FR940104-0-1"]["title"] == "Rules for kettles"
    assert rows["FT911-2"]["title"] == ""
    assert "Congressional Record" in source.notes()[0]


def test_lines_can_be_kept(folder):
    rows = read(open_source(f"robust04:{folder}", options={"layout": "keep"}), "corpus").to_pylist()
    assert rows[1]["text"].startswith("The kettle maker said on\nMonday")


@pytest.mark.parametrize(
    ("field", "text"),
    [("title", "Kettle Fashion"), ("desc", "Find documents on kettles."), ("narr", "All kettles count.")],
)
def test_topics(folder, field, text):
    queries = read(open_source(f"robust04:{folder}", options={"query_field": field}), "queries")
    assert queries["query_id"].to_pylist() == ["301", "302"]
    assert queries["text"][0].as_py() == text


def test_qrels_keep_their_zeros(folder):
    source = open_source(f"robust04:{folder}")
    assert read(source, "qrels")["relevance"].to_pylist() == [2, 0, 1]
    assert source.facts().evaluation
    assert source.facts().lang == "en"


def test_latin1_is_declared(folder):
    (folder / "ft/ft911/ft911_1").write_bytes(FT.replace("Monday", "caf\u00e9").encode("latin-1"))
    source = open_source(f"robust04:{folder}")
    assert "café" in read(source, "corpus")["text"][1].as_py()
    assert "1 documents are not UTF-8 and were read as Latin-1" in source.notes()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("ft911_2.Z", b"\x1f\x9d", "gzip -df"),
        ("fb.0z", b"\x1f\x9d", "gzip -df"),
        ("ft911_2", b"<DOC>\n<DOCNO>X</DOCNO>\n", r"ft911_2:1: a <DOC> without its </DOC>"),
        ("ft911_2", b"\n<DOC>\n<TEXT>x</TEXT></DOC>\n", r"ft911_2:2: a <DOC> without <DOCNO>"),
        ("ft911_2", b"<DOC><DOCNO>X</DOCNO>\0</DOC>\n", "a NUL character"),
        ("ft911_2", b"<DOC><DOCNO> </DOCNO></DOC>\n", "doc_id '' is empty"),
    ],
)
def test_bad_documents(folder, name, data, message):
    (folder / "ft/ft911" / name).write_bytes(data)
    with pytest.raises(SourceError, match=message):
        read(open_source(f"robust04:{folder}"), "corpus")


@pytest.mark.parametrize(
    ("remove", "message"),
    [("topics.robust04.txt", "source.options.topics=FILE"), ("qrels.robust04.txt", "no qrels found")],
)
def test_missing_files(folder, remove, message):
    (folder / remove).unlink()
    with pytest.raises(SourceError, match=message):
        open_source(f"robust04:{folder}")


def test_unknown_query_field(folder):
    with pytest.raises(UnknownName, match="Did you mean 'title'"):
        open_source(f"robust04:{folder}", options={"query_field": "titel"})


def test_many_documents_across_blocks(folder, monkeypatch):
    body = "".join(f"<DOC>\n<DOCNO>D-{i}</DOCNO>\n<TEXT>\nText {i}.\n</TEXT>\n</DOC>\n" for i in range(3000))
    (folder / "ft/ft911/ft911_1").write_text(body, "utf-8")
    assert read(open_source(f"robust04:{folder}"), "corpus").num_rows == 3001
