"""The commands on filters: they parse, call and print like those of `dsbuild.cli`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from dsbuild.cli import (
    STORE,
    Executor,
    Format,
    Out,
    OutputFormat,
    Placement,
    RecipeFile,
    RowLimit,
    Settings,
    StoreDir,
    Workers,
    app,
    build_and_print,
    print_found,
)

_SOURCES = (
    "What to read: jsonl:FILE, tsv:FILE, parquet:DIR, or a retrieval set: beir:DIR, msmarco[:DIR], msmarco-sample, robust04:DIR, "
    "hf:ORG/NAME, irds:ID, release:DIR."
)
FilterSource = Annotated[str, typer.Option("--src", metavar="KIND:PATH", help=_SOURCES)]
Lang = Annotated[
    Optional[str],
    typer.Option(
        "--lang", metavar="auto|CODE", help="Language of the texts (BCP-47; en,hi for pairs), or auto to identify it."
    ),
]


@app.command("filter")
def filter_(
    src: FilterSource,
    profile: Annotated[
        str,
        typer.Option("--profile", metavar="document|sentence|query|pair|triple", help="Kind of text: which filters."),
    ],
    lang: Lang = None,
    recipe: RecipeFile = None,
    thresholds: Annotated[
        Optional[str], typer.Option("--thresholds", metavar="default|fineweb2|FILE", help="Thresholds by language.")
    ] = None,
    limit: RowLimit = None,
    workers: Workers = None,
    executor: Executor = Placement.local,
    out: Out = None,
    store: StoreDir = STORE,
    settings: Settings = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Compute all scores, drop nothing, and answer what each threshold would do."),
    ] = False,
    output: OutputFormat = Format.text,
) -> None:
    """Filter texts by language, quality and duplicates: every row accounted for, every failed rule recorded.

    Example: dsbuild filter --src jsonl:docs.jsonl --profile document --lang auto --set neardup.jaccard=0.8
    """
    from dsbuild import console, filter_console
    from dsbuild.builders import build
    from dsbuild.builders.filtering import dry_run as dry
    from dsbuild.builders.filtering.filtered import FilterRecipe

    given: dict[str, Any] = {
        "source.src": src, "source.lang": lang, "source.limit": limit, "profile": profile, "thresholds": thresholds,
    }  # fmt: skip
    made = build.compose(recipe, given, settings or [], "filter")
    assert isinstance(made, FilterRecipe)
    if dry_run:
        reporter = console.reporter(sys.stderr)
        with reporter:
            found = dry.dry_run(made, out, store, executor.value, workers, reporter)
        print_found(output, found, lambda: filter_console.print_dry_run(found))
        return
    build_and_print(made, out, store, executor.value, workers, output=output)


@app.command()
def lid(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A text file, one text a line; - for standard input.")],
    model: Annotated[
        Optional[Path],
        typer.Option("--model", metavar="FILE", help="A fastText model with __label__xx labels [default: lid.176]."),
    ] = None,
    output: OutputFormat = Format.text,
) -> None:
    """Identify the language of each line: label, score, script, agreement; no label where there is too little to say."""
    from dsbuild import filter_console
    from dsbuild.builders.filtering import identified

    found = identified.identify_lines(file, model)
    print_found(output, found, lambda: filter_console.print_identified(found))


@app.command()
def calibrate(
    src: Annotated[
        str, typer.Option("--src", metavar="KIND:PATH", help="Trusted texts: jsonl:FILE, tsv:FILE or parquet:DIR.")
    ],
    lang: Annotated[str, typer.Option("--lang", metavar="CODE", help="Their language, BCP-47.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the thresholds are written (JSON).")],
    drop: Annotated[
        str, typer.Option("--drop", metavar="5%", help="Share of the trusted texts that a rule may fail.")
    ] = "5%",
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of the bootstrap.")] = 1,
    text: Annotated[
        Optional[str], typer.Option("--text", metavar="COLUMN", help="The column that holds the text.")
    ] = None,
    output: OutputFormat = Format.text,
) -> None:
    """Learn a language's thresholds from texts that are known to be good, with sample sizes and intervals.

    Example: dsbuild calibrate --src jsonl:trusted.jsonl --lang hi --out hi.json, then dsbuild filter ... --thresholds hi.json
    """
    from dsbuild import filter_console
    from dsbuild.builders import build
    from dsbuild.builders.filtering import calibrated

    columns = {"text": text} if text else {}
    found = calibrated.calibrate_source(src, lang, out, drop=build.share(drop), columns=columns, seed=seed)
    print_found(output, found, lambda: filter_console.print_calibration(found))


@app.command("train-classifier")
def train_classifier(
    positives: Annotated[
        str,
        typer.Option(
            "--positives",
            metavar="KIND:PATH",
            help="Texts of the kind that is wanted: jsonl:FILE, tsv:FILE, parquet:DIR.",
        ),
    ],
    negatives: Annotated[
        str, typer.Option("--negatives", metavar="KIND:PATH", help="A sample of the texts that will be filtered.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the fastText model is written.")],
    share: Annotated[str, typer.Option("--share", metavar="10%", help="Share for which precision is told.")] = "10%",
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed of training and of the held-out texts.")] = 1,
    output: OutputFormat = Format.text,
) -> None:
    """Train a quality classifier from texts that you name good and others; no text of an evaluation set belongs among them.

    Then: dsbuild filter ... --set classifier.model=FILE --set classifier.retain=0.1 --set filters=[language,classifier]
    """
    from dsbuild import filter_console
    from dsbuild.builders import build
    from dsbuild.builders.filtering import calibrated

    found = calibrated.train_on(positives, negatives, out, seed=seed, share=build.share(share))
    print_found(output, found, lambda: filter_console.print_facts(found))
