"""The stages that split a set: link its rows and assign components to splits, and say of each row what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dsbuild.errors import RecipeError
from dsbuild.files import disk_error
from dsbuild.filters.components import components
from dsbuild.filters.linked_rows import Linked, Names, Nodes, chain
from dsbuild.filters.lsh import Rows
from dsbuild.filters.minhash import candidate_probability
from dsbuild.filters.near_duplicates import Near
from dsbuild.filters.score_rows import one_array
from dsbuild.filters.splits import SMALL_COMPONENT, assign
from dsbuild.filters.text_links import TextLinks, link_texts
from dsbuild.parquet import read
from dsbuild.stage import Counts, Result, Shard, Shards, Workspace, verdict

# How the names of evaluation splits begin.
PROTECTED = ("test", "dev", "val", "eval")
# One row for each row of a table's shard. split: "" where the row takes none; component: the smallest id in it, with its table;
# leaked_into: the row that this one had to go for.
ASSIGNED = pa.schema(
    [
        pa.field("split", pa.string(), nullable=False),
        pa.field("component", pa.string(), nullable=False),
        pa.field("leaked_into", pa.string()),
    ]
)


@dataclass(frozen=True)
class AssignSplits:
    """Link all rows and give each a split.

    shares: by split; jaccard: from which texts are linked; near: how their candidates were signed, for a lower index, so that pairs
    at `jaccard` are found as good as surely and the closest of the rest is known; follow: whether queries are linked with the
    passages that answer them; keep_official: whether a row keeps the split that it comes with; protected: how the names of official
    splits begin that no row may leak into; max_component: the share of the rows above which a component is refused; must_have: link
    columns that one table at least must have.
    In memory: about 450 bytes a text and 40 for each pair that agrees in a band.
    """

    tables: tuple[Linked, ...]
    shares: Mapping[str, float]
    seed: int
    jaccard: float
    near: Near
    follow: bool = True
    keep_official: bool = True
    protected: tuple[str, ...] = PROTECTED
    max_component: float = 0.05
    must_have: tuple[str, ...] = ()

    name: ClassVar[str] = "assign_splits"
    version: ClassVar[int] = 2
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows.<key>, keys.<key>, qrels.<lang> -> <key> (`ASSIGNED`) and qrels.<lang>, shard by shard like the rows."""
        nodes = Nodes(self.tables, inputs)
        links = [self._columns(nodes, inputs)]
        if self.follow:
            links.append(self._judged(nodes, inputs))
        scratch = work.scratch()
        try:
            texts = link_texts(self.tables, self.near, nodes, inputs, scratch)
        except OSError as error:
            raise disk_error(scratch, error) from error
        close = texts.value >= self.jaccard
        links += [texts.equal, np.stack((texts.left[close], texts.right[close]))]
        left, right = np.concatenate(links, axis=1)
        component = components(nodes.total, left, right)
        official, names = self._official(nodes, inputs)
        said = np.unique(official[nodes.counted])
        if len(said) == 1 and said[0] >= 0:
            raise RecipeError(
                f"all {int(nodes.counted.sum()):,} rows are in the split {names[said[0]]} already, so there is nothing to assign; "
                "to split them anew say --set split.official=ignore"
            )
        numbers = np.bincount(component[nodes.counted], minlength=nodes.total)
        self._refuse(numbers, nodes)
        safe = np.array([name.lower().startswith(self.protected) for name in names], np.bool_)
        keys = Names(nodes)
        found = assign(component, keys, list(self.shares.values()), self.seed, official, safe, nodes.counted)
        facts = self._facts(nodes, numbers, component, official, safe, texts, found.split)
        taken = np.bincount(found.split[found.split >= 0], minlength=len(names)).tolist()
        facts |= {"assigned": dict(zip(names, taken, strict=True)), "leaked": int((found.leaked_into >= 0).sum())}
        outputs: dict[str, Iterator[Shard]] = {
            table.key: self._shards(nodes, table.key, names, found.split, found.leaked_into, component)
            for table in self.tables
            if table.counted
        }
        for name in inputs:
            if name.startswith("qrels."):
                outputs[name] = self._of_queries(nodes, inputs[name], names, found.split)
        lost = int((found.leaked_into >= 0).sum())
        total = int(nodes.counted.sum())
        return Result(outputs, counts=Counts(total, total - lost, lost), facts=facts)

    def _columns(self, nodes: Nodes, inputs: Mapping[str, Any]) -> Rows:
        """Links by equal values of columns, and by a value that is an id."""
        found = [np.empty((2, 0), np.int64)]
        by_name: dict[tuple[str, str], list[tuple[pa.Array, Rows]]] = {}
        for table in self.tables:
            for column in table.links:
                for shard, path in enumerate(inputs[f"rows.{table.key}"].paths):
                    if column not in pq.read_schema(path).names:
                        continue
                    values = one_array(read(path, [column])[column].cast(pa.string()))
                    values = pc.if_else(pc.equal(values, ""), None, values)
                    of_row = nodes.of[table.key][shard]
                    by_name.setdefault((table.kind, column), []).append((values, of_row))
                    named = nodes.find(table.kind, values)
                    there = np.flatnonzero(named >= 0)
                    found.append(np.stack((of_row[there], named[there])))
        for column in self.must_have:
            if not any(name == column for _, name in by_name):
                raise RecipeError(f"split.link: no table has a column {column!r}")
        for parts in by_name.values():
            values = pa.concat_arrays([part for part, _ in parts])
            of_row = np.concatenate([rows for _, rows in parts])
            codes = pc.fill_null(values.dictionary_encode().indices, -1).to_numpy()
            found.append(chain(codes.astype(np.int64), of_row, codes >= 0))
        return np.concatenate(found, axis=1)

    def _judged(self, nodes: Nodes, inputs: Mapping[str, Any]) -> Rows:
        found = [np.empty((2, 0), np.int64)]
        for name, shards in inputs.items():
            if name.startswith("qrels."):
                for shard in shards:
                    positive = shard.filter(pc.greater(shard["relevance"], 0))
                    query = nodes.find("queries", one_array(positive["query_id"]))
                    passage = nodes.find("corpus", one_array(positive["doc_id"]))
                    there = (query >= 0) & (passage >= 0)
                    found.append(np.stack((query[there], passage[there])))
        return np.concatenate(found, axis=1)

    def _official(self, nodes: Nodes, inputs: Mapping[str, Any]) -> tuple[Rows, list[str]]:
        """The split that each row comes with, as a number of the names that are returned: the new splits, then others."""
        names = list(self.shares)
        official = np.full(nodes.total, -1, np.int64)
        if not self.keep_official:
            return official, names
        for table in self.tables:
            if not table.counted:
                continue
            for shard, path in enumerate(inputs[f"rows.{table.key}"].paths):
                if "split" not in pq.read_schema(path).names:
                    continue
                said = one_array(pc.fill_null(read(path, ["split"])["split"].cast(pa.string()), "")).dictionary_encode()
                local = said.dictionary.to_pylist()
                names += sorted(set(local) - {"", *names})
                number = np.array([names.index(name) if name else -1 for name in local] or [-1], np.int64)[
                    said.indices.to_numpy()
                ]
                place = nodes.of[table.key][shard]
                clash = np.flatnonzero((official[place] >= 0) & (number >= 0) & (official[place] != number))
                if len(clash):
                    row = place[clash[0]]
                    raise RecipeError(
                        f"{nodes.name(int(row))}: in split {names[official[row]]} in one language and {names[number[clash[0]]]} in another; "
                        "mend the source, or say --set split.official=ignore"
                    )
                official[place] = np.maximum(official[place], number)
        return official, names

    def _refuse(self, numbers: Rows, nodes: Nodes) -> None:
        total, largest = int(nodes.counted.sum()), int(numbers.max(initial=0))
        if largest <= max(SMALL_COMPONENT, self.max_component * total):
            return
        answered = self.follow and any(one.kind == "corpus" for one in self.tables)
        by_answers = ", or --set split.follow=none if queries share passages" if answered else ""
        raise RecipeError(
            f"{largest:,} of {total:,} rows ({largest / total:.1%}) are linked with each other, first {nodes.name(int(numbers.argmax()))}: above "
            f"{self.max_component:.0%} no split can be fair. Link less: --set neardup.jaccard={min(0.95, self.jaccard + 0.1):.2f}, "
            f"--set split.link=[]{by_answers}; or allow it: --set split.max_component={min(1.0, round(largest / total + 0.005, 2)):g}"
        )

    def _facts(
        self, nodes: Nodes, numbers: Rows, component: Rows, official: Rows, safe: npt.NDArray[np.bool_], texts: TextLinks, split: Rows
    ) -> dict[str, Any]:  # fmt: skip
        """What is known of the components, and of what is still alike across splits."""
        one, other = split[texts.left], split[texts.right]
        across = (one >= 0) & (other >= 0) & (one != other)
        value = texts.value[across]
        largest = int(numbers.argmax()) if len(numbers) else 0
        several = 0
        if safe.any():
            known = np.flatnonzero(official >= 0)
            known = known[safe[official[known]]]
            pairs = np.unique(np.stack((component[known], official[known])), axis=1)
            several = int((np.bincount(pairs[0]) > 1).sum()) if pairs.size else 0
        closest = int(value.argmax()) if len(value) else -1
        ends = (texts.left[across], texts.right[across])
        return {
            "rows": int(nodes.counted.sum()), "components": int((numbers > 0).sum()),
            "largest_component": int(numbers.max(initial=0)), "largest_component_of": nodes.name(largest) if len(numbers) else "",
            "texts": texts.n_texts, "distinct_texts": texts.n_distinct, "candidates": len(texts.left),
            "near_duplicate_pairs": int((texts.value >= self.jaccard).sum()), "jaccard": self.jaccard, "looked_down_to": self.near.jaccard,
            "expected_miss": 1.0 - candidate_probability(self.jaccard, self.near.bands.bands, self.near.bands.rows),
            "cross_split_pairs": int((value >= self.jaccard).sum()),
            "cross_split_highest": round(float(value.max()), 6) if len(value) else None,
            "cross_split_highest_pair": [nodes.name(int(end[closest])) for end in ends] if closest >= 0 else [],
            "official_overlaps": several,
        }  # fmt: skip

    def _shards(
        self, nodes: Nodes, key: str, names: Sequence[str], split: Rows, leaked_into: Rows, component: Rows
    ) -> Iterator[Shard]:
        for place in nodes.of[key]:
            said = [names[number] if number >= 0 else "" for number in split[place].tolist()]
            into = leaked_into[place]
            wanted = np.unique(np.concatenate((component[place], into[into >= 0])))
            called = dict(zip(wanted.tolist(), nodes.names(wanted), strict=True))
            table = pa.table(
                [said, [called[one] for one in component[place].tolist()], [called.get(one) for one in into.tolist()]],
                schema=ASSIGNED,
            )
            yield Shard(table)

    def _of_queries(self, nodes: Nodes, qrels: Shards, names: Sequence[str], split: Rows) -> Iterator[Shard]:
        for path in qrels.paths:
            place = nodes.find("queries", one_array(read(path, ["query_id"])["query_id"]))
            number = np.where(place >= 0, split[place], -1)
            said = [names[one] if one >= 0 else "" for one in number.tolist()]
            yield Shard(pa.table([said, [""] * len(said), pa.nulls(len(said), pa.string())], schema=ASSIGNED))


