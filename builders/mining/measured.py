"""False negatives of a rule, measured: the nodes of the graph, what a command prints of them, and the section of a release."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from dsbuild import executors, files, parquet, run
from dsbuild.builders.mining.calibrated_rule import Calibrated
from dsbuild.builders.mining.choose_negatives import Blocks, median_rank
from dsbuild.builders.mining.false_negatives import ENOUGH, shares
from dsbuild.builders.parts import source_notes
from dsbuild.builders.retrieval.evidence import FindEvidence
from dsbuild.builders.retrieval.retriever import names_in, open_retrievers, split_spec
from dsbuild.graph import Input, Node, Progress
from dsbuild.run import Reporter
from dsbuild.store import Store

if TYPE_CHECKING:
    from dsbuild.builders.mining.mined import MineRecipe, Mining

_SHOWN = ("fn", "fn_low", "fn_high", "fill", "median_rank", "mean_rank", "median_ranks", "beyond_depth", "n_queries", "identifiable", "draws",
          "negatives", "false_negatives")  # fmt: skip


def evidence_parts(spec: str, options: Mapping[str, Mapping[str, Any]], further: str) -> dict[str, str]:
    """The retrievers that give evidence, by name: those that mine, or that the miners fuse, and the further ones; as parts of a list.

    Left out are those that score no text of their own: run files, and fused ranks.
    """
    from dsbuild.builders import RETRIEVERS

    parts = []
    for part in [*split_spec(spec), *(split_spec(further) if further else ())]:
        fused = "parts" in RETRIEVERS.get(part.partition(":")[0]).GIVEN
        parts += [inner.strip() for inner in part.partition(":")[2].split("+")] if fused else [part]
    found: dict[str, str] = {}
    for part in parts:
        if part.partition(":")[0] == "run":
            continue
        (made,) = open_retrievers(part, _own(part, options))
        found.setdefault(made.name, part)
        made.close()
    return found


def _own(part: str, options: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {name: options[name] for name in names_in(part) if name in options}


def sample_nodes(mining: Mining, budget: int) -> list[Node]:
    """`sample.<lang>` for each language that is mined, and the evidence that it rests on where the rule does not ask for it."""
    from dsbuild.builders.mining.judged_sample import DrawSample
    from dsbuild.builders.sources.retrieval_tables import table_of, whole

    recipe = mining.recipe
    by_name = {node.name: node for node in mining.nodes}
    rule = recipe.opened_rule()
    parts = evidence_parts(
        recipe.retriever.use,
        recipe.retriever.options(),
        rule.evidence if isinstance(rule, Calibrated) else recipe.mine.strata,
    )
    blocks = replace(mining.blocks, evidence=tuple(parts))
    nodes = []
    for lang in mining.langs:
        if lang in mining.mapped:
            continue
        corpus, queries = (whole(table_of(mining.opened, lang, table).rows) for table in ("corpus", "queries"))
        inputs = dict(by_name[f"choose.{lang}"].inputs)
        if not mining.blocks.evidence:
            nodes += evidence_nodes(parts, recipe.retriever.options(), lang, blocks, corpus, queries, inputs)
            inputs |= {f"evidence.{name}": Input(f"evidence.{lang}.{name}") for name in parts}
        taken = {name: whole(source) for name, source in inputs.items() if name != "judged"}
        taken |= {"chosen": Input(f"choose.{lang}", how="all"), "corpus": corpus}
        nodes.append(Node(f"sample.{lang}", DrawSample(lang, blocks, budget, recipe.seed, recipe.mine.anchor), taken))
    return nodes


def evidence_for(recipe: MineRecipe) -> dict[str, str]:
    """Which retrievers give evidence to the recipe's rule: none where it learns nothing."""
    rule = recipe.opened_rule()
    if not isinstance(rule, Calibrated):
        return {}
    return evidence_parts(recipe.retriever.use, recipe.retriever.options(), rule.evidence)


