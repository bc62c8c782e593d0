"""Measures of the tables of a release: rows, nulls, text lengths, origins and scores of a split, in one pass and bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dsbuild.cards.facts import SplitFacts, Spread, TextFacts
from dsbuild.filters.characters import MARK, NUMERAL, kind_table, unicode_bits
from dsbuild.filters.utf8 import buffers, compiled, decode
from dsbuild.filters.word_kernel import NONE, SPACED, begins, extends
from dsbuild.tables import SCHEMAS

BATCH_ROWS = 65_536
_DIGITS = 4  # significant ones that are kept of a score
_PERCENTILES = (5, 25, 50, 75, 95)

# The text columns of each table, and the column that says in which language each is.
TEXTS: dict[str, tuple[tuple[str, str], ...]] = {
    "corpus": (("title", "lang"), ("text", "lang")),
    "queries": (("text", "lang"),),
    "documents": (("text", "lang"),),
    "pairs": (("text_a", "lang_a"), ("text_b", "lang_b")),
    "labelled": (("text", "lang"),),
}

# Who wrote a text, by its language and by what the row says of it ("" where its table has no such column).
OriginOf = Callable[[str, str], str]


@dataclass
class Tally:
    """How often each value occurs; memory grows with distinct values, so scores are rounded before they come here."""

    counts: Counter[float] = field(default_factory=Counter)
    missing: int = 0

    def add(self, values: npt.NDArray[Any], missing: int = 0) -> None:
        """Count some values."""
        found, numbers = np.unique(values, return_counts=True)
        for value, number in zip(found.tolist(), numbers.tolist(), strict=True):
            self.counts[value] += number
        self.missing += missing

    @property
    def total(self) -> int:
        """The sum of all values, which are whole numbers."""
        return int(sum(value * number for value, number in self.counts.items()))

    def spread(self) -> Spread:
        """Percentiles by nearest rank.

        >>> tally = Tally(); tally.add(np.array([1, 2, 3, 4])); tally.spread().p50
        2
        """
        n = sum(self.counts.values())
        if not n:
            return Spread(0, self.missing)
        ordered = sorted(self.counts)
        until = np.cumsum([self.counts[value] for value in ordered])
        ranks = [-(-n * percent // 100) for percent in _PERCENTILES]
        chosen = [ordered[int(np.searchsorted(until, rank))] for rank in ranks]
        return Spread(n, self.missing, *(_plain(value) for value in (ordered[0], *chosen, ordered[-1])))


def _plain(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.{_DIGITS}g}")


def rounded(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Values with four significant digits, so that however many rows there are, few values differ; whole numbers as they are."""
    if values.dtype.kind in "iub":
        return values.astype(np.int64)
    with np.errstate(divide="ignore"):
        size = np.floor(np.log10(np.abs(values, where=values != 0, out=np.ones_like(values, np.float64))))
    scale = 10.0 ** (_DIGITS - 1 - size)
    near: npt.NDArray[Any] = np.round(values * scale) / scale
    return near


@dataclass
class _Texts:
    characters: Tally = field(default_factory=Tally)
    words: Tally = field(default_factory=Tally)

    def facts(self) -> TextFacts:
        by_characters, by_words = self.characters.spread(), self.words.spread()
        return TextFacts(by_characters.n, self.characters.total, self.words.total, by_characters, by_words)


