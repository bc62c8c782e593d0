"""The commands under `evaluate`: they parse, call and print like those of `dsbuild.cli`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from dsbuild.cli import (
    STORE,
    Executor,
    Format,
    OutputFormat,
    Placement,
    RecipeFile,
    Settings,
    StoreDir,
    Workers,
    app,
    print_found,
    tell,
)
from dsbuild.cli_retrieval import (
    AnySet,
    Depth,
    Lang,
    Limit,
    Negatives,
    Retrievers,
    RuleName,
    Seed,
    TargetFn,
)
from dsbuild.command_line import CommandLine
from dsbuild.errors import RecipeError

evaluate = CommandLine("Measure what was built: hard negatives, what retrievers find, carried labels, word links.")
app.add_typer(evaluate, name="evaluate")


@evaluate.command("negatives")
def evaluate_negatives(
    src: AnySet = None,
    retriever: Retrievers = None,
    rule: RuleName = None,
    negatives: Negatives = None,
    target_fn: TargetFn = None,
    draws: Annotated[
        Optional[int],
        typer.Option(
            "--draws", metavar="N", min=1, help="Draws of the positive that stays known, for each query [default: 20]."
        ),
    ] = None,
    judge_budget: Annotated[
        Optional[int],
        typer.Option(
            "--judge-budget",
            metavar="N",
            min=10,
            help="Draw a stratified sample of so many mined negatives for a judge.",
        ),
    ] = None,
    judge_out: Annotated[
        Optional[Path], typer.Option("--judge-out", metavar="FILE", help="Where the sample is written, as JSON lines.")
    ] = None,
    judged: Annotated[
        Optional[Path],
        typer.Option("--judged", metavar="FILE", help="The sample with the judge's answers: relevant true or false."),
    ] = None,
    depth: Depth = None,
    seed: Seed = None,
    lang: Lang = None,
    limit: Limit = None,
    recipe: RecipeFile = None,
    workers: Workers = None,
    executor: Executor = Placement.local,
    store: StoreDir = STORE,
    settings: Settings = None,
    output: OutputFormat = Format.text,
) -> None:
    """Measure the false negatives of a rule: hide known positives, mine, and count those among the negatives.

    Example: dsbuild evaluate negatives --src beir:DIR --retriever lsa --rule random --set rule.window=10-110 --draws 20
    """
    from dsbuild import console, retrieval_console
    from dsbuild.builders import build
    from dsbuild.builders.mining import measured, mined

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
        "mine.draws": draws,
    }
    if bool(judge_budget) != bool(judge_out or judged):
        raise RecipeError(
            "--judge-budget goes with --judge-out FILE, which is written, or --judged FILE, which holds the answers"
        )
    sampling = measured.Sampling(judge_budget, judge_out, judged) if judge_budget else None
    made: Any = build.compose(recipe, given, settings or [], kind="mine")
    reporter = console.reporter(sys.stderr)
    with reporter:
        found = measured.run_measure(made, store, executor.value, workers, reporter, sampling=sampling)
    tell(found["notes"])
    print_found(output, found, lambda: retrieval_console.print_measured(found))


@evaluate.command("retrieval")
def evaluate_retrieval(
    src: Annotated[
        str, typer.Argument(metavar="DIR", help="A release folder, or a retrieval set: beir:DIR, msmarco-sample, …")
    ],
    retriever: Annotated[
        Optional[str],
        typer.Option("--retriever", metavar="bm25,lsa", help="First stages, comma-separated [default: bm25,lsa]."),
    ] = None,
    langs: Annotated[
        Optional[str],
        typer.Option("--langs", metavar="hi,es", help="Languages [default: all]; the source's is always there."),
    ] = None,
    k: Annotated[
        Optional[int],
        typer.Option("--k", metavar="K", min=1, help="Ranks that nDCG, MRR and recall look at [default: 10]."),
    ] = None,
    depth: Annotated[
        Optional[int],
        typer.Option("--depth", metavar="N", min=1, help="Candidates of each retriever for a query [default: 100]."),
    ] = None,
    seed: Seed = None,
    lang: Lang = None,
    limit: Limit = None,
    workers: Workers = None,
    executor: Executor = Placement.local,
    out: Annotated[
        Optional[Path],
        typer.Option("--out", metavar="FILE", help="Where to write what was found [default: beside a release]."),
    ] = None,
    store: StoreDir = STORE,
    settings: Settings = None,
    output: OutputFormat = Format.text,
) -> None:
    """Measure how well a set can be searched in each language against its source; name damaged queries and terms rendered in two ways.

    Example: dsbuild evaluate retrieval outputs/msmarco-sample-hi/0.0.0-draft
    """
    from dsbuild import console, evaluation_console
    from dsbuild.builders.evaluation import evaluated

    recipe = evaluated.recipe_of(
        src,
        retriever=retriever,
        depth=depth,
        langs=langs,
        k=k,
        seed=seed,
        lang=lang,
        limit=limit,
        settings=settings or [],
    )
    reporter = console.reporter(sys.stderr)
    with reporter:
        found = evaluated.evaluate(
            recipe, out=out, store=store, executor=executor.value, workers=workers, reporter=reporter
        )
    tell(found["notes"])
    print_found(output, found, lambda: evaluation_console.print_evaluated(found))


@evaluate.command("projection")
def evaluate_projection(
    gold: Annotated[
        list[str],
        typer.Option(
            "--gold", metavar="[LANG=]KIND:FILE", help="Target texts with the right labels; again for each language."
        ),
    ],
    pred: Annotated[
        str,
        typer.Option(
            "--pred", metavar="DIR|KIND:FILE", help="A release of dsbuild project, or a file of the same texts."
        ),
    ],
    match: Annotated[
        str,
        typer.Option(
            "--match",
            metavar="id|place",
            help="Whether one id is one span [default: id for squad and xquad, else place].",
        ),
    ] = "auto",
    option: Annotated[
        Optional[list[str]],
        typer.Option("--option", metavar="NAME=VALUE", help="An option of the kind, such as scheme=bioes."),
    ] = None,
    plot: Annotated[
        Optional[Path], typer.Option("--plot", metavar="FILE", help="Write the coverage-precision curve there, as SVG.")
    ] = None,
    output: OutputFormat = Format.text,
) -> None:
    """Measure projected labels against gold: exact, overlap and head scores, what was left out, whether confidence holds.

    Example: dsbuild evaluate projection --gold xquad:xquad.hi.json --pred outputs/xquad-hi/0.0.0-draft
    """
    from dsbuild import projection_console
    from dsbuild.builders.projection import judged_spans

    if match not in ("auto", "id", "place"):
        raise RecipeError(f"--match {match}: say auto, id or place")
    options = {name: value for name, _, value in (one.partition("=") for one in option or ())}
    found = judged_spans.judge_projection(gold, pred, match=match, options=options, plot=plot)  # type: ignore[arg-type]
    tell(found["notes"])
    print_found(output, found, lambda: projection_console.print_judged(found))


@evaluate.command("alignment")
def evaluate_alignment(
    gold: Annotated[
        Path,
        typer.Option("--gold", metavar="FILE", help="Links by hand, a line for each pair: `i-j` sure, `ipj` possible."),
    ],
    pred: Annotated[Path, typer.Option("--pred", metavar="FILE", help="A Pharaoh file: `i-j`, counted from 0.")],
    first: Annotated[
        int, typer.Option("--first", metavar="0|1", min=0, max=1, help="From where the gold counts words.")
    ] = 1,
    output: OutputFormat = Format.text,
) -> None:
    """Measure word links against gold: alignment error rate (AER), precision against possible links, recall of sure ones.

    Example: dsbuild evaluate alignment --gold enfr.gold.gz --pred enfr.links
    """
    from dsbuild import projection_console
    from dsbuild.project.alignment_evaluation import evaluate_files

    found = evaluate_files(gold.expanduser(), pred.expanduser(), first)
    print_found(output, found, lambda: projection_console.print_alignment(found))