def evidence_nodes(
    parts: Mapping[str, str], options: Mapping[str, Mapping[str, Any]], lang: str, blocks: Blocks, corpus: Input, queries: Input,
    inputs: Mapping[str, Input],
) -> list[Node]:  # fmt: skip
    """One node for each retriever that gives evidence; inputs: those of the stage that chooses."""
    taken = {
        name: Input(source.node, source.output, "all")
        for name, source in inputs.items()
        if name.partition(".")[0] in ("candidates", "anchors") and name.partition(".")[2] in blocks.retrievers
    }
    nodes = []
    for name, part in parts.items():
        own = _own(part, options)
        (made,) = open_retrievers(part, own)
        stage = FindEvidence(name, lang, blocks.retrievers, spec=part, options=own)
        nodes.append(
            Node(f"evidence.{lang}.{name}", stage, {**taken, "corpus": corpus, "queries": queries}, made.fingerprint())
        )
        made.close()
    return nodes


def needed(nodes: Sequence[Node], wanted: Iterable[str]) -> list[Node]:
    """The wanted nodes and all that they rest on, in the order of the graph."""
    by_name = {node.name: node for node in nodes}
    found: set[str] = set()
    open_ones = list(wanted)
    while open_ones:
        name = open_ones.pop()
        if name not in found:
            found.add(name)
            open_ones += [source.node for source in by_name[name].inputs.values()]
    return [node for node in nodes if node.name in found]


def measured(mining: Mining, progress: Progress) -> dict[str, Any]:
    """What was measured: over all languages, and in each; {} where nothing was."""
    langs = [lang for lang in mining.langs if f"measure.{lang}" in progress.done]
    if not langs:
        return {}
    facts = {lang: dict(progress.done[f"measure.{lang}"][0].facts) for lang in langs}
    tables = [parquet.read(shard.path) for lang in langs for shard in progress.shards(Input(f"measure.{lang}"))]
    whole = facts[langs[0]] if len(langs) == 1 else _pooled(list(facts.values()), tables, mining.recipe.seed)
    found = {"rule": mining.recipe.rule_options()[0], "retrievers": list(mining.blocks.retrievers)}
    found |= {"hardness_by": list(mining.blocks.watching), "evidence": list(mining.blocks.evidence)}
    return {**found, **_shown(whole), "languages": {lang: _shown(one) for lang, one in facts.items()}}


def _shown(facts: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: facts[name] for name in _SHOWN if name in facts}
    return shown | ({"learned": facts["learned"]} if "learned" in facts else {})


def _pooled(facts: list[dict[str, Any]], tables: list[pa.Table], seed: int) -> dict[str, Any]:
    """All languages as one: a query with its translations is one query of the bootstrap."""
    rows = pa.concat_tables(tables).group_by("query_id").aggregate(
        [(name, "sum") for name in ("draws", "negatives", "false_negatives", "filled")]
    ).sort_by("query_id")  # fmt: skip
    drawn, mined, hits, filled = (
        rows[f"{name}_sum"].to_numpy() for name in ("draws", "negatives", "false_negatives", "filled")
    )
    ranks: dict[str, Counter[str]] = {}
    for one in facts:
        for name, counts in one["ranks"].items():
            ranks.setdefault(name, Counter()).update(counts)
    n = max(one["n_queries"] for one in facts) and rows.num_rows
    union, total = ranks.get("union", Counter()), int(mined.sum())
    return {
        **shares(mined if n else np.zeros(0), hits if n else np.zeros(0), seed),
        "fill": int(filled.sum()) / int(drawn.sum()) if drawn.sum() else None,
        "median_rank": median_rank(union), "mean_rank": sum(int(rank) * count for rank, count in union.items()) / total if total else None,
        "median_ranks": {name: median_rank(counts) for name, counts in sorted(ranks.items()) if name != "union"},
        "n_queries": n, "identifiable": n >= ENOUGH, "draws": facts[0]["draws"], "negatives": total, "false_negatives": int(hits.sum()),
    }  # fmt: skip


def notes_of(found: Mapping[str, Any]) -> list[str]:
    """What must be said beside the numbers."""
    notes = []
    for lang, one in found.get("languages", {}).items():
        n = one["n_queries"]
        if not one["identifiable"]:
            notes.append(
                f"{lang}: the share of false negatives is not identifiable: {n:,} queries have two or more positives, {ENOUGH} are needed; "
                "--judge-budget 100 draws a sample for a judge"
            )
        learned = one.get("learned")
        if learned and "price" not in learned:
            notes.append(
                f"{lang}: the rule calibrated could learn nothing: {learned['from']} queries have two or more positives"
            )
        elif learned and not learned["reached"]:
            notes.append(f"{lang}: the goal is out of reach for the rule calibrated; it takes what comes nearest")
    return notes


