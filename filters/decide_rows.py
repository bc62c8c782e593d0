"""The one stage that drops: it compares the score columns of rows with thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from dsbuild.filters.data import thresholds_digest
from dsbuild.stage import Counts, Result, Shard, Shards, Workspace, verdict

KEPT, DROPPED, FAILED = "kept", "dropped", "failed"
BAD = "bad_translation"


@dataclass(frozen=True)
class DecideRows:
    """Give each row its fate: kept, dropped (a threshold) or failed (a hard failure).

    settings: thresholds that the user set, by their key without "bitext."; judged: not empty for an evaluation set, whose
    judged rows are never dropped: they stay with the flag `bad_translation`, unless there is no text to keep; data: digest of the
    default thresholds.
    """

    table: str
    lang: str
    id_column: str
    settings: Mapping[str, float] = field(default_factory=dict)
    judged: str = ""
    data: str = field(default_factory=thresholds_digest)

    name: ClassVar[str] = "decide"
    version: ClassVar[int] = 1
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """rows (and qrels) -> out: the rows with `fate` and `flag`; verdicts for all that were not simply kept."""
        from dsbuild.filters.decide import decide, load_thresholds

        rows: pa.Table = inputs["rows"]
        ids = rows[self.id_column].to_pylist()
        judged = self._judged(inputs.get("qrels"))
        decision = decide(
            rows, [rule for rule in load_thresholds(self.settings, tgt=self.lang) if self.table in rule.tables]
        )
        fates = [KEPT if keep else DROPPED for keep in decision.keep.to_pylist()]
        flags = [""] * len(ids)
        verdicts: list[dict[str, Any]] = []
        texts = rows["text"].to_pylist()
        failures = rows["failure"].to_pylist()
        for index, failure in enumerate(failures):
            if failure:
                fates[index] = FAILED
        for index, fate in enumerate(fates):
            if fate != KEPT and ids[index] in judged and texts[index].strip():
                fates[index], flags[index] = KEPT, BAD
        for found in decision.verdicts:
            index = found.index
            if failures[index]:
                continue
            outcome = "dropped" if fates[index] == DROPPED and found.action == "drop" else "flagged"
            if not flags[index] and outcome == "flagged":
                flags[index] = found.rule
            verdicts.append(
                verdict(self.table, self.lang, ids[index], self.name, outcome, found.rule, value=found.value, op=found.op,
                        threshold=found.threshold, threshold_source=found.source, primary=found.primary)
            )  # fmt: skip
        for index, failure in enumerate(failures):
            if failure:
                rule, _, detail = failure.partition(": ")
                outcome = "failed" if fates[index] == FAILED else "flagged"
                verdicts.append(verdict(self.table, self.lang, ids[index], "translate", outcome, rule, detail=detail))
        for index, rung in enumerate(rows["rung"].to_pylist() if "rung" in rows.column_names else []):
            if rung and not failures[index]:
                verdicts.append(
                    verdict(self.table, self.lang, ids[index], "translate", "repaired", "retried", value=float(rung))
                )
        out = rows.append_column(pa.field("fate", pa.string(), nullable=False), pa.array(fates, pa.string()))
        out = out.append_column(pa.field("flag", pa.string(), nullable=False), pa.array(flags, pa.string()))
        counts = Counts(len(ids), fates.count(KEPT), fates.count(DROPPED), fates.count(FAILED))
        return Result({"out": [Shard(out)]}, verdicts, counts)

    def _judged(self, qrels: Shards | None) -> set[str]:
        if not self.judged or qrels is None:
            return set()
        return {row_id for shard in qrels for row_id in shard[self.id_column].to_pylist()}
