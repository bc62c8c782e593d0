"""The stage that decides on scored texts: every row's scores against the rules of its language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.filters.decide import Found, Rule, decide
from dsbuild.filters.profiles import DEFAULT_THRESHOLDS, rules_for
from dsbuild.filters.retain import with_retained
from dsbuild.filters.score_rows import one_array
from dsbuild.stage import Counts, Result, Shard, Shards, Workspace, verdict

KEPT, DROPPED = "kept", "dropped"


@dataclass(frozen=True)
class DecideTexts:
    """Give each row its fate by the rules of some groups; a row of a protected split is flagged and never dropped.

    settings: group -> key -> threshold that the user set; thresholds: "default", "fineweb2" or a calibration file; protected: splits;
    judged: not empty for an evaluation set, whose judged rows are protected too; data: digest of the rules' files.
    """

    table: str
    id_column: str
    profile: str
    groups: tuple[str, ...]
    settings: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    thresholds: str = field(default=DEFAULT_THRESHOLDS, compare=False)
    protected: tuple[str, ...] = ()
    lang_column: str = "lang"
    judged: str = ""
    data: str = ""

    name: ClassVar[str] = "decide"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows (and qrels, retained) -> out: the rows with `protected`, `fate` and `flag`; a verdict for every rule that a row failed."""
        rows: pa.Table = inputs["rows"]
        keep, failed = self.decide(rows, inputs.get("retained", ()))
        safe = self._protected(rows, inputs.get("qrels"))
        dropped = ~keep & ~safe
        flags: dict[int, str] = {}
        named = rows.select([self.id_column, self.lang_column]).take(
            pa.array(sorted({one.index for one in failed}), pa.int64())
        )
        rows_of = dict(zip(sorted({one.index for one in failed}), named.to_pylist(), strict=True))
        verdicts = []
        for found in failed:
            outcome = "dropped" if dropped[found.index] and found.action == "drop" else "flagged"
            if outcome == "flagged":
                flags.setdefault(found.index, found.rule)
            row = rows_of[found.index]
            verdicts.append(
                verdict(self.table, row[self.lang_column], row[self.id_column], self.name, outcome, found.rule, value=found.value, op=found.op,
                        threshold=found.threshold, threshold_source=found.source, primary=found.primary)
            )  # fmt: skip
        fates = pc.if_else(pa.array(dropped), DROPPED, KEPT)
        flag = np.full(rows.num_rows, "", object)
        flag[list(flags)] = list(flags.values())
        out = rows.append_column(pa.field("protected", pa.bool_(), nullable=False), pa.array(safe))
        out = out.append_column(pa.field("fate", pa.string(), nullable=False), fates)
        out = out.append_column(pa.field("flag", pa.string(), nullable=False), pa.array(flag, pa.string()))
        n_dropped = int(dropped.sum())
        return Result({"out": [Shard(out)]}, verdicts, Counts(rows.num_rows, rows.num_rows - n_dropped, n_dropped))

    def _protected(self, rows: pa.Table, qrels: Shards | None) -> np.ndarray[Any, Any]:
        """Which rows may never be dropped: those of a protected split, and in an evaluation set those that are judged."""
        safe = np.zeros(rows.num_rows, np.bool_)
        if self.protected and "split" in rows.column_names:
            safe |= pc.is_in(rows["split"], pa.array(self.protected, pa.string())).to_numpy()
        for shard in qrels or ():
            safe |= pc.is_in(rows[self.id_column], one_array(shard[self.id_column])).to_numpy()
        return safe

    def decide(self, rows: pa.Table, retained: Iterable[pa.Table] = ()) -> tuple[np.ndarray[Any, Any], list[Found]]:
        """Which rows stay, and every failed rule in the order of the rows."""
        keep = np.ones(rows.num_rows, np.bool_)
        failed: list[Found] = []
        langs = rows[self.lang_column]
        for lang in pc.unique(langs).to_pylist():
            places = np.flatnonzero(pc.equal(langs, lang).to_numpy())
            rules = self.rules(lang, retained)
            decision = decide(rows.take(pa.array(places)) if len(places) < rows.num_rows else rows, rules)
            keep[places] = decision.keep.to_numpy(zero_copy_only=False)
            failed += [
                Found(int(places[one.index]), one.rule, one.action, one.value, one.op, one.threshold, one.source, one.primary)
                for one in decision.verdicts
            ]  # fmt: skip
        failed.sort(key=lambda one: one.index)
        return keep, failed

    def rules(self, lang: str, retained: Iterable[pa.Table] = ()) -> list[Rule]:
        """The rules for rows of a language; retained: the threshold of a retained share (`RetainShare`), if any."""
        return with_retained(rules_for(self.groups, self.profile, lang, self.settings, self.thresholds), retained)
