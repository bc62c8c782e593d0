"""The commands under `evaluate`: they parse, call and print like those of `dsbuild.cli`."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Optional

import typer

from dsbuild.cli import STORE, Executor, Format, OutputFormat, Placement, Settings, StoreDir, Workers, app, print_found
from dsbuild.cli_retrieval import (
    AnySet,
    Depth,
    Lang,
    Limit,
    Negatives,
    RecipeFile,
    Retrievers,
    RuleName,
    Seed,
    TargetFn,
)

evaluate = typer.Typer(
    no_args_is_help=True, help="Measure a retrieval set: its hard negatives, and what it lets a retriever find."
)
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
    from dsbuild.builders import build, measured, mined

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
    made: Any = build.compose(recipe, given, settings or [], kind="mine")
    reporter = console.reporter(sys.stderr)
    with reporter:
        found = measured.run_measure(made, store, executor.value, workers, reporter)
    for note in found["notes"]:
        typer.echo(f"note: {note}", err=True)
    print_found(output, found, lambda: retrieval_console.print_measured(found))
