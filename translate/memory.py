"""The `memory` engine: an existing translation, as TSV, TMX, JSONL or Parquet, used as an engine."""

from __future__ import annotations

import functools
import json
import re
import sqlite3
import tempfile
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa
import xxhash

from dsbuild import languages
from dsbuild.engine import Capabilities, Output, Request, Terms
from dsbuild.errors import EngineError, StoreError, UnknownName

_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"

_PAIR = ("text_a", "text_b", "lang_a", "lang_b")

Pair = tuple[str, str, str, str]  # src language, tgt language, source text, target text


class MemoryEngine:
    """Looks every segment up in a file of translations; what is not there fails with the reason `missing`.

    file: `.tsv` (src, tgt with a header of language codes: one column per language, or `src`/`tgt` columns), `.tmx`,
    `.jsonl` (objects with language codes as keys, or `src`, `tgt`, `src_lang`, `tgt_lang`), `.parquet` (the same columns); a table of pairs
    (`text_a`, `text_b`, `lang_a`, `lang_b`) is read in all of them but `.tmx`.
    Texts match after trimming and collapsing white space (NFC); the first translation of a source text counts.
    unit: "passage" where the file translates whole texts and not sentences; origin: "machine" or "human", who translated the
    file (for the card). The pairs are indexed in a temporary file, so
    memory stays flat.
    """

    name: ClassVar[str] = "memory"
    capabilities: Capabilities = Capabilities(protects=())

    def __init__(
        self, file: str | Path, license: str = "", unit: Literal["sentence", "passage"] = "sentence", origin: Literal["machine", "human", ""] = "",
    ) -> None:  # fmt: skip
        if unit not in ("sentence", "passage"):
            raise UnknownName("unit", unit, ["sentence", "passage"])
        if origin not in ("machine", "human", ""):
            raise UnknownName("origin", origin, ["machine", "human"])
        self.capabilities = Capabilities(unit=unit, protects=())
        self.file = Path(file)
        self.license = license
        self.origin = origin
        if not self.file.is_file():
            raise EngineError(f"{self.file}: no such file; name the translations with --set engine.file=FILE.tsv")
        self._digest = ""
        self._base: sqlite3.Connection | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def fingerprint(self) -> dict[str, str | int | float | bool | None]:
        """Name, version and the digest of the file."""
        if not self._digest:
            state = xxhash.xxh3_128()
            with self.file.open("rb") as handle:
                while block := handle.read(1 << 20):
                    state.update(block)
            self._digest = state.hexdigest()
        return {"engine": self.name, "version": 1, "file_digest": self._digest}

    def terms(self) -> Terms:
        """The file's licence, if the user named it."""
        return Terms(
            self.license or "unknown",
            self.file.name,
            "" if self.license else "name the file's licence with --set engine.license=…",
            self.origin,
        )

    def check(self, src: str, tgts: Sequence[str]) -> None:
        """Every direction needs at least one pair."""
        for tgt in tgts:
            if (
                not self._index()
                .execute("SELECT 1 FROM pairs WHERE src = ? AND tgt = ? LIMIT 1", (src, tgt))
                .fetchone()
            ):
                found = sorted({f"{a} -> {b}" for a, b in self._index().execute("SELECT DISTINCT src, tgt FROM pairs")})
                raise EngineError(f"{self.file}: no pair {src} -> {tgt}; it has {', '.join(found[:20]) or 'none'}")

    def count_tokens(self, texts: Sequence[str], src: str) -> list[int]:
        """Words: nothing is decoded, so the number only sizes batches."""
        return [len(text.split()) + 1 for text in texts]

    def translate_batches(self, batches: Sequence[Sequence[Request]]) -> Iterator[tuple[int, list[Output]]]:
        """Look up every request."""
        base = self._index()
        for number, batch in enumerate(batches):
            yield number, [self._look_up(base, request) for request in batch]

    def _look_up(self, base: sqlite3.Connection, request: Request) -> Output:
        row = base.execute(
            "SELECT text FROM pairs WHERE src = ? AND tgt = ? AND key = ?",
            (request.src, request.tgt, _key(request.text)),
        ).fetchone()
        if row is None:
            return Output("", "error", error="missing: not in the file")
        words = len(request.text.split())
        return Output(row[0], n_src_tokens=words, n_tgt_tokens=len(row[0].split()))

    def close(self) -> None:
        """Remove the index."""
        if self._base is not None:
            self._base.close()
            self._base = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _index(self) -> sqlite3.Connection:
        if self._base is not None:
            return self._base
        folder = None
        try:
            folder = tempfile.TemporaryDirectory(prefix="dsbuild-memory-")
            base = sqlite3.connect(Path(folder.name) / "pairs.sqlite")
            with closing(base.cursor()) as cursor:
                cursor.execute("PRAGMA journal_mode = OFF")
                cursor.execute("PRAGMA synchronous = OFF")
                cursor.execute(
                    "CREATE TABLE pairs (src TEXT, tgt TEXT, key BLOB, text TEXT, PRIMARY KEY (src, tgt, key)) WITHOUT ROWID"
                )
                rows = (
                    (src, tgt, _key(source), target)
                    for src, tgt, source, target in read_pairs(self.file)
                    if source.strip()
                )
                cursor.executemany("INSERT OR IGNORE INTO pairs VALUES (?, ?, ?, ?)", rows)
            base.commit()
            self._base, self._folder = base, folder
        except (sqlite3.DatabaseError, FileNotFoundError) as error:
            raise StoreError(
                f"{self.file}: no index of it can be written to the temporary folder ({error}); free some space, or set TMPDIR to another one"
            ) from error
        finally:
            if self._base is None and folder is not None:
                folder.cleanup()
        return base


