"""The commands on leakage: they parse, call and print like those of `dsbuild.cli`."""

from __future__ import annotations

import sys
from typing import Annotated, Optional

import typer

from dsbuild.cli import (
    STORE,
    Executor,
    Format,
    Out,
    OutputFormat,
    Placement,
    RowLimit,
    Settings,
    StoreDir,
    Workers,
    app,
    print_found,
    tell,
)

_SOURCES = "A release folder, or what other commands read: jsonl:FILE, tsv:FILE, parquet:DIR, beir:DIR, msmarco-sample, hf:ORG/NAME, …"
AnySource = Annotated[str, typer.Option("--src", metavar="DIR|KIND:PATH", help=_SOURCES)]
Lang = Annotated[
    Optional[str],
    typer.Option(
        "--lang", metavar="CODE", help="Language of the texts (BCP-47; en,hi for pairs), where they do not say it."
    ),
]


@app.command()
def split(
    src: AnySource,
    train: Annotated[float, typer.Option("--train", metavar="SHARE", help="Share of the rows.")] = 0.9,
    dev: Annotated[float, typer.Option("--dev", metavar="SHARE", help="Share of the rows.")] = 0.05,
    test: Annotated[float, typer.Option("--test", metavar="SHARE", help="Share of the rows.")] = 0.05,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Seed of the draw.")] = 0,
    lang: Lang = None,
    limit: RowLimit = None,
    workers: Workers = None,
    executor: Executor = Placement.local,
    out: Out = None,
    store: StoreDir = STORE,
    settings: Settings = None,
    output: OutputFormat = Format.text,
) -> None:
    """Split a set so that near duplicates and translations of a row are in the row's own split; official splits are kept.

    Example: dsbuild split --src outputs/msmarco-sample-hi/0.0.0-draft --train 0.9 --dev 0.05 --test 0.05
    """
    from dsbuild import console, leakage_console
    from dsbuild.builders.filtering import splitting

    reporter = console.reporter(sys.stderr)
    with reporter:
        found = splitting.split(
            src, train=train, dev=dev, test=test, seed=seed, lang=lang, limit=limit, settings=settings or [], out=out, store=store,
            executor=executor.value, workers=workers, reporter=reporter,
        )  # fmt: skip
    tell(found["notes"])
    print_found(output, found, lambda: leakage_console.print_split(found))


@app.command()
def contamination(
    src: AnySource,
    against: Annotated[
        list[str],
        typer.Option(
            "--against",
            metavar="F",
            help="An evaluation set: a file, a BEIR folder or a release; may be repeated.",
        ),
    ],
    more: Annotated[Optional[list[str]], typer.Argument(metavar="[F]...", help="Further evaluation sets.")] = None,
    policy: Annotated[
        str, typer.Option("--policy", metavar="drop|mask|flag", help="What becomes of contaminated rows.")
    ] = "drop",
    lang: Lang = None,
    limit: RowLimit = None,
    workers: Workers = None,
    executor: Executor = Placement.local,
    out: Out = None,
    store: StoreDir = STORE,
    settings: Settings = None,
    output: OutputFormat = Format.text,
) -> None:
    """Find parts of evaluation sets in a set, with evidence for each, and drop, mask or flag the rows that hold them.

    Example: dsbuild contamination --src jsonl:train.jsonl --lang en --against questions.jsonl
    """
    from dsbuild import console, leakage_console
    from dsbuild.builders.filtering import contaminated

    reporter = console.reporter(sys.stderr)
    with reporter:
        found = contaminated.check(
            src, [*against, *(more or [])], policy=policy, lang=lang, limit=limit, settings=settings or [], out=out, store=store,
            executor=executor.value, workers=workers, reporter=reporter,
        )  # fmt: skip
    tell(found["notes"])
    print_found(output, found, lambda: leakage_console.print_contamination(found))
