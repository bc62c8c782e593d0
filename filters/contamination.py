"""Contamination: texts that hold n-grams of evaluation items, with the evidence for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.filters.ngram_index import AS_ROW, DEFAULT_N, GRAMS, UNCHECKABLE, WHOLE, Index, build_index, find, matches
from dsbuild.filters.score_rows import one_array
from dsbuild.filters.utf8 import buffers
from dsbuild.parquet import read
from dsbuild.stage import Counts, Result, Shard, Shards, Workspace, verdict

Policy = Literal["drop", "mask", "flag"]
POLICIES: tuple[Policy, ...] = ("drop", "mask", "flag")

COLUMNS = {
    "contamination_coverage": "the largest share of an evaluation item that stands in the row, by words (0 to 1)",
    "contamination_set": "the evaluation set of that item; null where none was found",
    "contamination_item": "the id of that item in its set",
    "contamination_field": "the column in which it was found",
    "contamination_start": "code point at which the first part of the item begins there, before any masking",
    "contamination_end": "code point after its last one",
}
# What evaluation sets are read into. item: its id in the set; lang: BCP-47, "und" where unknown.
ITEMS = pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("set", "item", "lang", "text")])
# One row for each part of an item that stands in a row; the row's number is its index in the shard.
EVIDENCE = pa.schema(
    [
        pa.field("table", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("field", pa.string(), nullable=False),
        pa.field("set", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("item_lang", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # ngram, whole
        pa.field("coverage", pa.float64(), nullable=False),  # of the item, by all its parts in this field
        pa.field("start", pa.int64(), nullable=False),
        pa.field("end", pa.int64(), nullable=False),
    ]
)
MASK = "[…]"


def read_items(paths: Sequence[Path]) -> pa.Table:
    """The items of some shards as one table."""
    return pa.concat_tables([read(path) for path in paths] or [ITEMS.empty_table()]).combine_chunks()


@lru_cache(maxsize=1)
def load_index(paths: tuple[Path, ...], n: int) -> tuple[pa.Table, Index]:
    """Items and their index, kept for the next unit of this process. The texts themselves are not kept."""
    items = read_items(paths)
    index = build_index(*buffers(one_array(items["text"].cast(pa.large_string()))), n)
    return items.drop_columns(["text"]), index


@dataclass(frozen=True)
class CheckItems:
    """Say of each evaluation set how its items are looked for, and which are too short to be."""

    n: int = DEFAULT_N

    name: ClassVar[str] = "checkable"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """items -> out: those that cannot be looked for; facts by set: items, ngram, whole, with_whole_texts_only, uncheckable."""
        shards: Shards = inputs["items"]
        items, index = load_index(tuple(shards.paths), self.n)
        names = {GRAMS: "ngram", WHOLE: "whole", AS_ROW: "whole_text_only", UNCHECKABLE: "uncheckable"}
        sets: dict[str, Counter[str]] = {}
        pairs = pa.table({"set": items["set"], "kind": pa.array(index.kinds)})
        for entry in pairs.group_by(["set", "kind"]).aggregate([([], "count_all")]).to_pylist():
            sets.setdefault(entry["set"], Counter())[names[entry["kind"]]] += entry["count_all"]
        facts = {
            name: {"items": sum(counts.values()), **{kind: counts[kind] for kind in names.values()}}
            for name, counts in sorted(sets.items())
        }
        unchecked = items.filter(pa.array(index.kinds == UNCHECKABLE))
        total = items.num_rows
        found = {"sets": facts, "ngrams": len(index.grams), "index_bytes": index.nbytes}
        return Result({"out": [Shard(unchecked)]}, counts=Counts(total, total), facts=found)


@dataclass(frozen=True)
class FindContamination:
    """Look for evaluation items in some columns of the rows.

    n: words an n-gram; letters of scripts without spaces count by what they say (`ngram_index`).
    """

    table: str
    id_column: str
    fields: tuple[str, ...] = ("text",)
    n: int = DEFAULT_N

    name: ClassVar[str] = "contamination"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows, items (all of them) -> out: the rows with `COLUMNS`; evidence: `EVIDENCE`, by row."""
        rows: pa.Table = inputs["rows"]
        # A release that was checked before has columns of that time.
        rows = rows.drop_columns([name for name in (*COLUMNS, "flag", "fate") if name in rows.column_names])
        shards: Shards = inputs["items"]
        items, index = load_index(tuple(shards.paths), self.n)
        found = [self._evidence(rows, field, items, index) for field in self.fields]
        evidence = pa.concat_tables(found).combine_chunks()
        order = np.lexsort((np.arange(evidence.num_rows), evidence["row"].to_numpy()))
        evidence = evidence.take(pa.array(order))
        return Result({"out": [Shard(with_columns(rows, evidence))], "evidence": [Shard(evidence)]})

    def _evidence(self, rows: pa.Table, field: str, items: pa.Table, index: Index) -> pa.Table:
        texts = one_array(pc.fill_null(rows[field], "").cast(pa.large_string()))
        match = matches(index, find(index, *buffers(texts)))
        places = match.span_match
        row, item = match.text[places], match.item[places]
        chosen = items.take(pa.array(item))
        whole = index.kinds[item] != GRAMS
        return pa.table(
            [
                pa.repeat(pa.scalar(self.table), len(row)), pa.array(row), rows[self.id_column].cast(pa.string()).take(pa.array(row)),
                pa.repeat(pa.scalar(field), len(row)), chosen["set"], chosen["item"], chosen["lang"],
                pa.array(np.where(whole, "whole", "ngram").tolist(), pa.string()), pa.array(match.coverage[places]),
                pa.array(match.span_start), pa.array(match.span_end),
            ],
            schema=EVIDENCE,
        )  # fmt: skip


