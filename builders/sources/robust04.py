"""TREC Robust 2004: SGML documents of TREC disks 4 and 5 (without the Congressional Record), topics and qrels."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pyarrow as pa

from dsbuild.builders.sources.filesource import About, FileSource, Layout, no_qrels
from dsbuild.builders.sources.lines import raw_blocks
from dsbuild.builders.sources.qrels import qrels_file
from dsbuild.builders.sources.rows import Chunk, TableFile
from dsbuild.builders.sources.source import Opening, as_table, constant
from dsbuild.builders.sources.validate import check_ids
from dsbuild.errors import SourceError, UnknownName
from dsbuild.tables import CORPUS, QUERIES, RetrievalTable

LICENSE = "TREC disks 4 and 5: NIST's data agreement, research only"
URL = "https://trec.nist.gov/data/robust/04.guidelines.html"
CITATION = "Voorhees 2004. Overview of the TREC 2004 Robust Retrieval Track"

# Longest document that is held in memory while its end is looked for; the set's longest is under 3 MB.
MAX_DOC_BYTES = 64 << 20
_ROWS = 1_024

_COMPRESSED = re.compile(r"\.\d*z$", re.IGNORECASE)
_NOT_DOCUMENTS = re.compile(
    r"^(read|\.)|\.(dtd|md|txt|tsv|pdf|gif|c|h|pl|sh)(\.gz)?$|topics|qrels|testset|doctype", re.IGNORECASE
)
_DOCNO = re.compile(r"<DOCNO>(.*?)</DOCNO>", re.DOTALL | re.IGNORECASE)
_TEXT = re.compile(r"<TEXT>(.*?)</TEXT>", re.DOTALL | re.IGNORECASE)
_TITLES = tuple(
    re.compile(rf"<{tag}>(.*?)</{tag}>", re.DOTALL | re.IGNORECASE)
    for tag in ("HEADLINE", "TI", "DOCTITLE", "HEAD", "TTL")
)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_PARAGRAPH = re.compile(r"</?(?:P|H[0-9]|TEXT|TABLE|TABLEROW|BYLINE|DOCTITLE)\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
# A paragraph begins after a blank line or with an indented line; other line ends are the page's, not the text's.
_BREAK = re.compile(r"\n[ \t]*\n\s*|\n(?=[ \t]{2,}\S)")
# Names that the Federal Register files use and HTML does not know.
_ENTITIES = {"&blank;": " ", "&hyph;": "-", "&cir;": "○", "&bullet;": "•"}
_TOPIC = re.compile(r"<top>(.*?)</top>", re.DOTALL | re.IGNORECASE)
_FIELDS = {"title": r"<title>(.*?)(?=<desc>|<narr>|$)", "desc": r"<desc>(.*?)(?=<narr>|$)", "narr": r"<narr>(.*)$"}
_LABEL = re.compile(r"^\s*(?:Topic|Description|Narrative):", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Document:
    """One document: its number, title ("" if none) and text, and whether it had to be read as Latin-1."""

    docno: str
    title: str
    text: str
    latin1: bool
    line: int


class Robust04Source(FileSource):
    """Open robust04:DIR: folders of documents (fbis, fr94, ft, latimes), a file of topics and one of qrels.

    Options: `topics=FILE` and `qrels=FILE` where their names in DIR do not tell them; `query_field` title (if not
    said), desc or narr; `layout=keep` leaves lines as they are. Otherwise lines of a paragraph are joined, because
    the line ends of these files are the page's. Tags and comments go, entities become characters. A document that is
    not UTF-8 is read as Latin-1 and counted in `notes`. Files of Unix compress must be decompressed first.
    """

    def __init__(self, opening: Opening) -> None:
        opening.only_options("topics", "query_field", "layout")
        opening.no_columns()
        if opening.lang not in (None, "en"):
            raise SourceError(f"{opening.spec}: Robust04 is English; leave out the language {opening.lang!r}")
        folder = opening.folder()
        self.query_field = opening.options.get("query_field", "title")
        if self.query_field not in _FIELDS:
            raise UnknownName("query_field", self.query_field, _FIELDS)
        self.keep_lines = opening.options.get("layout") == "keep"
        self._latin1 = 0
        topics = _named(opening, folder, "topics", ("*topics*", "*testset*"))
        qrels = None if opening.without_qrels else _named(opening, folder, "qrels", ("*qrels*",))
        if topics is None:
            raise SourceError(
                f"{opening.spec}: no file of topics in {folder}; name it: --set source.options.topics=FILE"
            )
        if qrels is None and not opening.without_qrels:
            raise SourceError(no_qrels(opening.spec, str(folder)))
        files, remarks = _document_files(opening.spec, folder)
        layout = Layout(
            folder,
            tuple(TableFile(path, "spaced", {}) for path in files),
            (TableFile(topics, "spaced", {}, split="test"),),
            (qrels_file(qrels, "test", {}),) if qrels else (),
            "test",
            tuple(remarks),
        )
        super().__init__(opening, About("robust04", "en", LICENSE, citation=CITATION, url=URL), layout)

    def notes(self) -> list[str]:
        """What was left out, and how many documents were read as Latin-1."""
        said = super().notes()
        return [*said, f"{self._latin1} documents are not UTF-8 and were read as Latin-1"] if self._latin1 else said

    def _rows(self, table: RetrievalTable) -> Iterator[pa.Table]:
        if table == "qrels":
            yield from super()._rows(table)
        elif table == "queries":
            yield self._topics(self.layout.queries[0].path)
        else:
            self._latin1 = 0
            for file in self.layout.corpus:
                yield from self._documents(file.path)

    def _documents(self, path: Path) -> Iterator[pa.Table]:
        waiting: list[Document] = []
        for document in documents(path, keep_lines=self.keep_lines):
            waiting.append(document)
            if len(waiting) == _ROWS:
                yield self._table(path, waiting)
                waiting = []
        if waiting:
            yield self._table(path, waiting)

    def _table(self, path: Path, rows: list[Document]) -> pa.Table:
        self._latin1 += sum(row.latin1 for row in rows)
        ids = check_ids(
            Chunk(path, {"doc_id": pa.array([row.docno for row in rows], pa.string())}, [row.line for row in rows]),
            "doc_id",
        )
        return as_table(
            CORPUS,
            doc_id=ids,
            title=pa.array([row.title for row in rows], pa.string()),
            text=pa.array([row.text for row in rows], pa.string()),
            lang=constant("en", len(rows)),
            source=constant(self.about.name, len(rows)),
            group_id=ids,
        )

    def _topics(self, path: Path) -> pa.Table:
        rows = topics(path, self.query_field)
        ids = check_ids(
            Chunk(
                path,
                {"query_id": pa.array([number for number, _, _ in rows], pa.string())},
                [line for _, _, line in rows],
            ),
            "query_id",
        )
        n_rows = len(rows)
        return as_table(
            QUERIES,
            query_id=ids,
            text=pa.array([text for _, text, _ in rows], pa.string()),
            lang=constant("en", n_rows),
            source=constant(self.about.name, n_rows),
            origin=constant("human", n_rows),
            split=constant("test", n_rows),
        )


def documents(path: Path, *, keep_lines: bool = False) -> Iterator[Document]:
    """The documents of one SGML file, in order; one that has no end or no number is a `SourceError`."""
    held = b""
    line = 1
    for block in raw_blocks(path):
        held += block.data
        start = 0
        while (begin := held.find(b"<DOC>", start)) >= 0 and (end := held.find(b"</DOC>", begin)) >= 0:
            line += held.count(b"\n", start, begin)
            yield _document(path, line, held[begin + 5 : end], keep_lines)
            line += held.count(b"\n", begin, end)
            start = end + 6
        held = held[start:]
        if len(held) > MAX_DOC_BYTES:
            raise SourceError(
                f"{path}:{line}: no </DOC> in {MAX_DOC_BYTES >> 20} MiB; the file is damaged, or not one of documents"
            )
    if (begin := held.find(b"<DOC>")) >= 0:
        line += held.count(b"\n", 0, begin)
        raise SourceError(f"{path}:{line}: a <DOC> without its </DOC>; the file is cut short, fetch it again")


def _document(path: Path, line: int, raw: bytes, keep_lines: bool) -> Document:
    if b"\0" in raw:
        raise SourceError(f"{path}:{line}: a NUL character in the document; remove it: tr -d '\\000'")
    text, latin1 = _decoded(raw)
    found = _DOCNO.search(text)
    if not found:
        raise SourceError(f"{path}:{line}: a <DOC> without <DOCNO>")
    text = _COMMENT.sub("", text)
    title = next((_plain(match[1], keep_lines=False) for pattern in _TITLES if (match := pattern.search(text))), "")
    body = "\n\n".join(filter(None, (_plain(part, keep_lines=keep_lines) for part in _TEXT.findall(text))))
    return Document(found[1].strip(), title.replace("\n\n", " "), body, latin1, line)


def _decoded(raw: bytes) -> tuple[str, bool]:
    try:
        return raw.decode("utf-8"), False
    except UnicodeDecodeError:
        return raw.decode("latin-1"), True


def _plain(markup: str, *, keep_lines: bool) -> str:
    """Marked-up text without its tags, paragraphs parted by a blank line."""
    text = _TAG.sub("", _PARAGRAPH.sub("\n\n", markup))
    for name, character in _ENTITIES.items():
        text = text.replace(name, character)
    text = html.unescape(text)
    if keep_lines:
        return text.strip("\n")
    return "\n\n".join(filter(None, (" ".join(part.split()) for part in _BREAK.split(text))))


def topics(path: Path, field: str) -> list[tuple[str, str, int]]:
    """The topics of a file as (number, text of the field, line)."""
    data = b"".join(block.data for block in raw_blocks(path))
    text, _ = _decoded(data)
    rows: list[tuple[str, str, int]] = []
    for top in _TOPIC.finditer(text):
        line = text.count("\n", 0, top.start()) + 1
        number = re.search(r"<num>\s*(?:Number:)?\s*([^\s<]+)", top[1], re.IGNORECASE)
        said = re.search(_FIELDS[field], top[1], re.DOTALL | re.IGNORECASE)
        if not number or not said:
            raise SourceError(f"{path}:{line}: a topic without {'<num>' if not number else f'<{field}>'}")
        rows.append((number[1], " ".join(_LABEL.sub("", _TAG.sub("", said[1])).split()), line))
    if not rows:
        raise SourceError(f"{path}: no <top> in it; is it a TREC file of topics?")
    return rows


def _named(opening: Opening, folder: Path, option: str, patterns: tuple[str, ...]) -> Path | None:
    """The file that the option names, else the one in the folder that a pattern matches."""
    if said := opening.options.get(option):
        return Path(said).expanduser()
    for pattern in patterns:
        found = sorted(path for path in folder.iterdir() if path.is_file() and fnmatch(path.name.lower(), pattern))
        if len(found) > 1:
            raise SourceError(
                f"{opening.spec}: {', '.join(path.name for path in found)} may all be the {option}; "
                f"say which: --set source.options.{option}=FILE"
            )
        if found:
            return found[0]
    return None


def _document_files(spec: str, folder: Path) -> tuple[list[Path], list[str]]:
    """The files of documents in a fixed order, and what was left out."""
    files: list[Path] = []
    remarks: list[str] = []
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        inner = path.relative_to(folder)
        if not path.is_file() or _NOT_DOCUMENTS.search(path.name) or any(part.startswith(".") for part in inner.parts):
            continue
        if inner.parts[0].lower() == "cr":
            if not remarks:
                remarks.append("the Congressional Record (cr) is on the disks and not in Robust04: not read")
            continue
        if _COMPRESSED.search(path.name):
            raise SourceError(
                f"{spec}: {path} is of Unix compress; decompress all such files first: "
                f"find {folder} -iname '*z' -exec gzip -df {{}} +"
            )
        files.append(path)
    if not files:
        raise SourceError(f"{spec}: no document files in {folder}; it needs folders such as fbis, fr94, ft and latimes")
    return files, remarks
