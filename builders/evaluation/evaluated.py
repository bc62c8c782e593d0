"""How well a release can be searched: scores of first stages by language against the source's, damaged queries, terminology splits."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from dsbuild import executors, files, parquet, release, run
from dsbuild.builders.evaluation.evaluations import beside
from dsbuild.builders.evaluation.find_damage import FindDamage
from dsbuild.builders.evaluation.measure_retrieval import METRICS, MeasureRetrieval
from dsbuild.builders.evaluation.rank_statistics import differences
from dsbuild.builders.retrieval.own_documents import own_node
from dsbuild.builders.retrieval.retrieve import retrieve_nodes
from dsbuild.builders.retrieval.retriever_section import RetrieverSection
from dsbuild.builders.sections import SourceSection
from dsbuild.builders.sources.opened import Opened, as_spec, name_of, open_tables
from dsbuild.builders.sources.retrieval_tables import languages_of, retrieval_tables, table_of, whole
from dsbuild.errors import RecipeError, UnknownName
from dsbuild.graph import Input, Node, Progress
from dsbuild.recipe import Section, apply_settings, validate
from dsbuild.run import Reporter
from dsbuild.store import Store

# A first stage lost something in a language if the whole interval of its change lies below this, in the first of these measures.
DROP, _DROPPED_BY = -0.05, "mrr"
# This retriever has no words that a tokeniser could cut wrongly. If it loses less than so much of what another lost, words are the cause.
_CONTROL, _SPARED = "ngrams", 0.5


class DamageSection(Section):
    """false_alarms: the share of sound queries that may alarm; use: whether damaged queries are looked for."""

    false_alarms: float = 0.03
    use: bool = True


class EvaluateRecipe(Section):
    """Measure a retrieval set; k: of nDCG, MRR and recall; retriever.depth: of average precision and ranks."""

    build: Literal["evaluate"] = "evaluate"
    source: SourceSection
    retriever: RetrieverSection = RetrieverSection(use="bm25,lsa", depth=100)
    langs: tuple[str, ...] = ()
    k: int = 10
    seed: int = Field(default=0, ge=0)
    damage: DamageSection = DamageSection()


@dataclass(frozen=True)
class Evaluating:
    """A recipe as a graph. parallel: languages whose queries and documents have their own texts beside the source's."""

    recipe: EvaluateRecipe
    opened: Opened
    nodes: tuple[Node, ...]
    langs: tuple[str, ...]
    retrievers: tuple[str, ...]
    parallel: tuple[str, ...]


def recipe_of(
    src: str, *, retriever: str | None = None, depth: int | None = None, langs: str | None = None, k: int | None = None,
    seed: int | None = None, lang: str | None = None, limit: int | None = None, settings: Sequence[str] = (),
) -> EvaluateRecipe:  # fmt: skip
    """The recipe of the command's options; `RecipeError` for one that cannot be run."""
    given = {
        "source": {"src": as_spec(src), "lang": lang, "limit": limit},
        "retriever": {"use": retriever or "bm25,lsa", "depth": depth or 100},
        "langs": [part.strip() for part in (langs or "").split(",") if part.strip()],
        "k": k,
        "seed": seed,
    }
    values = {
        key: {name: one for name, one in value.items() if one is not None} if isinstance(value, dict) else value
        for key, value in given.items()
        if value is not None
    }
    made = validate(EvaluateRecipe, apply_settings(values, settings), where="options")
    if made.k < 1 or not 0 < made.damage.false_alarms < 0.5:
        raise RecipeError(
            f"k={made.k}, damage.false_alarms={made.damage.false_alarms}: k is 1 or more, the share in 0..0.5"
        )
    if made.retriever.depth < made.k:
        raise RecipeError(
            f"--depth {made.retriever.depth} is less than --k {made.k}: retrieve at least as deep as is measured"
        )
    return made


def prepare(recipe: EvaluateRecipe, store: Path) -> Evaluating:
    """Open the set and lay out the graph; what is wrong with names and options is told before work starts."""
    opened = retrieval_tables(open_tables(recipe.source, digests=store / "digests"))
    there = languages_of(opened)
    for lang in recipe.langs:
        if lang not in there:
            raise UnknownName("language of the set (--langs)", lang, there)
    src = opened.facts.lang
    langs = tuple(lang for lang in there if not recipe.langs or lang in recipe.langs or lang == src)
    nodes = list(opened.nodes)
    retrievers: list[str] = []
    for lang in langs:
        made = measuring_nodes(
            opened, lang, recipe.retriever.use, recipe.retriever.options(), recipe.retriever.depth, recipe.k
        )
        retrievers = [node.name.split(".", 2)[2] for node in made if node.name.startswith("measure.")]
        nodes += made
    own = {(one.lang, one.table) for one in opened.tables}
    # A language that has only queries is searched in the source's documents: nothing there was translated.
    parallel = tuple(
        lang for lang in langs if lang != src and src in langs and {(lang, "corpus"), (lang, "queries")} <= own
    )
    if recipe.damage.use:
        for lang in parallel:
            tables = {
                "src_corpus": (src, "corpus"), "src_queries": (src, "queries"), "corpus": (lang, "corpus"), "queries": (lang, "queries"),
                "qrels": (lang, "qrels"),
            }  # fmt: skip
            inputs = {name: whole(table_of(opened, *at).rows) for name, at in tables.items()}
            nodes.append(Node(f"damage.{lang}", FindDamage(src, lang, recipe.damage.false_alarms, recipe.seed), inputs))
    return Evaluating(recipe, opened, tuple(nodes), langs, tuple(retrievers), parallel)