@dataclass(frozen=True)
class ApplySplits:
    """Give the rows the split that they were assigned; rows that leak into a protected one, and judgements of such queries, are lost."""

    table: str
    id_column: str
    lang_column: str = "lang"
    lang: str = ""

    name: ClassVar[str] = "apply_splits"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows, assigned -> out: the rows with `split`, `component` and `fate`."""
        rows: pa.Table = inputs["rows"]
        assigned: pa.Table = inputs["assigned"]
        lost = pc.equal(assigned["split"], "")
        fates = pc.if_else(lost, "dropped", "kept")
        out = rows.drop_columns([name for name in ("split", "component", "fate") if name in rows.column_names])
        out = out.append_column(pa.field("split", pa.string(), nullable=False), assigned["split"])
        if self.table != "qrels":
            out = out.append_column(pa.field("component", pa.string(), nullable=False), assigned["component"])
        out = out.append_column(pa.field("fate", pa.string(), nullable=False), fates)
        places = np.flatnonzero(lost.to_numpy())
        gone = rows.take(pa.array(places))
        langs = gone[self.lang_column].to_pylist() if not self.lang else [self.lang] * len(places)
        if self.table == "qrels":
            ids = [
                f"{query}\t{doc}"
                for query, doc in zip(gone["query_id"].to_pylist(), gone["doc_id"].to_pylist(), strict=True)
            ]
            outcome, rule, details = "orphaned", "query_dropped", ["query"] * len(ids)
        else:
            ids = gone[self.id_column].cast(pa.string()).to_pylist()
            outcome, rule, details = (
                "dropped",
                "leaked_into",
                assigned["leaked_into"].take(pa.array(places)).to_pylist(),
            )
        verdicts = [
            verdict(self.table, lang, row_id, self.name, outcome, rule, detail=detail)
            for lang, row_id, detail in zip(langs, ids, details, strict=True)
        ]
        return Result({"out": [Shard(out)]}, verdicts, Counts(rows.num_rows, rows.num_rows - len(places), len(places)))
