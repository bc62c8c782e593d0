"""The commands on releases: they parse, call and print like those of `dsbuild.cli`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from dsbuild.cli import (
    STORE,
    Executor,
    Folder,
    Format,
    OutputFormat,
    Placement,
    Settings,
    StoreDir,
    Workers,
    app,
    print_found,
)


@app.command()
def release(
    draft: Annotated[
        Path,
        typer.Argument(metavar="DRAFT", help="A draft release: what translate, filter, split or contamination wrote."),
    ],
    name: Annotated[str, typer.Option("--name", metavar="N", help="Name of the set.")],
    version: Annotated[
        str, typer.Option("--version", metavar="1.0.0", help="MAJOR.MINOR.PATCH, above the versions that are there.")
    ],
    out: Annotated[
        Optional[Path],
        typer.Option("--out", metavar="DIR", help="Folder of the set's versions [default: outputs/NAME]."),
    ] = None,
    license_: Annotated[
        Optional[str],
        typer.Option("--license", metavar="ID", help="Licence of the rows, where source and recipe name none."),
    ] = None,
    reason: Annotated[
        Optional[str],
        typer.Option(
            "--reason", metavar="TEXT", help="Why the version is smaller than the change calls for; it is recorded."
        ),
    ] = None,
    accept_leakage: Annotated[
        Optional[str],
        typer.Option(
            "--accept-leakage",
            metavar="TEXT",
            help="Why texts may stand in more than one split of a table; it is recorded.",
        ),
    ] = None,
    date: Annotated[
        Optional[str],
        typer.Option(
            "--date", metavar="YYYY-MM-DD", help="Date for the changelog [default: none, so that bytes repeat]."
        ),
    ] = None,
    answers: Annotated[
        Optional[Path],
        typer.Option(
            "--answers", metavar="FILE", help="Answers for the datasheet [default: answers.yaml of the set's folder]."
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop if a required answer of the datasheet is missing.")
    ] = False,
    output: OutputFormat = Format.text,
) -> None:
    """Cut a draft into a release: name, version, content digests, changelog; no stage is run and no version replaced.

    Example: dsbuild release outputs/msmarco-sample-hi/0.0.0-draft --name msmarco-hi --version 1.0.0
    """
    from dsbuild import release_console
    from dsbuild.builders.releases import cut

    want = cut.wanted(
        name,
        version,
        license=license_,
        reason=reason,
        date=date,
        answers=answers,
        strict=strict,
        accept_leakage=accept_leakage,
    )
    found = cut.cut(draft, want, out)
    print_found(output, found, lambda: release_console.print_release(found))


@app.command()
def diff(
    before: Annotated[Path, typer.Argument(metavar="DIR_A", help="A release folder.")],
    after: Annotated[Path, typer.Argument(metavar="DIR_B", help="The release folder that follows it.")],
    samples: Annotated[
        int, typer.Option("--samples", metavar="N", min=0, help="Rows shown of each kind and table.")
    ] = 3,
    memory: Annotated[
        str, typer.Option("--memory", metavar="1GB", help="Memory to use; the rest goes to disk.")
    ] = "1GB",
    output: OutputFormat = Format.text,
) -> None:
    """What differs between two releases, row by row by id, and the version that it calls for.

    Example: dsbuild diff outputs/msmarco-hi/1.0.0 outputs/msmarco-hi/1.1.0
    """
    from dsbuild import release_console
    from dsbuild.builders.releases import difference

    found = difference.difference(difference.opened(before), difference.opened(after), samples=samples, memory=memory)
    print_found(output, found, lambda: release_console.print_difference(found))


@app.command()
def rebuild(
    folder: Folder,
    src: Annotated[
        Optional[str],
        typer.Option("--src", metavar="KIND:PATH", help="Where the source lies now [default: as the recipe says]."),
    ] = None,
    out: Annotated[
        Optional[Path],
        typer.Option("--out", metavar="DIR", help="Keep what is made in this folder [default: it is deleted again]."),
    ] = None,
    store: StoreDir = STORE,
    settings: Settings = None,
    workers: Workers = None,
    executor: Executor = Placement.local,
    output: OutputFormat = Format.text,
) -> None:
    """Make a release again from its recipe and compare every byte; where they differ, say which pin does. Exit code 1 then.

    Example: dsbuild rebuild outputs/msmarco-hi/1.0.0 --src beir:data/msmarco
    """
    from dsbuild import console, release_console
    from dsbuild.builders.releases import rebuild as again

    reporter = console.reporter(sys.stderr)
    with reporter:
        found = again.rebuild(
            folder,
            store=store,
            out=out,
            src=src,
            settings=settings or [],
            executor=executor.value,
            workers=workers,
            reporter=reporter,
        )
    print_found(output, found, lambda: release_console.print_rebuild(found))
    if not found["exact"]:
        raise typer.Exit(1)
