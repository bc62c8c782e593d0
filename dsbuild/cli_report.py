"""The commands that show a release to people: they parse, call and print like those of `dsbuild.cli`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dsbuild.cli import Folder, Format, OutputFormat, app, print_found
from dsbuild.errors import RecipeError


@app.command()
def report(
    folder: Folder,
    out: Annotated[
        Optional[Path], typer.Option("--out", metavar="FILE", help="The page [default: DIR-report.html beside DIR].")
    ] = None,
    output: OutputFormat = Format.text,
) -> None:
    """Write one offline HTML page of a release: funnels, thresholds, lengths, texts side by side."""
    from dsbuild.builders.releases import report_facts

    found = report_facts.write_report(folder, out)
    print_found(output, found, lambda: typer.echo(f"report: {found['report']}"))


@app.command()
def review(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR | merge FILE... | sheet DIR | sum SHEET...",
            help="A release folder; merge and files of answers; sheet and a release of relations; sum and filled sheets.",
        ),
    ],
    langs: Annotated[
        Optional[str], typer.Option("--langs", metavar="hi,ta", help="Languages to judge, BCP-47, comma-separated.")
    ] = None,
    n: Annotated[int, typer.Option("--n", metavar="N", min=1, help="Rows of each language.")] = 200,
    port: Annotated[int, typer.Option("--port", metavar="P", min=0, max=65535, help="Port [default: a free one].")] = 0,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Which rows; reviewers who compare use one.")] = 1,
    answers: Annotated[
        Optional[Path],
        typer.Option(
            "--answers", metavar="FILE", help="Where answers go [default: review-DIR/answers.jsonl beside DIR]."
        ),
    ] = None,
    reviewer: Annotated[
        Optional[str],
        typer.Option("--reviewer", metavar="NAME", help="Who answers [default: a name made for the file]."),
    ] = None,
    out: Annotated[
        Optional[Path],
        typer.Option("--out", metavar="FILE", help="With merge or sum: where all answers go. With sheet: the folder."),
    ] = None,
    output: OutputFormat = Format.text,
) -> None:
    """Judge a sample of a release on a local page (127.0.0.1), saved answer by answer; Ctrl-C ends it and sums up.

    Example: dsbuild review DIR --langs hi --n 200; then dsbuild review merge A.jsonl B.jsonl --out C.jsonl

    Relations on sheets: dsbuild review sheet DIR --langs hi --n 100; then dsbuild review sum A.tsv B.tsv
    """
    from dsbuild import review_console
    from dsbuild.builders.evaluation import judgements
    from dsbuild.builders.projection import review_sheet
    from dsbuild.builders.releases import review as reviews

    if str(paths[0]) == "merge":
        if len(paths) < 2 or out is None:
            raise RecipeError("review merge: name the files of answers, and --out for all of them")
        merged = judgements.merge(paths[1:], out)
        print_found(output, merged, lambda: review_console.print_review(merged, out))
        return
    if str(paths[0]) == "sum":
        if len(paths) < 2:
            raise RecipeError("review sum: name the filled sheets, one file for each reviewer")
        summed = review_sheet.sum_sheets(paths[1:], out)
        print_found(output, summed, lambda: review_console.print_sheets(summed))
        return
    chosen = [lang.strip() for lang in langs.split(",") if lang.strip()] if langs else []
    if str(paths[0]) == "sheet":
        if len(paths) != 2 or not chosen:
            raise RecipeError("review sheet: name a release folder and languages: dsbuild review sheet DIR --langs hi")
        sheets = review_sheet.write_sheets(paths[1], chosen, n, seed, out)
        print_found(output, {"sheets": sheets}, lambda: review_console.print_written(sheets))
        return
    if len(paths) > 1 or out is not None:
        raise RecipeError("review: one release folder; files of answers are put together by dsbuild review merge")
    if not chosen:
        raise RecipeError("review: name a language, such as --langs hi")
    opened = reviews.open_review(paths[0], chosen, n, seed, answers, reviewer)
    review_console.serve(opened, port)
    found = opened.finish()
    print_found(output, found, lambda: review_console.print_review(found, opened.answers))
