"""The first stages of every build on a retrieval set: read the source, and check it as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dsbuild.builders.sources.source import Source, SourceFacts
from dsbuild.builders.sources.text_language import IDENTIFIED
from dsbuild.builders.sources.validate import OnMissing, check_tables
from dsbuild.errors import SourceError
from dsbuild.stage import Counts, Result, Shard, Shards, Workspace, verdict
from dsbuild.tables import RETRIEVAL, RETRIEVAL_TABLES, RetrievalTable

# Rows of a table whose language is looked at, and how much of each; the score (0-1) below which a text is called foreign.
_MAX_IDENTIFIED = 10_000
_IDENTIFIED_CHARS = 1_000
_MIN_LANGUAGE_SCORE = 0.2
# A shard is in memory as a whole wherever it is worked on, so long documents make shards of fewer rows.
SHARD_BYTES = 32 << 20


@dataclass(frozen=True)
class ReadSource:
    """Read a source into canonical tables, in its own order. What decides the output are the files, not where they lie."""

    kind: str
    lang: str
    name_of_set: str
    files: tuple[str, ...]
    revision: str | None
    columns: Mapping[str, str]
    options: Mapping[str, str]
    source: Source = field(compare=False)

    name: ClassVar[str] = "read"
    version: ClassVar[int] = 2
    resident: ClassVar[bool] = True

    @classmethod
    def of(
        cls, source: Source, facts: SourceFacts, columns: Mapping[str, str], options: Mapping[str, str]
    ) -> ReadSource:
        """The stage for an open source. Options that name files count by the digests of these files."""
        files = tuple(f"{file.name} {file.size_bytes} {file.sha256}" for file in facts.files)
        paths = {key: value for key, value in options.items() if "/" not in value}
        # A language that was told from the texts is noted, so such a unit is another one than with the language said.
        if told := [said for said in source.notes() if said.startswith(IDENTIFIED)]:
            paths["language"] = told[0]
        return cls(source.kind, facts.lang, facts.name, files, facts.revision, dict(columns), paths, source)

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """Nothing -> corpus, queries, qrels; the facts hold what the reader noticed."""
        facts: dict[str, Any] = {"notes": []}
        renamed: set[str] = set()
        return Result({table: self._shards(table, facts, renamed) for table in RETRIEVAL_TABLES}, facts=facts)

    def _shards(self, table: RetrievalTable, facts: dict[str, Any], renamed: set[str]) -> Iterator[Shard]:
        empty = True
        for batch in self.source.read(table) if table != "qrels" or self.source.judged else ():
            for rows in cut(pa.Table.from_batches([batch])):
                empty = False
                yield Shard(_named_splits(rows, renamed))
        if empty:
            yield Shard(RETRIEVAL[table].empty_table())
        # The reader knows all that it has to say only when everything was read; the last table's word stands.
        said = [f"split {name!r} is called {name.replace('-', '_')!r} in the release" for name in sorted(renamed)]
        facts["notes"] = [*self.source.notes(), *said]


def cut(rows: pa.Table, size: int = SHARD_BYTES, *, text: str = "text") -> Iterator[pa.Table]:
    """The rows in order, in tables of at most `size` bytes of text; a longer single row is a table of its own."""
    if text not in rows.column_names or rows[text].nbytes <= size:
        yield rows
        return
    ends = pc.cumulative_sum(pc.cast(pc.fill_null(pc.binary_length(rows[text]), 0), pa.int64())).to_numpy()
    start = 0
    while start < rows.num_rows:
        held = int(ends[start - 1]) if start else 0
        end = max(start + 1, int(ends.searchsorted(held + size, "right")))
        yield rows.slice(start, end - start)
        start = end


def _named_splits(rows: pa.Table, renamed: set[str]) -> pa.Table:
    """Split names as the Hub allows them: `-` becomes `_` (told in `renamed`); anything else that is no word is an error.

    They become file names, so nothing in them may lead out of the release folder.
    """
    if "split" not in rows.column_names:
        return rows
    renamed |= {name for name in pc.unique(rows["split"]).to_pylist() if "-" in name}
    names = pc.replace_substring(rows["split"], "-", "_")
    for name in pc.unique(names).to_pylist():
        if not re.fullmatch(r"\w+(\.\w+)*", name):
            raise SourceError(
                f"split {name[:80]!r}: a split is named by letters, digits, _ and single dots; rename it in the source"
            )
    return rows.set_column(rows.column_names.index("split"), rows.schema.field("split"), names)


@dataclass(frozen=True)
class CheckSource:
    """Check the tables as one set: ids stand once, judgements name rows that are there.

    Texts that seem to be in another language than said are told of and get a verdict `flagged`; they stay. Of a longer table
    10,000 rows are looked at, evenly spread. Judgements that name a missing row are an error, or with `on_missing="drop"`
    are left out, each with a verdict `orphaned`.
    """

    lang: str
    judged: bool
    on_missing: OnMissing = "stop"

    name: ClassVar[str] = "sound"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """corpus, queries, qrels -> qrels; the facts hold what was noticed."""
        tables: dict[str, Shards] = dict(inputs)
        findings = check_tables(
            tables["corpus"].paths, tables["queries"].paths, tables["qrels"].paths if self.judged else None,
            on_missing=self.on_missing, work_dir=work.scratch() / "spill",
        )  # fmt: skip
        missing = {(row["query_id"], row["doc_id"]): row for row in findings.orphaned.to_pylist()}
        verdicts = [
            verdict(
                "qrels",
                self.lang,
                f"{query}\t{doc}",
                self.name,
                "orphaned",
                "not_in_source",
                value=float(row["relevance"]),
                detail=row["missing"],
            )
            for (query, doc), row in missing.items()
        ]
        n_qrels = findings.n_rows["qrels"]
        n_gone = findings.orphaned.num_rows
        warnings = [f"{warned.table}: {warned.text}" for warned in findings.warnings]
        for table, column in (("corpus", "doc_id"), ("queries", "query_id")):
            looked, foreign = self._foreign(tables[table], column)
            if foreign:
                warnings.append(
                    f"{table}: {len(foreign)} of {looked} rows looked at seem to be in another language than {self.lang}, "
                    f"first {next(iter(foreign))!r}"
                )
            verdicts += [
                verdict(table, self.lang, row_id, self.name, "flagged", "source_language", value=score, op="<",
                        threshold=_MIN_LANGUAGE_SCORE, threshold_source="default")
                for row_id, score in foreign.items()
            ]  # fmt: skip
        return Result(
            {"qrels": self._kept(tables["qrels"], missing)},
            verdicts,
            Counts(n_qrels, n_qrels - n_gone, n_gone),
            {"warnings": warnings},
        )

    def _foreign(self, rows: Shards, column: str) -> tuple[int, dict[str, float]]:
        """How many rows were looked at, evenly over the table, and the score of each that seems to be in another language."""
        from dsbuild.filters.language import LanguageId

        identify = LanguageId()
        step = max(1, -(-sum(pq.read_metadata(path).num_rows for path in rows.paths) // _MAX_IDENTIFIED))
        looked, foreign = 0, {}
        for shard in rows:
            chosen = shard.select([column, "text"]).take(pa.array(range(0, shard.num_rows, step), pa.int64()))
            texts = [text[:_IDENTIFIED_CHARS] for text in chosen["text"].to_pylist()]
            scores = identify.evidence(texts, self.lang).to_pylist()
            looked += len(scores)
            for row_id, score in zip(chosen[column].to_pylist(), scores, strict=True):
                if score is not None and score < _MIN_LANGUAGE_SCORE:
                    foreign[row_id] = score
        return looked, foreign

    def _kept(self, qrels: Shards, missing: Mapping[tuple[str, str], Any]) -> Iterator[Shard]:
        for shard in qrels:
            if missing:
                keys = zip(shard["query_id"].to_pylist(), shard["doc_id"].to_pylist(), strict=True)
                shard = shard.filter(pa.array([key not in missing for key in keys], pa.bool_()))
            yield Shard(shard)
