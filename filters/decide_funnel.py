"""The stage that decides in the funnel: rows that are still there against the rules of some steps, in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.filters.contamination import place_of
from dsbuild.filters.decide import Found, Rule, decide
from dsbuild.filters.decide_texts import DROPPED, KEPT, by_language
from dsbuild.filters.funnel_rules import funnel_digest, rules_of
from dsbuild.filters.generated_texts import FIRST, released
from dsbuild.filters.score_rows import put
from dsbuild.stage import Counts, Result, Shard, Workspace, verdict

# What every row has after a step: kept or dropped; the step that lost it, "" where none did; the first rule that only flags it.
FATE, LOST_AT, FLAG = "fate", "lost_at", "flag"
STAGE = "funnel"
_CONTAMINATED = "contamination."


@dataclass(frozen=True)
class DecideFunnel:
    """Give each row that is still kept its fate by the rules of some steps; rows that were lost before stay as they are.

    steps: in order; settings: step -> what a recipe says of it (`funnel_rules.split`); texts: columns of a row's texts; data: digest of the rules'
    files.
    """

    steps: tuple[str, ...]
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    table: str = "queries"
    id_column: str = "id"
    texts: tuple[str, ...] = FIRST
    data: str = field(init=False)

    name: ClassVar[str] = "decide_funnel"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", funnel_digest(self.steps))

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows (and cutoff: what `Cutoff` found) -> out: the rows with fate, lost_at, flag; a verdict for every rule that a row failed.

        Of a row that is dropped the primary verdict is its first dropping rule, of a flagged one its first. Which text failed the rule's ending says,
        of contamination the detail.
        """
        rows: pa.Table = inputs["rows"]
        before = here(rows)
        failed = self.decide(rows, before, [row for shard in inputs.get("cutoff", ()) for row in shard.to_pylist()])
        fate = np.where(before, KEPT, DROPPED).astype(object)
        lost_at = _texts(rows, LOST_AT)
        flag = _texts(rows, FLAG)
        first: dict[int, Found] = {}
        for found in failed:
            if found.action == "drop" and fate[found.index] == KEPT:
                fate[found.index], lost_at[found.index] = DROPPED, found.rule.partition(".")[0]
                first[found.index] = found
            elif found.action == "flag" and not flag[found.index]:
                flag[found.index] = found.rule
        for found in failed:
            first.setdefault(found.index, found)
        verdicts = self._verdicts(rows, failed, first)
        out = put(rows, pa.field(FATE, pa.string(), nullable=False), pa.array(fate, pa.string()))
        out = put(out, pa.field(LOST_AT, pa.string(), nullable=False), pa.array(lost_at, pa.string()))
        out = put(out, pa.field(FLAG, pa.string(), nullable=False), pa.array(flag, pa.string()))
        kept = int((fate == KEPT).sum())
        return Result({"out": [Shard(out)]}, verdicts, Counts(rows.num_rows, kept, rows.num_rows - kept))

    def _verdicts(self, rows: pa.Table, failed: Sequence[Found], first: Mapping[int, Found]) -> list[dict[str, Any]]:
        at = sorted({one.index for one in failed})
        columns = [self.id_column, "lang"]
        if any(one.rule.startswith(_CONTAMINATED) for one in failed):
            columns += [name for name in rows.column_names if name.startswith("contamination_")]
        named = rows.select(columns).take(pa.array(at, pa.int64())).to_pylist()
        rows_of = dict(zip(at, named, strict=True))
        return [
            verdict(self.table, rows_of[one.index]["lang"], rows_of[one.index][self.id_column], STAGE,
                    "dropped" if one.action == "drop" else "flagged", one.rule, value=one.value, op=one.op, threshold=one.threshold,
                    threshold_source=one.source, primary=one is first[one.index], detail=self._detail(one.rule, rows_of[one.index]))
            for one in failed
        ]  # fmt: skip

    def _detail(self, rule: str, row: Mapping[str, Any]) -> str:
        """Of a contaminated row the item, and where it stands."""
        if not rule.startswith(_CONTAMINATED):
            return ""
        found = {name.removeprefix("contamination_"): value for name, value in row.items()}
        return place_of({**found, "field": released(found["field"], self.table)})

    def decide(
        self, rows: pa.Table, alive: np.ndarray[Any, Any], cutoffs: Sequence[Mapping[str, Any]] = ()
    ) -> list[Found]:
        """Every failed rule of the rows that are alive, by row, rules in the order of the steps."""
        failed: list[Found] = []
        for (lang,), mask in by_language(rows, ("lang",)):
            places = np.flatnonzero(np.asarray(mask.to_numpy(), np.bool_) & alive)
            rules = self.rules(lang, cutoffs)
            for one in decide(rows.take(pa.array(places)), rules).verdicts:
                failed.append(
                    Found(int(places[one.index]), one.rule, one.action, one.value, one.op, one.threshold, one.source, one.primary)
                )  # fmt: skip
        failed.sort(key=lambda one: one.index)
        return failed

    def rules(self, lang: str, cutoffs: Sequence[Mapping[str, Any]] = ()) -> list[Rule]:
        """The rules for rows of a language, and those that come from all rows."""
        found = []
        for name in self.steps:
            found += rules_of(name, lang, self.settings.get(name, {}), self.texts)
            found += [
                Rule(f"{name}.below_cutoff", one["column"], "<", one["threshold"], "drop", (), source=one["source"])
                for one in cutoffs
                if one["step"] == name
            ]
        return found


def here(rows: pa.Table) -> np.ndarray[Any, Any]:
    """Which rows no step has lost so far."""
    if FATE not in rows.column_names:
        return np.ones(rows.num_rows, np.bool_)
    return np.asarray(pc.equal(rows[FATE], KEPT).to_numpy(), np.bool_)


def _texts(rows: pa.Table, name: str) -> np.ndarray[Any, Any]:
    if name not in rows.column_names:
        return np.full(rows.num_rows, "", object)
    return np.array(rows[name].to_pylist(), object)


@dataclass(frozen=True)
class Finish:
    """The end of the funnel: rows that a search for duplicates lost say so, and columns that only the funnel needs go."""

    internal: tuple[str, ...] = ()
    duplicates: str = "duplicates"

    name: ClassVar[str] = "finish_funnel"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows -> out: the rows with fate, lost_at and flag, whatever steps ran."""
        rows: pa.Table = inputs["rows"]
        alive = here(rows)
        lost_at = _texts(rows, LOST_AT)
        lost_at[~alive & (lost_at == "")] = self.duplicates
        rows = rows.drop_columns([name for name in self.internal if name in rows.column_names])
        fate = pa.array(np.where(alive, KEPT, DROPPED).tolist(), pa.string())
        out = put(rows, pa.field(FATE, pa.string(), nullable=False), fate)
        out = put(out, pa.field(LOST_AT, pa.string(), nullable=False), pa.array(lost_at, pa.string()))
        out = put(out, pa.field(FLAG, pa.string(), nullable=False), pa.array(_texts(rows, FLAG), pa.string()))
        kept = int(alive.sum())
        return Result({"out": [Shard(out)]}, counts=Counts(rows.num_rows, kept, rows.num_rows - kept))
