"""A stratified sample of mined negatives for a judge, and what its answers say of all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild.builders.candidates import Floats, Ints
from dsbuild.builders.chances import chances_of, describe
from dsbuild.builders.choose_negatives import Block, Blocks, How, identity_of
from dsbuild.builders.evidence import hashed
from dsbuild.builders.judge_band import shown_positives
from dsbuild.builders.logistic import Logistic
from dsbuild.builders.rerank import texts_of
from dsbuild.builders.retriever import one
from dsbuild.errors import SourceError
from dsbuild.stage import Counts, Result, Shard, Workspace

STRATA = 5
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
    version: ClassVar[int] = 1
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
        stratum = strata_of(table["chance"].to_numpy(), marks)
        sizes = np.bincount(stratum, minlength=STRATA)
        wanted = allocated(sizes, self.budget)
        order = np.lexsort((marks, stratum))
        turn = np.arange(len(order)) - np.searchsorted(stratum[order], stratum[order])
        taken = order[turn < wanted[stratum[order]]]
        taken = taken[np.argsort(marks[taken])]
        sample = table.take(pa.array(taken))
        out = self._texts(sample, stratum[taken], sizes, inputs)
        facts = {"negatives": table.num_rows, "sample": out.num_rows, "sizes": sizes.tolist(), "taken": wanted.tolist()}
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

    def _texts(self, sample: pa.Table, stratum: Ints, sizes: Ints, inputs: Mapping[str, Any]) -> pa.Table:
        ids = {name: one(sample[name]) for name in ("query_id", "doc_id", "positive_id")}
        queries = texts_of(inputs["queries"], "query_id", ("text",), pc.unique(ids["query_id"]), self.lang)
        wanted = pc.unique(pa.concat_arrays([ids["doc_id"], ids["positive_id"]]))
        corpus = texts_of(inputs["corpus"], "doc_id", ("title", "text"), wanted, self.lang)
        columns = [
            *(ids[name].cast(pa.string()) for name in ids),
            pa.array(stratum, pa.int32()),
            pa.array(sizes[stratum], pa.int64()),
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
    """A stratum for each negative, 0 for the largest chances; each has the same sum of sqrt(p (1 - p)), so equal samples are near Neyman's.

    marks: decide between equal chances.
    """
    p = np.clip(chances, 0.005, 0.995)
    order = np.lexsort((marks, -p))
    sums = np.cumsum(np.sqrt(p[order] * (1 - p[order])))
    out = np.empty(len(p), np.int64)
    out[order] = np.minimum(STRATA - 1, (sums / (sums[-1] if len(sums) else 1.0) * STRATA - 1e-9).astype(np.int64))
    return out


def allocated(sizes: Ints, budget: int) -> Ints:
    """How many are taken of each stratum: as equal as sizes allow."""
    out = np.zeros(len(sizes), np.int64)
    for _ in range(min(budget, int(sizes.sum()))):
        free = np.flatnonzero(out < sizes)
        out[free[np.argmin(out[free])]] += 1
    return out


@dataclass(frozen=True)
class Answered:
    """The answers of each stratum: negatives in it, how many were judged, how many of these are relevant."""

    sizes: Sequence[int]
    judged: Sequence[int]
    relevant: Sequence[int] = field(default_factory=tuple)


def interval(answered: Answered) -> tuple[float, float, float]:
    """The share of relevant ones among all negatives and its 95 % interval, from a simple sample of each stratum.

    A Wilson interval with a quantile of Student's t, on the effective size of the sample: that of a simple sample with the variance of the
    stratified one (as E. Korn and B. Graubard do for Clopper and Pearson's, 1998). A stratum's rate is drawn to the whole one by two
    answers for the variance alone, so that one without a relevant answer is not taken for certain; finite strata count as such. Strata
    without an answer join their neighbours.
    """
    from scipy.special import stdtrit

    sizes, judged, relevant = _joined(answered)
    if not judged.sum():
        return 0.0, 0.0, 1.0
    weights = sizes / sizes.sum()
    share = float((weights * relevant / judged).sum())
    pooled = (relevant.sum() + 0.5) / (judged.sum() + 1)
    rate = (relevant + 2 * pooled) / (judged + 2)
    variance = float((weights**2 * (1 - judged / sizes) * rate * (1 - rate) / np.maximum(1, judged - 1)).sum())
    if variance <= 0:
        return share, share, share
    size = max(1.0, share * (1 - share) / variance) if 0 < share < 1 else float(judged.sum())
    wide = float(stdtrit(max(1.0, judged.sum() - len(judged)), 0.975))
    square = wide**2 / size
    centre = (share + square / 2) / (1 + square)
    half = wide / (1 + square) * np.sqrt(share * (1 - share) / size + square / (4 * size))
    return share, max(0.0, float(centre - half)), min(1.0, float(centre + half))


def judgements_for(answered: Answered, half: float = 0.05) -> int:
    """About how many judgements give an interval of `half` on either side, by the width that the answers so far give; 0 where they do already.

    In tens, and never more than there are negatives: a variance falls as 1 / n - 1 / N. What no design can do is told by this: at a rate
    of 0.12 in every stratum 100 judgements give 6.4 points.
    """
    _, low, high = interval(answered)
    n, total = sum(answered.judged), sum(answered.sizes)
    if not n or high - low <= 2 * half:
        return 0
    wanted = 1 / ((2 * half / (high - low)) ** 2 * (1 / n - 1 / total) + 1 / total)
    return int(min(total, np.ceil(wanted / 10) * 10))


def _joined(answered: Answered) -> tuple[Floats, Floats, Floats]:
    rows: list[list[int]] = []
    for row in zip(answered.sizes, answered.judged, answered.relevant, strict=True):
        if rows and (not row[1] or not rows[-1][1]):
            rows[-1] = [a + b for a, b in zip(rows[-1], row, strict=True)]
        elif row[0]:
            rows.append(list(row))
    sizes, judged, relevant = np.array(rows, np.float64).reshape(-1, 3).T
    return sizes, judged, relevant


def write_sample(path: Path, samples: Mapping[str, pa.Table]) -> int:
    """Write the samples of all languages as JSON lines with `relevant: null`, which a judge replaces with true or false; returns how many."""
    from dsbuild import files

    lines = [
        json.dumps({"lang": lang, **row, "relevant": None}, ensure_ascii=False) + "\n"
        for lang, table in samples.items()
        for row in table.to_pylist()
    ]
    files.write_text(path, "".join(lines))
    return len(lines)


def read_answers(path: Path, samples: Mapping[str, pa.Table]) -> dict[str, Answered]:
    """The answers of a file by language; `SourceError` for a line that is none, or of another sample."""
    drawn = {
        (lang, query, doc): (stratum, size)
        for lang, table in samples.items()
        for query, doc, stratum, size in zip(
            *(table[name].to_pylist() for name in ("query_id", "doc_id", "stratum", "stratum_size")), strict=True
        )
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
    found = {}
    for lang, table in samples.items():
        strata = sorted({(stratum, size) for key, (stratum, size) in drawn.items() if key[0] == lang})
        judged, relevant = dict.fromkeys(strata, 0), dict.fromkeys(strata, 0)
        for key, answer in said.items():
            if key[0] == lang:
                judged[drawn[key]] += 1
                relevant[drawn[key]] += answer
        found[lang] = Answered([size for _, size in strata], list(judged.values()), list(relevant.values()))
        assert table.num_rows >= sum(judged.values())
    return found
