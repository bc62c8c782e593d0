"""The stage that decides on scored texts: every row's scores against the rules of its language."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.filters import PAIRWISE
from dsbuild.filters.decide import Found, Rule, decide
from dsbuild.filters.profiles import DEFAULT_THRESHOLDS, rules_for
from dsbuild.filters.retain import with_retained
from dsbuild.filters.score_rows import one_array, put
from dsbuild.stage import Counts, Result, Shard, Shards, Workspace, verdict

if TYPE_CHECKING:
    from dsbuild.filters.calibration import Calibration

KEPT, DROPPED = "kept", "dropped"
# Filters whose columns a pair has once.
_OF_ROWS = (*PAIRWISE, "external")


@dataclass(frozen=True)
class DecideTexts:
    """Give each row its fate by the rules of some groups; a row of a protected split is flagged and never dropped.

    settings: group -> key -> threshold that the user set; thresholds: "default", "fineweb2", a calibration or a file of one; protected: splits;
    lang_columns: the language of the text, or of both texts of a pair (verdicts are told apart by the second); judged: not empty for an
    evaluation set, whose judged rows are protected too; data: digest of the rules' files.
    """

    table: str
    id_column: str
    profile: str
    groups: tuple[str, ...]
    settings: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    thresholds: str | Calibration = field(default=DEFAULT_THRESHOLDS, compare=False)
    protected: tuple[str, ...] = ()
    lang_columns: tuple[str, ...] = ("lang",)
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
        lang_column = self.lang_columns[-1]
        named = rows.select([self.id_column, lang_column]).take(
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
                verdict(self.table, row[lang_column], row[self.id_column], self.name, outcome, found.rule, value=found.value, op=found.op,
                        threshold=found.threshold, threshold_source=found.source, primary=found.primary)
            )  # fmt: skip
        fates = pc.if_else(pa.array(dropped), DROPPED, KEPT)
        flag = np.full(rows.num_rows, "", object)
        flag[list(flags)] = list(flags.values())
        out = put(rows, pa.field("protected", pa.bool_(), nullable=False), pa.array(safe))
        out = put(out, pa.field("fate", pa.string(), nullable=False), fates)
        out = put(out, pa.field("flag", pa.string(), nullable=False), pa.array(flag, pa.string()))
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
        for langs, mask in by_language(rows, self.lang_columns):
            places = np.flatnonzero(mask.to_numpy())
            rules = self.rules(langs, retained)
            decision = decide(rows.take(pa.array(places)) if len(places) < rows.num_rows else rows, rules)
            keep[places] = decision.keep.to_numpy(zero_copy_only=False)
            failed += [
                Found(int(places[one.index]), one.rule, one.action, one.value, one.op, one.threshold, one.source, one.primary)
                for one in decision.verdicts
            ]  # fmt: skip
        failed.sort(key=lambda one: one.index)
        return keep, failed

    def rules(self, langs: str | Sequence[str], retained: Iterable[pa.Table] = ()) -> list[Rule]:
        """The rules for rows of a language, or of two; retained: the threshold of a retained share (`RetainShare`), if any.

        Of a pair, a rule on single texts is one for each side, with that side's thresholds; what compares both goes by the second language.
        """
        spoken = (langs,) if isinstance(langs, str) else tuple(langs)
        if len(self.lang_columns) == 1:
            return with_retained(self._of(self.groups, spoken[-1]), retained)
        found: list[Rule] = []
        for group in self.groups:
            if group in _OF_ROWS:
                found += self._of([group], spoken[-1])
                continue
            for side, lang in zip("ab", (spoken[0], spoken[-1]), strict=True):
                found += [
                    replace(rule, name=f"{rule.name}_{side}", column=f"{rule.column}_{side}")
                    for rule in self._of([group], lang)
                ]
        return found

    def _of(self, groups: Sequence[str], lang: str) -> list[Rule]:
        return rules_for(groups, self.profile, lang, self.settings, self.thresholds)


def by_language(rows: pa.Table, columns: Sequence[str]) -> Iterator[tuple[tuple[str, ...], pa.ChunkedArray]]:
    """The languages that rows are in, one for each of the columns, and which rows are in them; as they come."""
    joined = pc.binary_join_element_wise(*(rows[name] for name in columns), "\t")
    for langs in pc.unique(joined).to_pylist():
        yield tuple(langs.split("\t")), pc.equal(joined, langs)