def with_columns(rows: pa.Table, evidence: pa.Table) -> pa.Table:
    """The rows with what is said of the item that covers most of itself; of equals the first."""
    row, coverage = evidence["row"].to_numpy(), evidence["coverage"].to_numpy()
    order = np.lexsort((np.arange(len(row)), -coverage, row))
    first = np.ones(len(order), np.bool_)
    first[1:] = row[order][1:] != row[order][:-1]
    best = order[first]
    place = np.full(rows.num_rows, -1, np.int64)
    place[row[best]] = best
    indices = pa.array(place, mask=place < 0)
    out = rows.append_column("contamination_coverage", pc.fill_null(evidence["coverage"].take(indices), 0.0))
    for name in ("set", "item", "field", "start", "end"):
        out = out.append_column(f"contamination_{name}", evidence[name].take(indices))
    return out


@dataclass(frozen=True)
class SettleContamination:
    """Do with contaminated rows what the policy says: drop them, mask the parts that were found, or only flag them.

    min_coverage: the share of an item from which a row is contaminated by it; source: where that threshold comes from; mask: what
    stands in the place of a masked part; protected: splits whose rows are flagged, whatever the policy.
    """

    table: str
    id_column: str
    lang_column: str
    policy: Policy
    min_coverage: float
    source: str
    mask: str = MASK
    protected: tuple[str, ...] = ()

    name: ClassVar[str] = "settle_contamination"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows and evidence -> out: the rows with `fate` and `flag`, masked where that is the policy; a verdict for each row and item."""
        rows: pa.Table = inputs["rows"]
        evidence: pa.Table = inputs["evidence"]
        evidence = evidence.filter(pc.greater_equal(evidence["coverage"], self.min_coverage))
        hit = np.zeros(rows.num_rows, np.bool_)
        hit[evidence["row"].to_numpy()] = True
        safe = np.zeros(rows.num_rows, np.bool_)
        if self.protected and "split" in rows.column_names:
            safe = pc.fill_null(pc.is_in(rows["split"], pa.array(self.protected, pa.string())), False).to_numpy()
        dropped = hit & ~safe & (self.policy == "drop")
        masked = hit & ~safe & (self.policy == "mask")
        if masked.any():
            rows = self._masked(rows, evidence.filter(pa.array(masked[evidence["row"].to_numpy()])))
        if "split" in rows.column_names:
            # A row without a split is in one that is named like the table.
            split = pc.fill_null(rows["split"].cast(pa.string()), self.table)
            rows = rows.set_column(
                rows.column_names.index("split"), "split", pc.if_else(pc.equal(split, ""), self.table, split)
            )
        out = rows.append_column(
            pa.field("fate", pa.string(), nullable=False),
            pa.array(np.where(dropped, "dropped", "kept").tolist(), pa.string()),
        )
        out = out.append_column(
            pa.field("flag", pa.string(), nullable=False),
            pa.array(np.where(hit & ~dropped, "contaminated", "").tolist(), pa.string()),
        )
        verdicts = self._verdicts(rows, evidence, dropped, masked)
        n_dropped = int(dropped.sum())
        facts = {"contaminated": int(hit.sum()), "masked": int(masked.sum())}
        return Result(
            {"out": [Shard(out)]}, verdicts, Counts(rows.num_rows, rows.num_rows - n_dropped, n_dropped), facts
        )

    def _verdicts(self, rows: pa.Table, evidence: pa.Table, dropped: Any, masked: Any) -> list[dict[str, Any]]:
        langs = one_array(rows[self.lang_column])
        found, seen, told = [], set(), set()
        for one in evidence.to_pylist():
            key = (one["row"], one["field"], one["set"], one["item"], one["item_lang"])
            if key in told:
                continue
            told.add(key)
            row = one["row"]
            outcome = "dropped" if dropped[row] else "repaired" if masked[row] else "flagged"
            found.append(
                verdict(self.table, langs[row].as_py(), one["id"], self.name, outcome, "contaminated", value=one["coverage"], op=">=",
                        threshold=self.min_coverage, threshold_source=self.source, primary=row not in seen, detail=place_of(one))
            )  # fmt: skip
            seen.add(row)
        return found

    def _masked(self, rows: pa.Table, evidence: pa.Table) -> pa.Table:
        spans: dict[str, dict[int, list[tuple[int, int]]]] = {}
        for one in evidence.select(["field", "row", "start", "end"]).to_pylist():
            spans.setdefault(one["field"], {}).setdefault(one["row"], []).append((one["start"], one["end"]))
        for field, by_row in spans.items():
            at = rows.column_names.index(field)
            texts = rows[field].to_pylist()
            for row, found in by_row.items():
                texts[row] = masked(texts[row], found, self.mask)
            rows = rows.set_column(at, rows.schema.field(at), pa.array(texts, rows.schema.field(at).type))
        return rows


def place_of(one: Mapping[str, Any]) -> str:
    """An item that was found, and the place, as verdicts tell it.

    >>> place_of({"set": "msmarco", "item": "q7", "field": "text", "start": 4, "end": 60})
    'msmarco:q7 in text at 4-60'
    """
    return f"{one['set']}:{one['item']} in {one['field']} at {one['start']}-{one['end']}"


def masked(text: str, spans: Sequence[tuple[int, int]], mask: str = MASK) -> str:
    """A text with some ranges of code points replaced, those that overlap or touch by one mask.

    >>> masked("what is the capital of Chad, tell me", [(0, 15), (12, 27)])
    '[…], tell me'
    """
    parts, end = [], -1
    kept = 0
    for start, stop in sorted(spans):
        if start <= end:
            end = max(end, stop)
            continue
        if end >= 0:
            parts += [mask]
            kept = end
        parts.append(text[kept:start])
        end = stop
    if end >= 0:
        parts.append(mask)
        kept = end
    return "".join([*parts, text[kept:]])