def measuring_nodes(
    opened: Opened, lang: str, use: str, options: Mapping[str, Mapping[str, Any]], depth: int, k: int
) -> list[Node]:
    """Retrieve and measure in one language: `own.<lang>`, `retrieve.<lang>.<name>` and `measure.<lang>.<name>`."""
    corpus, queries, qrels = (table_of(opened, lang, table).rows for table in ("corpus", "queries", "qrels"))
    nodes = retrieve_nodes(use, options, lang, corpus, queries, qrels, depth=depth)
    measures = []
    for node in nodes:
        inputs = {"candidates": Input(node.name, "candidates", "all"), "queries": whole(queries), "qrels": whole(qrels)}
        inputs["own"] = Input(f"own.{lang}", how="all")
        measures.append(Node(f"measure.{node.name.partition('.')[2]}", MeasureRetrieval(k), inputs))
    return [own_node(opened, lang), *nodes, *measures]


def evaluate(
    recipe: EvaluateRecipe, *, out: Path | None, store: Path, executor: str = "local", workers: int | None = None, reporter: Reporter | None = None
) -> dict[str, Any]:  # fmt: skip
    """Measure, and write what was found; returns it, with `written`: where it is.

    out: the file (None: beside a release, where `release` and `report` find it; nothing of another kind of set).
    """
    chosen = executors.make(executor, workers)
    made = prepare(recipe, store)
    target = out or _beside(recipe)
    if target is not None:
        files.check_place(target)
    title = f"{name_of(recipe.source.src)}-evaluated"
    progress = run.run(made.nodes, Store(store), title, chosen, reporter)
    found = summary(made, progress)
    if dropped := [lang for lang, one in found["languages"].items() if one["drops"]]:
        _explain(made, dropped, found, store, title, chosen, reporter)
    found["notes"] = notes_of(found)
    if target is not None:
        files.write_text(
            target, json.dumps(found, ensure_ascii=False, allow_nan=False, indent=1, sort_keys=True) + "\n"
        )
    return {**found, "written": str(target) if target else None}


def _beside(recipe: EvaluateRecipe) -> Path | None:
    kind, _, path = recipe.source.src.partition(":")
    return beside(Path(path).expanduser()) if kind == "release" else None


def summary(made: Evaluating, progress: Progress) -> dict[str, Any]:
    """What the command prints."""
    src = made.opened.facts.lang
    tables = {
        (lang, name): parquet.read(progress.shards(Input(f"measure.{lang}.{name}"))[0].path)
        for lang in made.langs
        for name in made.retrievers
    }
    languages: dict[str, Any] = {}
    for lang in made.langs:
        one: dict[str, Any] = {"queries": tables[lang, made.retrievers[0]].num_rows, "retrievers": {}, "drops": []}
        for name in made.retrievers:
            one["retrievers"][name] = _scores(tables[lang, name])
            if lang != src and src in made.langs:
                one["retrievers"][name]["change"] = change = _change(
                    tables[src, name], tables[lang, name], made.recipe.seed
                )
                if change and change[_DROPPED_BY]["high"] is not None and change[_DROPPED_BY]["high"] < DROP:
                    one["drops"].append({"retriever": name, **change[_DROPPED_BY], "cause": None})
        if f"damage.{lang}" in progress.done:
            one["damage"] = _damage(made, progress, lang, tables)
        languages[lang] = one
    manifest = (
        release.read_manifest(Path(made.recipe.source.src.partition(":")[2]))
        if made.recipe.source.src.startswith("release:")
        else {}
    )
    return {
        "name": made.opened.facts.name, "build_key": manifest.get("build_key"), "source_lang": src, "k": made.recipe.k,
        "depth": made.recipe.retriever.depth, "retrievers": list(made.retrievers), "languages": languages,
    }  # fmt: skip


def _scores(table: pa.Table) -> dict[str, Any]:
    return {name: _digits(pc.mean(table[name]).as_py()) for name in METRICS}