def _key(text: str) -> bytes:
    return xxhash.xxh3_128_digest(" ".join(unicodedata.normalize("NFC", text).split()).encode("utf-8"))


def read_pairs(file: Path) -> Iterator[Pair]:
    """All directed pairs of a file, in order."""
    suffix = file.suffix.lower()
    readers = {".tsv": _tsv_rows, ".jsonl": _jsonl_rows, ".parquet": _parquet_rows}
    if suffix != ".tmx" and suffix not in readers:
        raise UnknownName("translation file type", suffix or file.name, [".tsv", ".tmx", ".jsonl", ".parquet"])
    try:
        if suffix == ".tmx":
            yield from _tmx(file)
        else:
            for number, row in readers[suffix](file):
                yield from _directed(file, number, row)
    except UnicodeDecodeError as error:
        raise EngineError(
            f"{file}: invalid UTF-8 ({error.reason}, byte {error.object[error.start]:#04x}); convert it with iconv"
        ) from error


def _directed(file: Path, number: int, row: dict[str, Any]) -> Iterator[Pair]:
    if "src" in row and "tgt" in row:
        langs = row.get("src_lang"), row.get("tgt_lang")
        if not all(isinstance(lang, str) and lang for lang in langs):
            raise EngineError(f"{file}:{number}: columns src and tgt need src_lang and tgt_lang beside them")
        yield _code(str(langs[0])), _code(str(langs[1])), str(row["src"]), str(row["tgt"])
        return
    if set(_PAIR) <= set(row):
        text_a, text_b, lang_a, lang_b = (row[name] for name in _PAIR)
        if not all(isinstance(one, str) and one for one in (lang_a, lang_b)):
            raise EngineError(f"{file}:{number}: a pair without its languages; fill lang_a and lang_b")
        if isinstance(text_a, str) and isinstance(text_b, str):
            yield _code(lang_a), _code(lang_b), text_a, text_b
            yield _code(lang_b), _code(lang_a), text_b, text_a
        return
    texts = {_code(lang): text for lang, text in row.items() if isinstance(text, str) and text}
    for src, source in texts.items():
        for tgt, target in texts.items():
            if src != tgt:
                yield src, tgt, source, target


@functools.lru_cache(maxsize=1024)
def _code(said: str) -> str:
    """A code of a file as dsbuild spells it (`EN`, `no`, `zh-CN`); what is no code, such as the name of another column, as it is."""
    try:
        return languages.get(said).code
    except UnknownName:
        return said


def _tsv_rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with file.open(encoding="utf-8", newline="\n") as lines:
        header = next(lines, "").rstrip("\r\n").split("\t")
        if len(header) < 2:
            raise EngineError(
                f"{file}:1: the first line names the columns, such as en<TAB>hi or src<TAB>tgt<TAB>src_lang<TAB>tgt_lang"
            )
        for number, line in enumerate(lines, 2):
            cells = line.rstrip("\r\n").split("\t")
            if len(cells) != len(header):
                raise EngineError(f"{file}:{number}: {len(cells)} columns where the header has {len(header)}")
            yield number, dict(zip(header, cells, strict=True))


def _jsonl_rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise EngineError(f"{file}:{number}: not JSON ({error})") from error
                if not isinstance(row, dict):
                    raise EngineError(f"{file}:{number}: each line is an object with language codes as keys")
                yield number, row


def _parquet_rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    import pyarrow.parquet as pq

    number = 0
    try:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=8192):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except pa.ArrowException as error:
        raise EngineError(f"{file}: cannot be read as Parquet ({error})") from error


def _tmx(file: Path) -> Iterator[Pair]:
    try:
        body = None
        for event, element in ET.iterparse(file, ("start", "end")):
            if event == "start":
                body = element if element.tag == "body" else body
            elif element.tag == "tu":
                texts: dict[str, Any] = {}
                for variant in element.iter("tuv"):
                    lang = variant.get(_XML_LANG) or variant.get("lang") or ""
                    segment = variant.find("seg")
                    texts[_regionless(lang)] = "".join(segment.itertext()) if segment is not None else ""
                yield from _directed(file, 0, texts)
                # Without this the body would hold all units, empty as they are.
                (element if body is None else body).clear()
    except ET.ParseError as error:
        raise EngineError(f"{file}: not TMX ({error})") from error


def _regionless(lang: str) -> str:
    """A code of a TMX file without its region, which tools write as a rule (`en-US`); where the region says the script, it stays (`zh-TW`)."""
    code = _code(lang)
    return code if code != lang else re.sub(r"-([A-Za-z]{2}|\d{3})$", "", lang)