def section(found: Mapping[str, Any]) -> dict[str, Any]:
    """The table for people."""
    names = sorted({name for one in found["languages"].values() for name in one["median_ranks"]})
    columns = [
        "language",
        "false negatives",
        "95 % interval",
        "the share is",
        "filled",
        "median rank",
        *(f"rank by {name}" for name in names),
    ]
    columns += ["queries", "draws"]
    rows = []
    for lang, one in found["languages"].items():
        said = "identifiable" if one["identifiable"] else "not identifiable"
        share = "" if one["fn"] is None else f"{one['fn']:.1%}"
        fill = "" if one["fill"] is None else f"{one['fill']:.1%}"
        hard = [_rank(one["median_ranks"].get(name)) for name in names]
        interval = f"{one['fn_low']:.1%} to {one['fn_high']:.1%}"
        row = [lang, share, interval, said, fill, _rank(one["median_rank"]), *hard, one["n_queries"], one["draws"]]
        rows.append(row)
    text = (
        f"The rule {found['rule']} over {', '.join(found['retrievers'])}: of every query with two or more positives one stayed known, "
        "the others were hidden, and the share of hidden ones among the mined negatives is what is told. "
        "Relevant documents that nobody judged are not in it, so it is a lower bound. "
    )
    if found["evidence"]:
        text += (
            f"The rule was learned from the other queries, with the scores of {', '.join(found['evidence'])}. "
            "Ranks by a retriever that neither mined nor was learned from say what hardness was paid. "
        )
    if not all(one["identifiable"] for one in found["languages"].values()):
        text += f"Not identifiable: fewer than {ENOUGH} queries have two or more positives, so the interval is all that can be said."
    return {"title": "Measured false negatives", "text": text.strip(), "table": {"columns": columns, "rows": rows}}


def _rank(value: float | None) -> Any:
    return "beyond depth" if value is None else value


@dataclass(frozen=True)
class Sampling:
    """A sample for a judge. budget: negatives of each language; out: where it is written; answers: the file with what the judge said."""

    budget: int
    out: Path | None = None
    answers: Path | None = None

    def settle(self, samples: Mapping[str, pa.Table]) -> dict[str, Any]:
        """Write the sample, say what may be expected of it, and read the answers: for each language the share of relevant ones with its interval."""
        from dsbuild.builders.mining.judged_interval import interval, judgements_for
        from dsbuild.builders.mining.judged_sample import plan_of, read_answers, write_sample

        found: dict[str, Any] = {"budget": self.budget, "sampled": sum(table.num_rows for table in samples.values())}
        found["plan"] = {lang: plan_of(table) for lang, table in samples.items()}
        if self.out:
            write_sample(self.out, samples)
            found["sample"] = str(self.out)
        if self.answers:
            found["languages"] = {}
            for lang, answered in read_answers(self.answers, samples).items():
                share, low, high = interval(answered)
                n = sum(answered.judged)
                told = {"judged": n, "fn": share if n else None, "fn_low": low, "fn_high": high}
                found["languages"][lang] = {**told, "for_5_points": judgements_for(answered)}
        return found


def run_measure(
    recipe: MineRecipe, store: Path, executor: str, workers: int | None, reporter: Reporter | None, *, sampling: Sampling | None = None
) -> dict[str, Any]:  # fmt: skip
    """Measure a recipe's rule without writing a release; returns what the command prints."""
    from dsbuild.builders.mining.mined import prepare

    chosen = executors.make(executor, workers)
    mining = prepare(recipe, store)
    langs = [lang for lang in mining.langs if lang not in mining.mapped]
    nodes, wanted = list(mining.nodes), [f"measure.{lang}" for lang in langs]
    if sampling:
        if sampling.out:
            files.check_place(sampling.out)
        nodes += sample_nodes(mining, sampling.budget)
        wanted += [f"sample.{lang}" for lang in langs]
    nodes = needed(nodes, wanted)
    progress = run.run(nodes, Store(store), f"{recipe.title()}-measured", chosen, reporter)
    found = measured(mining, progress)
    if sampling:
        samples = {lang: parquet.read(progress.shards(Input(f"sample.{lang}"))[0].path) for lang in langs}
        found["judged"] = sampling.settle(samples)
    return {**found, "notes": [*source_notes(progress), *notes_of(found)]}
