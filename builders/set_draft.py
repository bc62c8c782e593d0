"""The draft release of a set that was split or checked for contamination: which rows go where, and the numbers."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import dsbuild
from dsbuild import parquet, release
from dsbuild.builders.parts import Mask, Rows, language_name, release_schema, stage_facts, verdict_part
from dsbuild.builders.sources.opened import Opened, OpenTable, facts_of
from dsbuild.cards.card import render_card
from dsbuild.graph import Input, Node, Progress
from dsbuild.stage import digest
from dsbuild.tables import SCHEMAS

_INTERNAL = ("split", "fate", "lost_at")

Accounting = dict[str, dict[str, dict[str, Any]]]


@dataclass(frozen=True)
class Draft:
    """A finished build.

    final: where the rows of each table, by its key, have their fate; recipe: as it may be shown; added: judgements, by the key of their table,
    that the build made itself.
    """

    recipe: Mapping[str, Any]
    title: str
    opened: Opened
    nodes: Sequence[Node]
    final: Mapping[str, Input]
    progress: Progress
    added: Mapping[str, int] = field(default_factory=dict)

    def paths(self, table: OpenTable) -> list[Path]:
        """The shards of a table."""
        return [shard.path for shard in self.progress.shards(self.final[table.key])]

    def langs(self, table: OpenTable) -> list[str]:
        """The languages of its rows; of a pair both, joined by a dash."""
        if table.lang:
            return [table.lang]
        found: set[str] = set()
        for path in self.paths(table):
            found |= set(pc.unique(_lang_of(parquet.read(path, list(table.lang_columns)), table)).to_pylist())
        return sorted(found)


def write(
    draft: Draft, out: Path, findings: Mapping[str, Any], notes: Sequence[str], more: Sequence[release.Part] = (),
    sections: Sequence[Mapping[str, Any]] = (), further: Mapping[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Write the draft release to `out`; returns its manifest.

    more: further parts, such as evidence; sections: tables for people ({title, text, table}) that the card and the report show; further: keys
    of the manifest that this kind of build has of its own.
    """
    counted = accounting(draft)
    facts: dict[str, Any] = {
        "name": draft.title, "version": "0.0.0-draft", "dsbuild": dsbuild.__version__, "recipe": dict(draft.recipe),
        "source": facts_of(draft.opened), "engines": dict(draft.opened.engines),
        "languages": {lang: {"name": language_name(lang)} for lang in counted},
        "stages": stage_facts(draft.nodes, draft.progress), "findings": dict(findings), "notes": list(notes), "accounting": counted,
    }  # fmt: skip
    facts |= further or {}
    if sections:
        facts["sections"] = [dict(one) for one in sections]
    facts["build_key"] = digest(str(facts))
    parts = itertools.chain(
        *(_parts(draft, table, counted) for table in draft.opened.tables), more, [verdict_part(draft.progress)]
    )
    return release.write(out, parts, facts, render_card)


def _lang_of(rows: pa.Table, table: OpenTable) -> pa.ChunkedArray:
    columns = [rows[name] for name in table.lang_columns]
    return columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, "-")


def _mask(table: OpenTable, lang: str, kept: bool) -> Mask:
    """Which rows are of a language and were kept, or lost. A table that was only read keeps all."""

    def inside(rows: pa.Table) -> pa.ChunkedArray:
        everything = pa.chunked_array([pa.repeat(True, rows.num_rows)])
        mine = everything if table.lang else pc.equal(_lang_of(rows, table), lang)
        staying = pc.equal(rows["fate"], "kept") if "fate" in rows.column_names else everything
        return pc.and_(mine, staying if kept else pc.invert(staying))

    return inside


def _parts(draft: Draft, table: OpenTable, counted: Accounting) -> Iterator[release.Part]:
    paths = draft.paths(table)
    found = pq.read_schema(paths[0])
    for lang in draft.langs(table):
        row = counted[lang][table.table]
        config, kept = f"{lang}-{table.table}", Rows(paths, _mask(table, lang, True))
        for split, number in (row["splits"] or {table.table: 0}).items():
            # `datasets` cannot open a split without rows: the file is there, and no configuration names it.
            yield release.Part(
                config, split, _schema(found, table), number, kept.of_split(split), config if number else "", table.table, lang
            )  # fmt: skip
        if row.get("dropped"):
            lost = Rows(paths, _mask(table, lang, False))
            yield release.Part("dropped", config, _schema(found, table, ("fate", "lost_at")), row["dropped"], lost)


