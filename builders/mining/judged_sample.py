"""A stratified sample of mined negatives for a judge, and what its answers say of all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.builders.mining.chances import chances_of, describe
from dsbuild.builders.mining.choose_negatives import Block, Blocks, How, identity_of
from dsbuild.builders.mining.judge_band import shown_positives
from dsbuild.builders.mining.judged_interval import PLANNED, Answered, planned
from dsbuild.builders.mining.logistic import Logistic
from dsbuild.builders.retrieval.candidates import Floats, Ints
from dsbuild.builders.retrieval.evidence import hashed
from dsbuild.builders.retrieval.rerank import texts_of
from dsbuild.builders.retrieval.retriever import one
from dsbuild.errors import SourceError
from dsbuild.stage import Counts, Result, Shard, Workspace

STRATA = 8
# A part of the mean of sqrt(p (1 - p)) that every negative gets besides its own: where many are relevant after all, a sample that trusts
# the guess alone is less precise than one that knows nothing.
_DOUBT = 0.25
# Chances nearer to 0 and 1 are not believed.
_SURE = 0.005
# The guess where nothing was learned: the log odds of a candidate as like query and positive as the mean candidate, plus one for each
# standard deviation. It decides how precise the interval is, never whether it is right.
_BASE = -3.0

SAMPLE = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("positive_id", pa.string(), nullable=False),  # what the judge sees as relevant
        pa.field("stratum", pa.int32(), nullable=False),  # 0: the likeliest to be relevant
        pa.field("stratum_size", pa.int64(), nullable=False),  # negatives of the stratum, sampled or not
        pa.field("guess", pa.float64(), nullable=False),  # the mean chance of the stratum
        pa.field("query", pa.large_string(), nullable=False),
        pa.field("positive", pa.large_string(), nullable=False),
        pa.field("candidate", pa.large_string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class DrawSample:
    """Draw `budget` of the mined negatives of a language, as many of each stratum; see `strata_of`."""

    lang: str
    blocks: Blocks
    budget: int
    seed: int = 0
    anchor: How = "min"

    name: ClassVar[str] = "sample"
    version: ClassVar[int] = 2
    resident: ClassVar[bool] = False

    def run(self, inputs: Mapping[str, Any], work: Workspace) -> Result:
        """The inputs of `ChooseNegatives`, chosen (`CHOSEN`) and corpus as whole tables -> out (`SAMPLE`), in an order that says nothing."""
        chosen = pa.concat_tables(list(inputs["chosen"]))
        learned = inputs["fit"].facts[0]["model"] if "fit" in inputs else None
        model = Logistic.of(learned) if learned else None
        identity = identity_of(inputs)
        parts = [self._negatives(block, chosen, model) for block in self.blocks.each(inputs, identity)]
        table = pa.concat_tables(parts)
        marks = np.array(
            [hashed(self.seed, "sample", *pair) for pair in zip(table["query_id"].to_pylist(), table["doc_id"].to_pylist(), strict=True)],
            np.uint64,
        )  # fmt: skip
        chances = np.clip(table["chance"].to_numpy(), _SURE, 1 - _SURE)
        stratum = strata_of(chances, marks)
        sizes = np.bincount(stratum, minlength=STRATA)
        guesses = np.bincount(stratum, chances, STRATA) / np.maximum(1, sizes)
        wanted = allocated(sizes, self.budget)
        order = np.lexsort((marks, stratum))
        turn = np.arange(len(order)) - np.searchsorted(stratum[order], stratum[order])
        taken = order[turn < wanted[stratum[order]]]
        taken = taken[np.argsort(marks[taken])]
        sample = table.take(pa.array(taken))
        out = self._texts(sample, stratum[taken], sizes, guesses, inputs)
        facts = {
            "negatives": table.num_rows, "sample": out.num_rows, "sizes": sizes.tolist(), "taken": wanted.tolist(),
            "guesses": guesses.tolist(),
        }  # fmt: skip
        return Result({"out": [Shard(out)]}, counts=Counts(table.num_rows, table.num_rows), facts=facts)

    def _negatives(self, block: Block, chosen: pa.Table, model: Logistic | None) -> pa.Table:
        candidates, known = block.candidates, block.anchors.anchor(how=self.anchor)
        query = pc.index_in(one(chosen["query_id"]), candidates.query_ids)
        mine = pc.is_valid(query)
        at = query.filter(mine).to_numpy().astype(np.int64)
        rows = candidates.lookup(at, one(chosen["doc_id"]).filter(mine))
        chances = _guessed(block, known) if model is None else chances_of(candidates, known, model)
        shown = shown_positives(block.anchors)[at]
        columns = {
            "query_id": candidates.query_ids.take(pa.array(at)),
            "doc_id": candidates.doc_ids.take(pa.array(candidates.docs[rows])),
            "positive_id": block.anchors.doc_ids.take(pa.array(shown)),
            "chance": pa.array(np.nan_to_num(chances[rows], nan=0.0)),
        }
        return pa.table(columns)

    def _texts(
        self, sample: pa.Table, stratum: Ints, sizes: Ints, guesses: Floats, inputs: Mapping[str, Any]
    ) -> pa.Table:
        ids = {name: one(sample[name]) for name in ("query_id", "doc_id", "positive_id")}
        queries = texts_of(inputs["queries"], "query_id", ("text",), pc.unique(ids["query_id"]), self.lang)
        wanted = pc.unique(pa.concat_arrays([ids["doc_id"], ids["positive_id"]]))
        corpus = texts_of(inputs["corpus"], "doc_id", ("title", "text"), wanted, self.lang)
        columns = [
            *(ids[name].cast(pa.string()) for name in ids),
            pa.array(stratum, pa.int32()),
            pa.array(sizes[stratum], pa.int64()),
            pa.array(guesses[stratum], pa.float64()),
            queries.texts.take(pc.index_in(ids["query_id"], queries.ids)),
            corpus.texts.take(pc.index_in(ids["positive_id"], corpus.ids)),
            corpus.texts.take(pc.index_in(ids["doc_id"], corpus.ids)),
        ]
        return pa.table(columns, schema=SAMPLE)


def _guessed(block: Block, known: Floats) -> Floats:
    """A chance for each row without anything learned: the mean of its standard scores for the query and for the positives."""
    candidates = block.candidates
    assert candidates.evidence is not None
    found = describe(candidates, known)
    index = np.zeros(len(found.rows))
    for part in ("score.", "like."):
        columns = [column for name, column in zip(found.names, found.columns, strict=True) if name.startswith(part)]
        index += np.nan_to_num(np.mean(columns, axis=0), nan=0.0)
    counts = np.bincount(found.rows, minlength=len(candidates))
    sums = np.bincount(found.rows, 1 / (1 + np.exp(-np.clip(_BASE + index, -30, 30))), len(candidates))
    return np.asarray(np.where(counts > 0, sums / np.maximum(1, counts), 0.0), np.float64)


def strata_of(chances: Floats, marks: npt.NDArray[np.uint64]) -> Ints:
    """A stratum for each negative, 0 for the largest chances; each has the same sum of sqrt(p (1 - p)) and of a part that all have alike.

    Equal samples of the strata are then near Neyman's allocation where the chances are right, and not far from proportional where they are
    not. chances: between 0 and 1; marks: decide between equal chances.
    """
    order = np.lexsort((marks, -chances))
    spread = np.sqrt(chances[order] * (1 - chances[order]))
    sums = np.cumsum(spread + _DOUBT * spread.mean()) if len(spread) else spread
    out = np.empty(len(chances), np.int64)
    out[order] = np.minimum(STRATA - 1, (sums / sums[-1:] * STRATA - 1e-9).astype(np.int64))
    return out


def allocated(sizes: Ints, budget: int) -> Ints:
    """How many are taken of each stratum: as equal as sizes allow."""
    out = np.zeros(len(sizes), np.int64)
    for _ in range(min(budget, int(sizes.sum()))):
        free = np.flatnonzero(out < sizes)
        out[free[np.argmin(out[free])]] += 1
    return out


def write_sample(path: Path, samples: Mapping[str, pa.Table]) -> int:
    """Write the samples of all languages as JSON lines with `relevant: null`, which a judge replaces with true or false; returns how many."""
    from dsbuild import files

    # What was guessed of a pair would sway its judge.
    shown = [name for name in SAMPLE.names if name not in ("stratum", "stratum_size", "guess")]
    lines = [
        json.dumps({"lang": lang, **row, "relevant": None}, ensure_ascii=False) + "\n"
        for lang, table in samples.items()
        for row in table.select(shown).to_pylist()
    ]
    files.write_text(path, "".join(lines))
    return len(lines)


def plan_of(sample: pa.Table) -> list[dict[str, Any]]:
    """Before anybody judges: for each of some shares of false negatives the expected half-width, and the judgements that give 5 points."""
    strata = sample.group_by(["stratum", "stratum_size", "guess"], use_threads=False).aggregate([([], "count_all")])
    sizes, guesses, taken = (strata[name].to_pylist() for name in ("stratum_size", "guess", "count_all"))
    plan = []
    for share in PLANNED:
        half, wanted = planned(sizes, taken, guesses, share)
        plan.append({"fn": share, "half_width": half, "for_5_points": wanted})
    return plan


def read_answers(path: Path, samples: Mapping[str, pa.Table]) -> dict[str, Answered]:
    """The answers of a file by language; `SourceError` for a line that is none, or of another sample."""
    names = ("query_id", "doc_id", "stratum", "stratum_size", "guess")
    drawn = {
        (lang, query, doc): stratum
        for lang, table in samples.items()
        for query, doc, *stratum in zip(*(table[name].to_pylist() for name in names), strict=True)
    }
    said: dict[tuple[str, str, str], bool] = {}
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read ({error}); name the file of answers") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            key, answer = (str(row["lang"]), str(row["query_id"]), str(row["doc_id"])), row["relevant"]
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError(
                f"{path}: line {number}: not an answer; a line has lang, query_id, doc_id, relevant"
            ) from error
        if key not in drawn:
            raise SourceError(
                f"{path}: line {number}: {key[1:]} is not in the sample of this build; draw it anew with the same options"
            )
        if answer is not None and not isinstance(answer, bool):
            raise SourceError(
                f"{path}: line {number}: relevant is {answer!r}; write true or false, or null where nobody judged"
            )
        if answer is not None:
            said[key] = answer
    return {lang: _answered(lang, drawn, said) for lang in samples}


def _answered(
    lang: str, drawn: Mapping[tuple[str, str, str], list[Any]], said: Mapping[tuple[str, str, str], bool]
) -> Answered:
    strata = sorted({tuple(stratum) for key, stratum in drawn.items() if key[0] == lang})
    judged, relevant = dict.fromkeys(strata, 0), dict.fromkeys(strata, 0)
    for key, answer in said.items():
        if key[0] == lang:
            judged[tuple(drawn[key])] += 1
            relevant[tuple(drawn[key])] += answer
    _, sizes, guesses = zip(*strata, strict=True) if strata else ((), (), ())
    return Answered(sizes, tuple(judged.values()), tuple(relevant.values()), guesses)
