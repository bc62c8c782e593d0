"""What the judge of mined candidates said, by language: the facts of a release, and the table for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsbuild import parquet
from dsbuild.builders.judging.judge_agreement import agreement
from dsbuild.builders.judging.judge_sections import shown_interval
from dsbuild.builders.judging.judged_qrels import RELEVANT
from dsbuild.builders.mining.judge_band import OUTCOMES, prompt
from dsbuild.graph import Input, Progress

if TYPE_CHECKING:
    from dsbuild.builders.mining.mined import Mining

# The grades as numbers, so that only what is called relevant counts as an answer.
_GRADES = {outcome: grade for grade, outcome in enumerate(OUTCOMES.values())}
assert _GRADES["positive"] == RELEVANT


def judge_findings(mining: Mining, progress: Progress) -> dict[str, Any]:
    """model, prompt (digest), low, and for each language asked, outcomes, problems, joined, agreement; {} where nobody judged.

    joined: judgements of the release that are the model's; None where none may join. A language that is decided elsewhere has nothing asked.
    agreement: with the set's own grades (`judge_agreement.agreement`; the judge's three grades are 0, 1 and 2, of which 2 is an answer), and
    compared and failed, the numbers of pairs that were asked for it; None where no pair was.
    """
    judge = mining.recipe.judge
    if judge is None:
        return {}
    languages = {}
    for lang in mining.langs:
        records = progress.done.get(f"judge.{lang}", ())
        outcomes: Counter[str] = Counter()
        for record in records:
            outcomes.update(record.facts["outcomes"])
        promoted = progress.done.get(f"promote.{lang}")
        languages[lang] = {
            "asked": sum(record.facts["asked"] for record in records),
            "outcomes": {name: outcomes[name] for name in OUTCOMES.values()} if records else {},
            "problems": sum(record.facts["problems"] for record in records),
            "joined": None if promoted is None else sum(record.facts["added"] for record in promoted),
            "agreement": _agreement(lang, progress, mining.recipe.seed) if records else None,
        }
    return {"model": judge.model, "prompt": prompt().digest, "low": judge.low, "languages": languages}


def _agreement(lang: str, progress: Progress, seed: int) -> dict[str, Any] | None:
    columns = ["query_id", "outcome", "problem", "known"]
    rows = pa.concat_tables([parquet.read(one.path, columns) for one in progress.shards(Input(f"judge.{lang}"))])
    rows = rows.filter(pc.is_valid(rows["known"]))
    if not rows.num_rows:
        return None
    said = rows.filter(pc.equal(rows["problem"], ""))
    known = said["known"].to_numpy().astype(np.int64)
    grades = np.array([_GRADES[one] for one in said["outcome"].to_pylist()], np.int64)
    told = agreement(said["query_id"].to_pylist(), known, grades, seed=seed)
    # Three grades are not the four of TREC's scale.
    kept = {name: told[name] for name in ("pairs", "queries", "table", "one_sided", "raw", "kappa")}
    return {"compared": rows.num_rows, "failed": rows.num_rows - said.num_rows, **kept}


def judge_section(findings: Mapping[str, Any]) -> dict[str, Any]:
    """The section of the manifest."""
    languages: Mapping[str, Mapping[str, Any]] = findings["languages"]
    columns = ["language", "asked", "negative", "dropped", "without an answer", "relevant", "new judgements"]
    compared = any(one["agreement"] for one in languages.values())
    if compared:
        columns += ["compared with the set", "equal", "kappa"]
    rows = []
    for lang, one in languages.items():
        said = one["outcomes"]
        row: list[Any] = [lang, one["asked"], *(said.get(name, 0) for name in ("negative", "drop"))]
        row += [one["problems"], said.get("positive", 0), one["joined"]]
        if compared:
            told = one["agreement"]
            row += (
                [told["pairs"], shown_interval(told["raw"]), "" if told["one_sided"] else shown_interval(told["kappa"])]
                if told
                else [0, "", ""]
            )
        rows.append(row)
    text = (
        f"{findings['model']}, a language model, was asked about the candidates that the rule would choose and some retriever scores "
        f"from {findings['low']:g} of the positive's score on. Negative: taken; dropped: partly relevant, or no answer that is a grade; relevant: a "
        "new judgement of grade 1 where judgements may join, in every language that has the query and lacks the judgement. "
        "Nobody checked these answers; each is in judged/."
    )
    if compared:
        text += (
            " Of the set's own judgements some were asked about as well: the share of equal verdicts (relevant or not; partly "
            "is not) and Cohen's kappa with 95 % bootstrap intervals over queries."
        )  # fmt: skip
        tables = [
            f"{lang}, grade {grade} of the set: " + ", ".join(f"{n:,}" for n in counts[: len(OUTCOMES)])
            for lang, one in languages.items()
            for grade, counts in (one["agreement"] or {"table": {}})["table"].items()
        ]
        text += (
            f" How often they were called negative, partly relevant, relevant: {'; '.join(tables)}." if tables else ""
        )
    else:
        text += " None of the set's own judgements was asked about (judge.known), so how often it agrees with them is not known."
    return {"title": f"Judged by {findings['model']}", "text": text, "table": {"columns": columns, "rows": rows}}