def _schema(found: pa.Schema, table: OpenTable, extra: tuple[str, ...] = ()) -> pa.Schema:
    """The canonical columns that the rows have, then the source's own and those that the build adds."""
    canonical = (column for column in SCHEMAS[table.table] if column.name in found.names and column.name != "split")
    return release_schema(canonical, found, set(_INTERNAL) - set(extra))


def accounting(draft: Draft) -> Accounting:
    """Per language and table: rows in, kept (and in which split), dropped, and why."""
    result: Accounting = defaultdict(dict)
    for table in draft.opened.tables:
        counts: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
        for path in draft.paths(table):
            names = [name for name in pq.read_schema(path).names if name in ("split", "fate", *table.lang_columns)]
            rows = parquet.read(path, names)
            n_rows = rows.num_rows
            lang = pa.chunked_array([pa.repeat(table.lang, n_rows)]) if table.lang else _lang_of(rows, table)
            fate = rows["fate"] if "fate" in names else pa.chunked_array([pa.repeat("kept", n_rows)])
            whole = pa.chunked_array([pa.repeat(table.table, n_rows)])
            split = rows["split"].cast(pa.string()) if "split" in names else whole
            grouped = pa.table({"lang": lang, "fate": fate, "split": split}).group_by(["lang", "fate", "split"])
            for one in grouped.aggregate([([], "count_all")]).to_pylist():
                counts[one["lang"]][one["fate"], one["split"]] += one["count_all"]
        # The cascade takes judgements out of their table instead of marking them.
        orphaned = sum(record.counts.dropped for record in draft.progress.done.get(f"cascade.{table.key}", ()))
        if orphaned:
            counts[table.lang]["dropped", table.table] += orphaned
        reasons, repaired = _reasons(draft, table)
        if table.lang:
            counts[table.lang].total()  # a table without rows is counted too
        for lang in sorted(counts):
            rows_of = counts[lang]
            kept = {split: number for (fate, split), number in sorted(rows_of.items()) if fate == "kept"}
            total = rows_of.total()
            lost = total - sum(kept.values())
            if table.table == "qrels":
                result[lang]["qrels"] = {
                    "in": total - draft.added.get(table.key, 0),
                    "kept": total - lost,
                    "orphaned": lost,
                    "merged": 0,
                    "splits": kept,
                }
                continue
            result[lang][table.table] = {
                "in": total, "kept": total - lost, "repaired": repaired[lang], "dropped": lost, "failed": 0, "splits": kept,
                "reasons": dict(sorted(reasons[lang].items())),
            }  # fmt: skip
    return dict(result)


def _reasons(draft: Draft, table: OpenTable) -> tuple[dict[str, Counter[str]], Counter[str]]:
    """The first rule of each lost row (of a funnel its step), and the rows that were changed, by language."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    repaired: Counter[str] = Counter()
    node = draft.final[table.key].node
    if "lost_at" in pq.read_schema(draft.paths(table)[0]).names:
        for path in draft.paths(table):
            lost = parquet.read(path, ["fate", "lost_at"])
            lost = lost.filter(pc.not_equal(lost["fate"], "kept"))
            for one in pc.value_counts(lost["lost_at"]).to_pylist():
                found[table.lang][one["values"]] += one["counts"]
        return found, repaired
    for record, path in zip(draft.progress.done[node], draft.paths(table), strict=False):
        if not record.verdicts.rows or table.table == "qrels":
            continue
        verdicts = parquet.read(
            draft.progress.store.path(record.key, record.verdicts.file), ["id", "outcome", "rule", "primary"]
        )
        verdicts = verdicts.filter(verdicts["primary"])
        id_column = SCHEMAS[table.table].names[0]
        rows = parquet.read(path, [id_column, *table.lang_columns])
        langs = _lang_of(rows, table).take(pc.index_in(verdicts["id"], rows[id_column])).to_pylist()
        for outcome, rule, lang in zip(
            verdicts["outcome"].to_pylist(), verdicts["rule"].to_pylist(), langs, strict=True
        ):
            lang = table.lang or lang
            if outcome == "dropped":
                found[lang][rule] += 1
            elif outcome == "repaired":
                repaired[lang] += 1
    return found, repaired
