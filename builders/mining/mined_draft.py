"""The draft release of a mined set: negatives, candidates, and what is known of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from dsbuild import release
from dsbuild.builders.mining.choose_negatives import BEYOND, CHOSEN, median_rank
from dsbuild.builders.mining.judge_band import JUDGED
from dsbuild.builders.mining.judge_findings import judge_findings, judge_section
from dsbuild.builders.mining.measured import measured, notes_of, section
from dsbuild.builders.mining.mined import Mining, retrieved
from dsbuild.builders.parts import Rows, language_name, parts_of, source_notes
from dsbuild.builders.retrieval.retriever_section import public_searched
from dsbuild.builders.set_draft import Draft, write
from dsbuild.errors import SourceError
from dsbuild.graph import Input, Progress
from dsbuild.tables import CANDIDATES

_NEGATIVES = [column for column in CHOSEN if column.name != "split"]


def write_mined(folder: Path, mining: Mining, progress: Progress) -> dict[str, Any]:
    """Write the draft of a finished build; returns what the command prints."""
    languages = {lang: _found(mining, lang, progress) for lang in mining.langs}
    if not any(one["queries"] for one in languages.values()):
        raise SourceError("no query has a positive, so nothing can be mined: a positive is a judgement above 0")
    shown = public_searched(mining.recipe, mining.recipe.retriever.use)
    findings = {
        "rule": mining.recipe.rule_options()[0], "retrievers": list(mining.blocks.retrievers), "hardness_by": list(mining.blocks.watching),
        "depth": mining.recipe.retriever.depth, "negatives": mining.recipe.negatives, "decided_in": mining.recipe.mine.decide,
        "mining": languages,
    }  # fmt: skip
    told = measured(mining, progress)
    if told:
        findings["false_negatives"] = told
    judged = judge_findings(mining, progress)
    if judged:
        findings["judge_band"] = judged
    final = {table.key: table.rows for table in mining.opened.tables}
    added = {}
    for table in mining.opened.judged():
        if (node := f"promote.{table.lang}") in progress.done:
            final[table.key] = Input(node)
            added[table.key] = sum(record.facts["added"] for record in progress.done[node])
    draft = Draft(shown, mining.recipe.title(), mining.opened, mining.nodes, final, progress, added)
    notes = [*_notes(mining, languages, progress), *notes_of(told)]
    sections = [_section(findings), *([judge_section(judged)] if judged else []), *([section(told)] if told else [])]
    manifest = write(draft, folder, findings, notes, list(_parts(mining, progress)), sections)
    return {
        "release": str(folder), "rule": findings["rule"], "retrievers": findings["retrievers"], "languages": languages,
        "false_negatives": told, "notes": manifest["notes"],
    }  # fmt: skip


def _parts(mining: Mining, progress: Progress) -> Iterator[release.Part]:
    for lang in mining.langs:
        rows = Rows([shard.path for shard in progress.shards(mining.negatives(lang))])
        yield from parts_of(rows, lang, "negatives", pa.schema(_NEGATIVES))
        if f"judge.{lang}" in progress.done:
            judged = Rows([shard.path for shard in progress.shards(Input(f"judge.{lang}"))])
            yield release.Part("judged", lang, JUDGED, sum(one.num_rows for one in judged), judged)
        if not mining.recipe.mine.candidates or lang in mining.mapped:
            continue
        paths = [
            shard.path
            for name in (*mining.blocks.retrievers, *mining.blocks.watching)
            for shard in progress.shards(retrieved(lang, name, "candidates"))
        ]
        yield from parts_of(Rows(paths), lang, "candidates", CANDIDATES)


def _found(mining: Mining, lang: str, progress: Progress) -> dict[str, Any]:
    """The numbers of one language."""
    total: Counter[str] = Counter()
    ranks: dict[str, Counter[str]] = {}
    refused: Counter[str] = Counter()
    for record in progress.done[mining.negatives(lang).node]:
        facts = record.facts
        total.update(
            {
                name: facts[name]
                for name in ("queries", "without_positive", "negatives", "filled", "empty", "candidates")
            }
        )
        refused.update(facts["refused"])
        for name, counts in facts["ranks"].items():
            ranks.setdefault(name, Counter()).update(counts)
    queries = total["queries"]
    judged: Counter[str] = Counter()
    for record in progress.done.get(f"judge.{lang}", ()):
        judged.update(
            {"asked": record.facts["asked"], "problems": record.facts["problems"], **record.facts["outcomes"]}
        )
    return {
        "name": language_name(lang), "queries": queries, "without_positive": total["without_positive"], "negatives": total["negatives"],
        "filled": total["filled"], "empty": total["empty"], "candidates": total["candidates"],
        "fill": total["filled"] / queries if queries else None, "median_rank": median_rank(ranks.get("union", {})),
        "median_ranks": {name: median_rank(counts) for name, counts in sorted(ranks.items()) if name != "union"},
        "beyond_depth": {
            name: counts[str(BEYOND)] / max(1, total["negatives"]) for name, counts in sorted(ranks.items()) if name != "union"
        },
        "refused": dict(sorted(refused.items())), "judged": dict(sorted(judged.items())),
    }  # fmt: skip


def _section(findings: Mapping[str, Any]) -> dict[str, Any]:
    """The table for people."""
    languages: Mapping[str, Any] = findings["mining"]
    names = [*findings["retrievers"], *findings["hardness_by"]]
    reasons = sorted({name for one in languages.values() for name in one["refused"]})
    columns = ["language", "queries", "negatives", "filled", "median rank", *(f"rank by {name}" for name in names)]
    columns += [f"refused: {name.replace('_', ' ')}" for name in reasons]
    rows = []
    for lang, one in languages.items():
        hard = [_rank(one["median_ranks"].get(name), one["negatives"]) for name in names]
        fill = "" if one["fill"] is None else f"{one['fill']:.1%}"
        row = [lang, one["queries"], one["negatives"], fill, _rank(one["median_rank"], one["negatives"]), *hard]
        rows.append(row + [one["refused"].get(name, 0) for name in reasons])
    watching = ", ".join(findings["hardness_by"])
    text = (
        f"At most {findings['negatives']} negatives a query, by the rule {findings['rule']} over {', '.join(findings['retrievers'])} "
        f"(the first {findings['depth']} of each). Filled: queries with a positive that got all of them. "
        "Median rank: of the negatives, the smaller the harder"
        + (f"; {watching} did not mine." if watching else ".")
        + (
            " A language model judged what scores cannot decide; nobody judged the rest, so some of them may be relevant."
            if "judge_band" in findings
            else " Nobody judged these negatives, so some of them may be relevant."
        )
    )
    return {"title": "Hard negatives", "text": text, "table": {"columns": columns, "rows": rows}}


def _rank(value: float | None, negatives: int) -> Any:
    if not negatives:
        return ""
    return "beyond depth" if value is None else value


def _notes(mining: Mining, languages: Mapping[str, Any], progress: Progress) -> list[str]:
    recipe = mining.recipe
    found = source_notes(progress)
    for lang, one in languages.items():
        if said := one["judged"]:
            found.append(
                f"{lang}: {recipe.judge.model if recipe.judge else ''} judged {said['asked']:,} uncertain candidates: "
                f"{said.get('negative', 0):,} negative, {said.get('drop', 0):,} dropped ({said.get('problems', 0):,} without an answer), "
                f"{said.get('positive', 0):,} relevant"
            )
    for table in mining.opened.judged():
        if added := sum(record.facts["added"] for record in progress.done.get(f"promote.{table.lang}", ())):
            found.append(f"{table.lang}: {added:,} candidates that the judge called relevant join the judgements")
    if recipe.target_fn is not None and recipe.rule.name != "calibrated":
        found.append(f"--target-fn calibrates: the threshold of the rule {recipe.rule.name} is not used")
    for lang, one in languages.items():
        if one["without_positive"]:
            found.append(f"{lang}: {one['without_positive']:,} queries have no positive and get no negatives")
        if one["queries"] and one["filled"] < one["queries"]:
            short = one["queries"] - one["filled"]
            found.append(
                f"{lang}: {short:,} of {one['queries']:,} queries got fewer than {recipe.negatives} negatives; "
                "dropped/verdicts-* says why for each"
            )
    found += [f"{lang}: decided in {recipe.mine.decide} and mapped through ids" for lang in mining.mapped]
    return found
