"""The commands on retrieval sets: they parse, call and print like those of `dsbuild.cli`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from dsbuild.cli import (
    STORE,
    DryRun,
    Executor,
    Format,
    Out,
    OutputFormat,
    Placement,
    RecipeFile,
    Settings,
    StoreDir,
    Workers,
    app,
    build_and_print,
    print_found,
    tell,
)

AnySet = Annotated[
    Optional[str],
    typer.Option(
        "--src",
        metavar="DIR|KIND:PATH",
        help="A release folder, or a retrieval set: beir:DIR, msmarco-sample, jsonl:FILE, hf:ORG/NAME, …",
    ),
]
Retrievers = Annotated[
    Optional[str],
    typer.Option(
        "--retriever",
        metavar="bm25,lsa",
        help="First stages, comma-separated: NAME or NAME:ARGUMENT, such as dense:MODEL or run:FILE.",
    ),
]
RuleName = Annotated[
    Optional[str],
    typer.Option("--rule", metavar="R", help="naive, random, shifted, absolute, marginpos, percpos, simans, agreement or calibrated."),
]  # fmt: skip
Negatives = Annotated[
    Optional[int], typer.Option("--negatives", metavar="N", min=1, help="Negatives for each query [default: 4].")
]
TargetFn = Annotated[
    Optional[str],
    typer.Option(
        "--target-fn", metavar="3%", help="Calibrate the rule on held-out positives to this share of false negatives."
    ),
]
Depth = Annotated[
    Optional[int],
    typer.Option("--depth", metavar="K", min=1, help="Candidates of each retriever for a query [default: 200]."),
]
Seed = Annotated[Optional[int], typer.Option("--seed", metavar="S", help="Seed of every draw [default: 0].")]
Lang = Annotated[
    Optional[str],
    typer.Option("--lang", metavar="CODE", help="Language of the set (BCP-47), where it does not say it."),
]
Limit = Annotated[
    Optional[int], typer.Option("--limit", metavar="N", min=1, help="At most N documents; judged ones first.")
]


@app.command()
def mine(
    src: AnySet = None,
    retriever: Retrievers = None,
    rule: RuleName = None,
    negatives: Negatives = None,
    target_fn: TargetFn = None,
    depth: Depth = None,
    seed: Seed = None,
    lang: Lang = None,
    limit: Limit = None,
    recipe: RecipeFile = None,
    workers: Workers = None,
    executor: Executor = Placement.local,
    out: Out = None,
    store: StoreDir = STORE,
    settings: Settings = None,
    dry_run: DryRun = False,
    output: OutputFormat = Format.text,
) -> None:
    """Mine hard negatives: candidates of several retrievers, chosen by a rule, never a positive or its twin.

    Example: dsbuild mine --src beir:DIR --retriever bm25,lsa --rule percpos --set rule.percent=0.95 --negatives 4
    """
    from dsbuild.builders import build
    from dsbuild.builders.mining import mined

    given: dict[str, Any] = {
        "source.src": mined.as_source(src),
        "source.lang": lang,
        "source.limit": limit,
        "retriever.use": retriever,
        "retriever.depth": depth,
        "rule.name": rule,
        "negatives": negatives,
        "target_fn": build.share(target_fn) if target_fn else None,
        "seed": seed,
    }
    made: Any = build.compose(recipe, given, settings or [], kind="mine")
    build_and_print(made, out, store, executor.value, workers, dry_run=dry_run, output=output)


PruneRule = Annotated[
    Optional[str],
    typer.Option("--rule", metavar="R", help="miracl-vision, mmteb or target [default: target]."),
]
TargetTau = Annotated[
    Optional[float],
    typer.Option("--target-tau", metavar="T", help="Keep so many that retrievers rank as before: Kendall's tau of at least T."),
]  # fmt: skip
TargetSize = Annotated[
    Optional[int], typer.Option("--target-size", metavar="N", min=1, help="Keep at most N documents of each language.")
]
PruneDepth = Annotated[
    Optional[int],
    typer.Option(
        "--depth", metavar="K", min=1, help="Ranks (miracl-vision: 100 in English, else 50) or documents a query with the judged ones (mmteb: 250)."
    ),
]  # fmt: skip


@app.command()
def prune(
    src: AnySet = None,
    retriever: Retrievers = None,
    rule: PruneRule = None,
    target_tau: TargetTau = None,
    target_size: TargetSize = None,
    depth: PruneDepth = None,
    seed: Seed = None,
    lang: Lang = None,
    limit: Limit = None,
    recipe: RecipeFile = None,
    workers: Workers = None,
    executor: Executor = Placement.local,
    out: Out = None,
    store: StoreDir = STORE,
    settings: Settings = None,
    dry_run: DryRun = False,
    output: OutputFormat = Format.text,
) -> None:
    """Prune easy negatives from a collection, with a certificate of how retrievers still rank on it.

    Example: dsbuild prune --src beir:DIR --retriever bm25,lsa,ngrams,words --target-tau 0.95 --out DIR2
    """
    from dsbuild.builders import build
    from dsbuild.builders.mining import mined

    given: dict[str, Any] = {
        "source.src": mined.as_source(src),
        "source.lang": lang,
        "source.limit": limit,
        "retriever.use": retriever,
        "prune.rule": rule,
        "prune.target_tau": target_tau,
        "prune.target_size": target_size,
        "prune.depth": depth,
        "seed": seed,
    }
    made: Any = build.compose(recipe, given, settings or [], kind="prune")
    build_and_print(made, out, store, executor.value, workers, dry_run=dry_run, output=output)


ScoreTable = Annotated[
    Path,
    typer.Argument(metavar="SCORES.csv", help="One row a model, one column a task; or one row a task with --type-column."),
]  # fmt: skip
TypeColumn = Annotated[
    Optional[str],
    typer.Option("--type-column", metavar="NAME", help="Tasks are rows, models columns; this column names a task's type, whose last one stays."),
]  # fmt: skip
KeepTasks = Annotated[Optional[str], typer.Option("--keep", metavar="A,B", help="Tasks that always stay.")]
MinSpearman = Annotated[
    float,
    typer.Option("--min-spearman", metavar="S", min=-1, max=1, help="Tasks predicted with a lower rank correlation stay."),
]  # fmt: skip
MaxMse = Annotated[
    float,
    typer.Option("--max-mse", metavar="E", min=0, help="Tasks predicted with a larger squared error, in standard deviations, stay."),
]  # fmt: skip


@app.command("select-tasks")
def select_tasks(
    scores: ScoreTable,
    type_column: TypeColumn = None,
    keep: KeepTasks = None,
    min_spearman: MinSpearman = 0.8,
    max_mse: MaxMse = 0.5,
    output: OutputFormat = Format.text,
) -> None:
    """Select the tasks of a benchmark that others do not predict, from a table of models and scores.

    Example: dsbuild select-tasks SCORES.csv --keep NQ --min-spearman 0.8 --max-mse 0.5
    """
    from dsbuild import prune_console
    from dsbuild.builders.evaluation import task_selection

    table = task_selection.read_scores(scores, type_column)
    kept = [name.strip() for name in (keep or "").split(",") if name.strip()]
    found = task_selection.select(table, keep=kept, min_spearman=min_spearman, max_mse=max_mse)
    print_found(output, found, lambda: prune_console.print_selection(found))


_VIEWS = "beir, mteb, trec, mmarco, st-triplet, st-ntuple, st-labeled, st-distil, st-parallel, tevatron, flagembedding, pylate or colbert."


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A release folder.")],
    to: Annotated[str, typer.Option("--to", metavar="VIEW", help=_VIEWS)],
    out: Annotated[Path, typer.Option("--out", metavar="DIR2", help="Folder to write; an earlier export of the set to this view is replaced.")],
    langs: Annotated[Optional[str], typer.Option("--langs", metavar="hi,mr", help="Languages of the passages [default: all].")] = None,
    query_langs: Annotated[
        Optional[str],
        typer.Option("--query-langs", metavar="en", help="Languages of the queries, each over every language of passages [default: the same]."),
    ] = None,
    split: Annotated[Optional[str], typer.Option("--split", metavar="train,dev", help="Splits [default: all].")] = None,
    pooled: Annotated[bool, typer.Option("--pooled", help="One corpus of all languages; ids become LANG:ID.")] = False,
    mix: Annotated[
        Optional[str],
        typer.Option("--mix", metavar="M", help="Languages in training rows: passages (each drawn), entries (drawn for a query) or robin."),
    ] = None,
    n: Annotated[Optional[int], typer.Option("--n", metavar="N", help="Negatives of a row or query.")] = None,
    style: Annotated[
        Optional[str],
        typer.Option("--style", metavar="S", help="pair|list (st-labeled), kldiv|margin (st-distil), segments|rows (st-parallel), "
                     "new|old (tevatron), contrastive|kd (pylate)."),
    ] = None,
    scores: Annotated[bool, typer.Option("--scores", help="Write the scores of a retriever.")] = False,
    retriever: Annotated[
        Optional[str], typer.Option("--retriever", metavar="R", help="Whose scores, run or candidates; rerank is the cross-encoder.")
    ] = None,
    ids: Annotated[Optional[str], typer.Option("--ids", metavar="keep", help="keep ids, or number them with a map that leads back.")] = None,
    prompt: Annotated[Optional[str], typer.Option("--prompt", metavar="TEXT", help="Instruction of queries (flagembedding).")] = None,
    model: Annotated[
        Optional[str], typer.Option("--model", metavar="M", help="Teacher whose vectors are labels (st-parallel): folder or hub name.")
    ] = None,
    positive: Annotated[int, typer.Option("--positive", metavar="N", min=1, help="Least relevance of a positive.")] = 1,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Seed of the draws of --mix.")] = 0,
    output: OutputFormat = Format.text,
) -> None:  # fmt: skip
    """Write a release for the loaders of other libraries, every query accounted for.

    Example: dsbuild export outputs/mine/0.0.0-draft --to st-ntuple --langs hi --n 4 --out triples
    """
    from dsbuild import retrieval_console
    from dsbuild.builders.exports import exported
    from dsbuild.builders.exports.scope import Selection

    def parts(said: Optional[str]) -> tuple[str, ...]:
        return tuple(part.strip() for part in (said or "").split(",") if part.strip())

    selection = Selection(parts(langs), parts(query_langs), parts(split), pooled, mix, seed, positive)
    given = {
        "n": n, "style": style, "scores": scores, "retriever": retriever, "ids": ids, "prompt": prompt, "model": model,
    }  # fmt: skip
    found = exported.run_export(folder, to, out, selection, given)
    tell(found["notes"])
    print_found(output, found, lambda: retrieval_console.print_exported(found))