def measure_split(
    config: str, about: Mapping[str, Any], split: str, paths: Sequence[Path], origin_of: OriginOf
) -> SplitFacts:
    """The facts of one split of a configuration, from its files; `about` is the manifest's entry of the configuration."""
    table = about["table"]
    schema = pq.read_schema(paths[0])
    fields = [(text, lang) for text, lang in TEXTS.get(table, ()) if text in schema.names]
    known = {column.name for column in SCHEMAS.get(table, pa.schema([]))} | {"duplicate_of", "component", "flag"}
    if table == "pairs":
        known.discard("score")  # what the pair is graded with, not what names it
    scores = {column.name: Tally() for column in schema if column.name not in known and _is_number(column.type)}
    nulls, empty = Counter[str](), Counter[str]()
    langs, labels, origins, flags, grades = (
        Counter[str](),
        Counter[str](),
        Counter[str](),
        Counter[str](),
        Counter[str](),
    )
    texts: dict[tuple[str, str], _Texts] = {}
    rows = 0
    for batch in _batches(paths):
        rows += batch.num_rows
        for column in schema:
            nulls[column.name] += batch[column.name].null_count
            if pa.types.is_string(column.type):
                empty[column.name] += pc.sum(pc.equal(batch[column.name], "")).as_py() or 0
        for column in dict.fromkeys(lang for _, lang in fields):
            langs.update(_counts(batch[column]))
        for name, into in (("language_label", labels), ("flag", flags)):
            if name in schema.names:
                into.update(
                    {value: number for value, number in _counts(batch[name]).items() if value or into is labels}
                )
        for text, lang in fields:
            _measure_texts(batch[text], batch[lang], text, texts)
        origins.update(_origins(batch, fields, origin_of))
        if table == "qrels":
            grades.update({str(value): number for value, number in _counts(batch["relevance"]).items()})
        for name, tally in scores.items():
            values = batch[name].drop_null()
            if pa.types.is_boolean(values.type):
                values = values.cast(pa.int8())
            numbers = values.to_numpy()
            sound = numbers[np.isfinite(numbers)]
            tally.add(rounded(sound), batch.num_rows - len(sound))
    return SplitFacts(
        config, table, about["lang"], split, rows, sum(path.stat().st_size for path in paths),
        tuple((column.name, str(column.type)) for column in schema), _some(nulls), _some(empty), _some(langs), _some(labels), _some(origins),
        _by_lang(texts), repeated(paths, [text for text, _ in fields]) if fields else None, _some(grades),
        per_query(paths) if table == "qrels" else None, targets(table, paths), {name: tally.spread() for name, tally in scores.items()}, _some(flags),
    )  # fmt: skip


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _batches(paths: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    for path in paths:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(BATCH_ROWS, use_threads=False)


def _counts(column: pa.Array) -> dict[Any, int]:
    found = pc.value_counts(column)
    return {one["values"]: one["counts"] for one in found.to_pylist() if one["values"] is not None}


def _some(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: number for name, number in sorted(counts.items()) if number}


def _measure_texts(texts: pa.Array, langs: pa.Array, name: str, into: dict[tuple[str, str], _Texts]) -> None:
    characters, words = sizes(texts)
    codes = langs.dictionary_encode()
    places = codes.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    for place, lang in enumerate(codes.dictionary.to_pylist()):
        here = places == place
        one = into.setdefault((lang, name), _Texts())
        one.characters.add(characters[here])
        one.words.add(words[here])


def _by_lang(texts: Mapping[tuple[str, str], _Texts]) -> dict[str, dict[str, TextFacts]]:
    found: dict[str, dict[str, TextFacts]] = {}
    for (lang, name), one in sorted(texts.items()):
        found.setdefault(lang, {})[name] = one.facts()
    return found


def _origins(batch: pa.RecordBatch, fields: Sequence[tuple[str, str]], origin_of: OriginOf) -> Counter[str]:
    """Texts by who wrote them; a title goes with its text."""
    found: Counter[str] = Counter()
    said = batch["origin"] if "origin" in batch.schema.names else pa.array([""] * batch.num_rows, pa.string())
    for lang in dict.fromkeys(lang for _, lang in fields):
        pairs = (
            pa.table([batch[lang], said], names=["lang", "said"])
            .group_by(["lang", "said"])
            .aggregate([([], "count_all")])
        )
        for row in pairs.to_pylist():
            found[origin_of(row["lang"] or "", row["said"] or "")] += row["count_all"]
    return found


def repeated(paths: Sequence[Path], columns: Sequence[str]) -> int:
    """Rows all of whose texts stand in another row before; by 64-bit hashes, counted outside of memory where they are many."""
    names = ", ".join(columns)
    query = f"SELECT coalesce(sum(n) - count(*), 0) FROM (SELECT count(*) AS n FROM read_parquet($1) GROUP BY hash({names}))"
    return int(ask(query, [[str(path) for path in paths]])[0][0])


def per_query(paths: Sequence[Path]) -> Spread:
    """How many judgements queries have."""
    tally = Tally()
    query = "SELECT n, count(*) FROM (SELECT count(*) AS n FROM read_parquet($1) GROUP BY query_id) GROUP BY n"
    for n, queries in ask(query, [[str(path) for path in paths]]):
        tally.counts[n] += queries
    return tally.spread()


# What each table's rows are labelled with: a span in several pieces is one span.
_TARGETS = {
    "labelled": {
        "spans": "SELECT label, count(*) FROM (SELECT DISTINCT id, s.span_id, s.label AS label FROM (SELECT id, unnest(spans) AS s FROM "
        "read_parquet($1))) GROUP BY label ORDER BY label",
        "relations": "SELECT r.label, count(*) FROM (SELECT unnest(relations) AS r FROM read_parquet($1)) GROUP BY ALL ORDER BY ALL",
    },
    "pairs": {"label": "SELECT label, count(*) FROM read_parquet($1) WHERE label IS NOT NULL GROUP BY label ORDER BY label"},
}  # fmt: skip


def targets(table: str, paths: Sequence[Path]) -> dict[str, dict[str, int]]:
    """How often each label occurs, by kind; a kind without any is left out."""
    found = {kind: dict(ask(query, [[str(path) for path in paths]])) for kind, query in _TARGETS.get(table, {}).items()}
    return {kind: counts for kind, counts in found.items() if counts}


def ask(query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows that a query over Parquet files gives, in bounded memory."""
    import tempfile

    import duckdb

    with tempfile.TemporaryDirectory() as folder, duckdb.connect(config={"temp_directory": folder}) as base:
        base.execute("SET memory_limit = '1GB'")
        base.execute("SET threads = 1")
        return base.execute(query, values).fetchall()


def sizes(texts: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Code points and words (`dsbuild.text.words`) of each text.

    >>> [counts.tolist() for counts in sizes(pa.array(["Rain, at 7:30.", "", "नदी बहती है"]))]
    [[14, 0, 11], [4, 0, 3]]
    """
    data, offsets = buffers(texts)
    characters, words = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.int64)
    _sizes(data, offsets, kind_table(), unicode_bits(), characters, words)
    return characters, words


@compiled
def _sizes(data: Any, offsets: Any, kinds: Any, bits: Any, characters: Any, words: Any) -> None:
    for text in range(len(offsets) - 1):
        index: Any = offsets[text]
        end = offsets[text + 1]
        before: Any = 0
        state = NONE
        while index < end:
            code, index = decode(data, index)
            kind = kinds[code]
            characters[text] += 1
            # Most code points are letters of a word between spaces, and take no look around.
            if state != SPACED or not 0 < kind <= MARK:
                following = NONE
                if state != NONE:
                    after_digit = (bits[before] & NUMERAL) > 0
                    following = extends(state, kind, code, before, after_digit, data, index, end, kinds, bits)
                if following == NONE:
                    following = begins(kind)
                    words[text] += following != NONE
                state = following
            before = code