def _change(before: pa.Table, after: pa.Table, seed: int, only: pa.Array | None = None) -> dict[str, Any]:
    """Means of the paired differences over the queries that both have, with 95 % bootstrap intervals; only: count the others as 0."""
    both = after.append_column("at", pc.index_in(after["query_id"], before["query_id"].combine_chunks()))
    both = both.filter(pc.is_valid(both["at"]))
    if not both.num_rows:
        return {}
    same = before.take(both["at"])
    one, other = (np.column_stack([table[name].to_numpy() for name in METRICS]) for table in (same, both))
    if only is not None:
        counts = pc.is_in(both["query_id"], only).to_numpy()
        other = np.where(counts[:, None], other, one)
    found = differences(one, other, seed)
    return {
        name: {"mean": _digits(each.value), "low": _digits(each.low), "high": _digits(each.high)}
        for name, each in zip(METRICS, found, strict=True)
    }


def _damage(
    made: Evaluating, progress: Progress, lang: str, tables: Mapping[tuple[str, str], pa.Table]
) -> dict[str, Any]:
    facts = progress.done[f"damage.{lang}"][0].facts
    if not facts["looked"]:
        return {
            "looked_at": 0,
            "why": f"{facts['pairs']} pairs of queries and positives that both languages have; too few to say what is usual",
        }
    rows = parquet.read(progress.shards(Input(f"damage.{lang}"))[0].path)
    alarmed = rows.filter(rows["alarm"]).sort_by([("score", "descending"), ("query_id", "ascending")])
    named = parquet.read(progress.shards(Input(f"damage.{lang}", "splits"))[0].path)
    src = made.opened.facts.lang
    ids = alarmed["query_id"].combine_chunks()
    loss = {name: _change(tables[src, name], tables[lang, name], made.recipe.seed, ids) for name in made.retrievers}
    sides = dict.fromkeys(("query", "passage"), 0) | {
        one["values"]: one["counts"] for one in pc.value_counts(alarmed["side"]).to_pylist()
    }
    return {
        "looked_at": rows.num_rows, "alarms": alarmed.num_rows, "sides": sides, "estimated_share": facts["share"],
        "threshold": facts["threshold"], "loss": loss, "damaged": [_without(row, "alarm") for row in alarmed.to_pylist()],
        "splits": named.to_pylist(),
    }  # fmt: skip


def _explain(
    made: Evaluating, langs: Sequence[str], found: dict[str, Any], store: Path, title: str, chosen: executors.Executor, reporter: Reporter | None
) -> None:  # fmt: skip
    """Say whether the words of a language or its texts are the cause of a drop: character n-grams need no words."""
    src = made.opened.facts.lang
    nodes = list(made.opened.nodes)
    for lang in (src, *langs):
        nodes += measuring_nodes(made.opened, lang, _CONTROL, {}, made.recipe.retriever.depth, made.recipe.k)
    progress = run.run(nodes, Store(store), title, chosen, reporter)
    tables = {
        lang: parquet.read(progress.shards(Input(f"measure.{lang}.{_CONTROL}"))[0].path) for lang in (src, *langs)
    }
    for lang in langs:
        control = _change(tables[src], tables[lang], made.recipe.seed)[_DROPPED_BY]
        for drop in found["languages"][lang]["drops"]:
            drop["control"] = control
            if drop["retriever"] != _CONTROL:
                drop["cause"] = "words" if control["mean"] > _SPARED * drop["mean"] else "texts"


def notes_of(found: Mapping[str, Any]) -> list[str]:
    """What must be said beside the numbers."""
    notes = []
    src = found["source_lang"]
    for lang, one in found["languages"].items():
        for drop in one["drops"]:
            cause = {
                "words": f"character n-grams lose only {-drop['control']['mean']:.3f}, so look at how words are cut and inflected",
                "texts": f"character n-grams lose {-drop['control']['mean']:.3f} too, so look at the translations",
            }.get(drop["cause"], "look at the translations")
            notes.append(
                f"{lang}: {drop['retriever']} finds much less than in {src}: MRR@{found['k']} {drop['mean']:+.3f} "
                f"({drop['low']:+.3f} to {drop['high']:+.3f}); {cause}"
            )
        damage = one.get("damage")
        if damage and not damage["looked_at"]:
            notes.append(f"{lang}: not looked for damaged queries: {damage['why']}")
        elif damage and damage["alarms"]:
            sides = damage["sides"]
            notes.append(
                f"{lang}: {damage['alarms']:,} of {damage['looked_at']:,} queries look damaged "
                f"({sides['query']:,} in the query, {sides['passage']:,} in the passage)"
            )
        if damage and (named := damage.get("splits")):
            two = sum(bool(row["in_query"] and row["in_passage"]) for row in named)
            notes.append(
                f"{lang}: {two:,} terms are rendered in two ways in a query and its passage, {len(named) - two:,} are found in one of them only"
            )
    return notes


def _digits(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 4)


def _without(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}
